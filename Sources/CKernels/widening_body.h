// SPDX-License-Identifier: Apache-2.0
//
// Stored weights to float32. Loads go through memcpy: tensors in a file may start at any byte.

#include "bit_stream_body.h"

static inline float NAME(bf16_element)(const uint8_t *source) {
  uint16_t half;
  memcpy(&half, source, sizeof half);
  const uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void NAME(widen_bf16)(const uint8_t *restrict source, float *restrict output, size_t n) {
  for (size_t i = 0; i < n; i++) output[i] = NAME(bf16_element)(source + 2 * i);
}

// Integer arithmetic on all instruction sets: vcvtph2ps would be faster but makes signalling NaN
// quiet, and memory is the limit anyway.
static void NAME(widen_f16)(const uint8_t *restrict source, float *restrict output, size_t n) {
  const uint32_t exponent_mask = 0x7C00u << 13;
  for (size_t i = 0; i < n; i++) {
    uint16_t half;
    memcpy(&half, source + 2 * i, sizeof half);
    const uint32_t magnitude = (uint32_t)(half & 0x7FFF) << 13;
    const uint32_t exponent = magnitude & exponent_mask;
    uint32_t normal = magnitude + ((127 - 15) << 23);
    normal += exponent == exponent_mask ? (uint32_t)((128 - 16) << 23) : 0;
    // A subnormal is fraction * 2^-24: put the fraction below a leading one and subtract that.
    const uint32_t leading_one_bits = 113u << 23;
    const uint32_t with_one_bits = magnitude + leading_one_bits;
    float leading_one, with_one;
    memcpy(&leading_one, &leading_one_bits, sizeof leading_one);
    memcpy(&with_one, &with_one_bits, sizeof with_one);
    const float difference = with_one - leading_one;
    uint32_t subnormal;
    memcpy(&subnormal, &difference, sizeof subnormal);
    const uint32_t bits =
        (exponent == 0 ? subnormal : normal) | ((uint32_t)(half & 0x8000) << 16);
    memcpy(output + i, &bits, sizeof bits);
  }
}

static void NAME(widen_int8)(
    const uint8_t *restrict codes, const uint8_t *restrict scales, size_t group,
    float *restrict output, size_t n) {
  for (size_t start = 0; start < n; start += group, scales += 2) {
    const float scale = NAME(bf16_element)(scales);
    for (size_t i = start; i < start + group; i++) {
      output[i] = (float)((int32_t)codes[i] - 128) * scale;
    }
  }
}

static void NAME(widen_int4)(
    const uint8_t *restrict codes, const uint8_t *restrict scales, size_t group,
    float *restrict output, size_t n) {
  for (size_t start = 0; start < n; start += group, scales += 2) {
    const float scale = NAME(bf16_element)(scales);
    for (size_t i = start / 2; i < (start + group) / 2; i++) {
      output[2 * i] = (float)((int32_t)(codes[i] & 15) - 8) * scale;
      output[2 * i + 1] = (float)((int32_t)(codes[i] >> 4) - 8) * scale;
    }
  }
}

static inline __attribute__((always_inline)) void NAME(widen_stream)(
    const int bits, const uint8_t *restrict codes, const uint8_t *restrict scales, size_t group,
    float *restrict output, size_t n) {
  for (size_t start = 0; start < n; start += group, scales += 2) {
    const float scale = NAME(bf16_element)(scales);
    for (size_t i = start; i < start + group; i += LANES) {
      int16lanes numbers;
      NAME(unpack_codes)(bits, codes + i * (size_t)bits / 8, &numbers);
      STORE(output + i, __builtin_convertvector(numbers, float16) * ALL(scale));
    }
  }
}

static void NAME(widen_int5)(
    const uint8_t *restrict codes, const uint8_t *restrict scales, size_t group,
    float *restrict output, size_t n) {
  NAME(widen_stream)(5, codes, scales, group, output, n);
}

static void NAME(widen_int6)(
    const uint8_t *restrict codes, const uint8_t *restrict scales, size_t group,
    float *restrict output, size_t n) {
  NAME(widen_stream)(6, codes, scales, group, output, n);
}
