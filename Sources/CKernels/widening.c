// SPDX-License-Identifier: Apache-2.0

#include "kernels.h"
#include "lanes.h"
#include "codes.h"

#define KILN_BODY "widening_body.h"
#include "variants.h"

KILN_DISPATCH(
    void, widen_bf16,
    (enum kiln_instruction_set set, const uint8_t *source, float *output, size_t n),
    (source, output, n))
KILN_DISPATCH(
    void, widen_f16,
    (enum kiln_instruction_set set, const uint8_t *source, float *output, size_t n),
    (source, output, n))
KILN_DISPATCH(
    void, widen_int8,
    (enum kiln_instruction_set set, const uint8_t *codes, const uint8_t *scales, size_t group,
     float *output, size_t n),
    (codes, scales, group, output, n))
KILN_DISPATCH(
    void, widen_int4,
    (enum kiln_instruction_set set, const uint8_t *codes, const uint8_t *scales, size_t group,
     float *output, size_t n),
    (codes, scales, group, output, n))
KILN_DISPATCH(
    void, widen_int5,
    (enum kiln_instruction_set set, const uint8_t *codes, const uint8_t *scales, size_t group,
     float *output, size_t n),
    (codes, scales, group, output, n))
KILN_DISPATCH(
    void, widen_int6,
    (enum kiln_instruction_set set, const uint8_t *codes, const uint8_t *scales, size_t group,
     float *output, size_t n),
    (codes, scales, group, output, n))
