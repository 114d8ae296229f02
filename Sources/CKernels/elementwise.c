// SPDX-License-Identifier: Apache-2.0

#include "kernels.h"
#include "lanes.h"

#define KILN_BODY "elementwise_body.h"
#include "variants.h"

KILN_DISPATCH(void, exp, (enum kiln_instruction_set set, float *x, size_t n), (x, n))
KILN_DISPATCH(void, sigmoid, (enum kiln_instruction_set set, float *x, size_t n), (x, n))
KILN_DISPATCH(void, silu, (enum kiln_instruction_set set, float *x, size_t n), (x, n))
KILN_DISPATCH(
    void, silu_multiply,
    (enum kiln_instruction_set set, float *gate, const float *up, size_t n), (gate, up, n))
KILN_DISPATCH(
    void, sigmoid_multiply,
    (enum kiln_instruction_set set, float *x, const float *gate, size_t n), (x, gate, n))
KILN_DISPATCH(void, softplus, (enum kiln_instruction_set set, float *x, size_t n), (x, n))
KILN_DISPATCH(
    void, log_decay,
    (enum kiln_instruction_set set, float *x, const float *bias, float rate, size_t n),
    (x, bias, rate, n))
KILN_DISPATCH(
    void, gated_norm,
    (enum kiln_instruction_set set, float *x, const float *gate, const float *weight,
     float epsilon, size_t heads, size_t width),
    (x, gate, weight, epsilon, heads, width))
KILN_DISPATCH(
    void, add, (enum kiln_instruction_set set, float *y, const float *x, size_t n), (y, x, n))
KILN_DISPATCH(
    void, add_scaled,
    (enum kiln_instruction_set set, float *y, const float *x, float factor, size_t n),
    (y, x, factor, n))
KILN_DISPATCH(
    void, multiply, (enum kiln_instruction_set set, float *y, const float *x, size_t n),
    (y, x, n))
KILN_DISPATCH(
    void, scale, (enum kiln_instruction_set set, float *y, float factor, size_t n),
    (y, factor, n))
