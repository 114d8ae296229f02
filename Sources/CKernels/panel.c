// SPDX-License-Identifier: Apache-2.0

#include "panel.h"
#include "codes.h"
#include "lanes.h"

/// Scale of a group that has nothing to store, as in quantize.c.
#define EMPTY_SCALE 0.0078125f
/// Scales of each sign that are tried, spread evenly between two multiples of the nearest scale.
#define TRIED_SCALES 32
/// These multiples: the fewer codes there are, the more clipping can pay.
#define LEAST_TRIED(bits) ((bits) == 4 ? 0.6f : (bits) == 5 ? 0.78f : (bits) == 6 ? 0.88f : 0.94f)
#define LARGEST_TRIED(bits) ((bits) == 4 ? 1.25f : (bits) == 5 ? 1.22f : (bits) == 6 ? 1.18f : 1.06f)

#define KILN_BODY "panel_body.h"
#include "variants.h"

KILN_DISPATCH(
    void, panel_scales,
    (enum kiln_instruction_set set, const float *values, const float *importance, size_t columns,
     int bits, float *scales),
    (values, importance, columns, bits, scales))
KILN_DISPATCH(
    void, panel_feedback,
    (enum kiln_instruction_set set, float *values, const float *factor, size_t width, size_t first,
     size_t columns, int bits, const float *scales, float *codes, float *errors),
    (values, factor, width, first, columns, bits, scales, codes, errors))
KILN_DISPATCH(
    void, panel_subtract,
    (enum kiln_instruction_set set, float *y, const float *x, size_t count, const float *matrix,
     size_t width),
    (y, x, count, matrix, width))
KILN_DISPATCH(
    void, panel_descend,
    (enum kiln_instruction_set set, float *gradient, const float *matrix, size_t width, size_t group,
     int bits, float *codes, float *scales, float *steps),
    (gradient, matrix, width, group, bits, codes, scales, steps))
