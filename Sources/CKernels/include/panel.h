// SPDX-License-Identifier: Apache-2.0
#ifndef KILN_PANEL_H
#define KILN_PANEL_H

#include "kernels.h"

// Calibrated quantization of 16 rows of weights at a time, one in each lane.
//
// A panel holds 16 numbers for each column: element (row, column) is at [column * 16 + row]. Codes
// and scales are floats here; scales are BF16 numbers, with 16 for each group of columns. Every lane
// goes through the operations of the readable forms in Sources/Quantization/Calibrated, in their order.

/// The scales of one group with the least weighted squared error among those that are tried.
///
/// `values` and `importance` begin at the group's first column; each column has one importance.
/// Writes 16 scales.
void kiln_panel_scales(
    enum kiln_instruction_set set, const float *values, const float *importance, size_t columns,
    int bits, float *scales);

/// Rounds the columns `first ..< first + columns` and lets all later columns make up for it.
///
/// `values` is a panel of `width` columns, `factor` the upper triangle U `[width, width]` with
/// U^T U the inverse of the second moments, `scales` 16 numbers for the group, `codes` a panel that
/// receives the codes, `errors` has room for `columns` columns.
void kiln_panel_feedback(
    enum kiln_instruction_set set, float *values, const float *factor, size_t width, size_t first,
    size_t columns, int bits, const float *scales, float *codes, float *errors);

/// y[column] = y[column] - sum over j of x[j] * matrix[j][column], j ascending, for all columns of a panel.
///
/// `x` has `count` columns and `matrix` as many rows, which are `width` long.
void kiln_panel_subtract(
    enum kiln_instruction_set set, float *y, const float *x, size_t count, const float *matrix,
    size_t width);

/// One pass over the groups of a panel: a better scale for each, then better codes one by one.
///
/// `gradient` is a panel with (W - Q) H, kept up to date; `matrix` H `[width, width]`; `steps` has room
/// for two groups.
void kiln_panel_descend(
    enum kiln_instruction_set set, float *gradient, const float *matrix, size_t width, size_t group,
    int bits, float *codes, float *scales, float *steps);

#endif
