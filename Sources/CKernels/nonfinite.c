// SPDX-License-Identifier: Apache-2.0

#include "nonfinite.h"

#include <string.h>

#include "kernels.h"

#define KILN_BODY "nonfinite_body.h"
#include "variants.h"

KILN_DISPATCH(
    void, count_nonfinite16,
    (enum kiln_instruction_set set, const uint8_t *bytes, size_t n, uint16_t exponent, size_t *nan,
     size_t *infinite),
    (bytes, n, exponent, nan, infinite))
KILN_DISPATCH(
    void, count_nonfinite32,
    (enum kiln_instruction_set set, const uint8_t *bytes, size_t n, uint32_t exponent, size_t *nan,
     size_t *infinite),
    (bytes, n, exponent, nan, infinite))
KILN_DISPATCH(
    size_t, count_zero16, (enum kiln_instruction_set set, const uint8_t *bytes, size_t n),
    (bytes, n))
