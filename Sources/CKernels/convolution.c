// SPDX-License-Identifier: Apache-2.0

#include "kernels.h"
#include "lanes.h"

#define KILN_BODY "convolution_body.h"
#include "variants.h"

KILN_DISPATCH(
    void, short_convolution,
    (enum kiln_instruction_set set, const float *const *inputs, const float *weights, size_t taps,
     float *output, size_t channels),
    (inputs, weights, taps, output, channels))
