// SPDX-License-Identifier: Apache-2.0
#ifndef KILN_NONFINITE_H
#define KILN_NONFINITE_H

#include "kernels.h"

// Counts of little-endian numbers that are NaN and that are infinite. `exponent` is the number whose
// exponent bits are all ones: 0x7F80 for BF16, 0x7C00 for F16, 0x7F800000 for F32.

void kiln_count_nonfinite16(
    enum kiln_instruction_set set, const uint8_t *bytes, size_t n, uint16_t exponent, size_t *nan,
    size_t *infinite);
void kiln_count_nonfinite32(
    enum kiln_instruction_set set, const uint8_t *bytes, size_t n, uint32_t exponent, size_t *nan,
    size_t *infinite);

/// Count of little-endian 16-bit floating-point numbers that are 0, of either sign.
size_t kiln_count_zero16(enum kiln_instruction_set set, const uint8_t *bytes, size_t n);

#endif
