// SPDX-License-Identifier: Apache-2.0

#include "product.h"
#include "lanes.h"

#define KILN_BODY "product_body.h"
#include "variants.h"

KILN_DISPATCH(size_t, product_rows, (enum kiln_instruction_set set), ())
KILN_DISPATCH(size_t, product_columns, (enum kiln_instruction_set set), ())
KILN_DISPATCH(
    void, strip_product,
    (enum kiln_instruction_set set, size_t rows, size_t columns, size_t inner, const float *strip,
     struct kiln_panels panels, int adds, float *output, size_t output_stride),
    (rows, columns, inner, strip, panels, adds, output, output_stride))
KILN_DISPATCH(
    void, add_weighted_rows,
    (enum kiln_instruction_set set, const float *rows, size_t stride, size_t count, size_t columns,
     const float *factors, float *const *targets),
    (rows, stride, count, columns, factors, targets))
