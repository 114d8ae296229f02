// SPDX-License-Identifier: Apache-2.0
//
// Products of float32 activations with weights as they are stored, in packed form.
//
// A *strip* holds up to R rows of the left operand, column after column: [inner, R]. A *panel*
// holds C columns of the right operand: [inner, C]. R and C are `kiln_product_rows` and
// `kiln_product_columns` of the instruction set; rows and columns that are missing are 0.
//
// The order of every sum is fixed, whatever the tile: the inner index is cut into runs of
// KILN_PRODUCT_CHAIN, each run is one chain of multiply-adds in ascending order, and the chains are
// added in their order. With AVX2 and AVX-512 (and on ARM) each step is fused and rounds once, so both
// give the same bits; without fused instructions it rounds twice.
#ifndef KILN_PRODUCT_H
#define KILN_PRODUCT_H

#include "kernels.h"

/// Length of a chain: one of 512 has twice the error of four of 128, which cost one hundredth more.
enum { KILN_PRODUCT_CHAIN = 128 };

/// Rows of a strip.
size_t kiln_product_rows(enum kiln_instruction_set set);
/// Columns of a panel.
size_t kiln_product_columns(enum kiln_instruction_set set);

/// The right operand of a product: element (k, j) is at
/// `base[j / C * panel_step + k * stride + j % C]`. Packed panels have the stride C and the step
/// inner * C; a row-major matrix, which must be readable up to a whole panel, has its own stride and the
/// step C.
struct kiln_panels {
  const float *base;
  size_t stride, panel_step;
};

/// C = A B, or C = C + A B where `adds`: each chain is then added to C, the first one as well.
///
/// A is one strip with `rows` rows, `inner` long; C is [rows, columns] with rows `output_stride`
/// apart.
void kiln_strip_product(
    enum kiln_instruction_set set, size_t rows, size_t columns, size_t inner, const float *strip,
    struct kiln_panels panels, int adds, float *output, size_t output_stride);

/// Packs `count` <= R rows of `inner` floats into a strip.
void kiln_pack_strip(
    enum kiln_instruction_set set, const float *const *rows, size_t count, size_t inner,
    float *strip);

/// How stored weights are written; codes are offset-binary as for `kiln_widen_int8` and `_int4`.
enum kiln_weight_type {
  KILN_WEIGHT_F32 = 0,
  KILN_WEIGHT_BF16 = 1,
  KILN_WEIGHT_F16 = 2,
  KILN_WEIGHT_INT8 = 3,
  KILN_WEIGHT_INT6 = 4,
  KILN_WEIGHT_INT5 = 5,
  KILN_WEIGHT_INT4 = 6
};

/// Rows of stored weights, at any alignment; row r starts at `elements + r * row_bytes`.
struct kiln_weight_rows {
  enum kiln_weight_type type;
  const uint8_t *elements;
  size_t row_bytes;
  /// BF16, one for each `group` elements of a row; unused for plain types.
  const uint8_t *scales;
  size_t scale_row_bytes;
  /// A multiple of 16, or at least `inner`.
  size_t group;
};

/// Widens `rows` <= C rows of weights into a panel, [inner, C].
void kiln_pack_panel(
    enum kiln_instruction_set set, const struct kiln_weight_rows *weights, size_t rows,
    size_t inner, float *panel);

/// targets[r][i] = targets[r][i] + factors[r] * rows[r * stride + i] for i < columns.
///
/// Products and sums are rounded separately. No two targets overlap.
void kiln_add_weighted_rows(
    enum kiln_instruction_set set, const float *rows, size_t stride, size_t count, size_t columns,
    const float *factors, float *const *targets);

#endif
