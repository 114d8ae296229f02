// SPDX-License-Identifier: Apache-2.0

#include "product.h"
#include "lanes.h"
#include "codes.h"

typedef uint8_t uchar8 __attribute__((ext_vector_type(8)));
typedef uint8_t uchar16 __attribute__((ext_vector_type(16)));
typedef uint16_t ushort16 __attribute__((ext_vector_type(16)));
typedef uint32_t uint16lanes __attribute__((ext_vector_type(16)));

#define KILN_BODY "packing_body.h"
#include "variants.h"

KILN_DISPATCH(
    void, pack_strip,
    (enum kiln_instruction_set set, const float *const *rows, size_t count, size_t inner,
     float *strip),
    (rows, count, inner, strip))
KILN_DISPATCH(
    void, pack_panel,
    (enum kiln_instruction_set set, const struct kiln_weight_rows *weights, size_t rows,
     size_t inner, float *panel),
    (weights, rows, inner, panel))
