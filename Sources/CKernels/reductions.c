// SPDX-License-Identifier: Apache-2.0

#include "kernels.h"
#include "lanes.h"

#define KILN_BODY "reductions_body.h"
#include "variants.h"

KILN_DISPATCH(
    float, dot, (enum kiln_instruction_set set, const float *x, const float *y, size_t n),
    (x, y, n))
KILN_DISPATCH(float, sum, (enum kiln_instruction_set set, const float *x, size_t n), (x, n))
KILN_DISPATCH(float, maximum, (enum kiln_instruction_set set, const float *x, size_t n), (x, n))
KILN_DISPATCH(
    double, sum_exp, (enum kiln_instruction_set set, const float *x, float shift, size_t n),
    (x, shift, n))
KILN_DISPATCH(
    double, exp_and_sum, (enum kiln_instruction_set set, float *x, float shift, size_t n),
    (x, shift, n))
