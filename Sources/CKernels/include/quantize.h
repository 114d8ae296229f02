// SPDX-License-Identifier: Apache-2.0
#ifndef KILN_QUANTIZE_H
#define KILN_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

/// How groups are quantized; Sources/Quantization/ScaleSearch.swift explains the search.
typedef struct {
  /// Bits of a code: 4, 5, 6 or 8.
  int bits;
  /// Elements that share a scale; even at 4 bits, a multiple of 32 at 5 and 6.
  ptrdiff_t group_length;
  /// Whether a better scale than that of the largest magnitude is searched.
  int search;
  /// Coarse scales of the search at 4 bits, a multiple of 16 of them.
  const float *coarse_factors;
  ptrdiff_t coarse_count;
  /// Smallest and largest scale of the search at more than 4 bits.
  float fine_low, fine_high;
} kiln_group_quantization;

/// What quantization cost, summed in the order of the groups.
typedef struct {
  double squared_error, squared_norm;
  ptrdiff_t nan_count, infinity_count;
} kiln_quantization_sums;

/// Quantizes `groups` consecutive groups.
///
/// `scratch` has room for two groups, each rounded up to a multiple of 16 elements. `codes` gets
/// group_length * bits / 8 bytes a group, `scales` one BF16 number a group.
void kiln_quantize_groups(
    enum kiln_instruction_set set, const kiln_group_quantization *how, const float *values,
    ptrdiff_t groups, float *scratch, uint8_t *codes, uint16_t *scales,
    kiln_quantization_sums *sums);

#endif
