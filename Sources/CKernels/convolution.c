// SPDX-License-Identifier: Apache-2.0

#include "kernels.h"
#include "lanes.h"

#define KILN_BODY "convolution_body.h"
#include "variants.h"

KILN_DISPATCH(
    void, short_convolution,
    (enum kiln_instruction_set set, float *x, size_t rows, size_t stride, float *history,
     const float *weights, size_t taps, size_t channels),
    (x, rows, stride, history, weights, taps, channels))
KILN_DISPATCH(
    void, short_convolution_token,
    (enum kiln_instruction_set set, const float *const *inputs, const float *weights, size_t taps,
     float *output, size_t channels),
    (inputs, weights, taps, output, channels))
