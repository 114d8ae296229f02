// SPDX-License-Identifier: Apache-2.0
//
// Scalar functions of one element. The loops that call them are vectorised by the compiler, so
// they have no branches and no library calls. Fused multiply-adds save a third of the instructions of an
// exponential, so all of these have other last bits in the portable form.

#include "fused.h"

static inline float NAME(exp_element)(float x) {
  // Beyond these the result is 0 or infinite anyway; NaN fails both comparisons and stays.
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  // x = n ln 2 + r with |r| <= ln(2) / 2. Adding 1.5 * 2^23 leaves the rounded n in the low bits.
  const float magic = 12582912.0f;
  const float shifted = MULTIPLY_ADD(x, 1.44269504f, magic);
  const float n = shifted - magic;
  // ln 2 in two parts; the first has so few bits that n times it is exact.
  const float r = MULTIPLY_ADD(n, 2.12194440e-4f, MULTIPLY_ADD(n, -0.693359375f, x));
  // Taylor series up to degree 7: truncated by less than 6e-9.
  float p = 1.0f / 5040.0f;
  p = MULTIPLY_ADD(p, r, 1.0f / 720.0f);
  p = MULTIPLY_ADD(p, r, 1.0f / 120.0f);
  p = MULTIPLY_ADD(p, r, 1.0f / 24.0f);
  p = MULTIPLY_ADD(p, r, 1.0f / 6.0f);
  p = MULTIPLY_ADD(p, r, 0.5f);
  p = 1.0f + MULTIPLY_ADD(r * r, p, r);
  // Times 2^n in two steps: 2^128 and 2^-150 are no float32, and the second step alone rounds.
  // NaN gives any exponent, so these wrap; it stays NaN whatever it is multiplied by.
  uint32_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  const int32_t exponent = (int32_t)(bits - 0x4B400000u);
  const uint32_t first_bits = ((uint32_t)(exponent >> 1) + 127) << 23;
  const uint32_t second_bits = ((uint32_t)(exponent - (exponent >> 1)) + 127) << 23;
  float first, second;
  memcpy(&first, &first_bits, sizeof first);
  memcpy(&second, &second_bits, sizeof second);
  return p * first * second;
}

static inline float NAME(sigmoid_element)(float x) {
  // exp of a negative number cannot overflow, and the small side keeps its relative accuracy.
  const float e = NAME(exp_element)(x < 0 ? x : -x);
  const float numerator = x < 0 ? e : 1.0f;
  return numerator / (1.0f + e);
}

static inline float NAME(softplus_element)(float x) {
  // log(1 + exp(x)) = max(x, 0) + log(1 + e) with e = exp(-|x|) <= 1, and
  // log(1 + e) = 2 artanh(s) with s = e / (2 + e) <= 1/3: a series in s^2 <= 1/9, whose first
  // omitted term is below 2e-9 of the sum.
  const float e = NAME(exp_element)(x < 0 ? x : -x);
  const float s = e / (2.0f + e);
  const float z = s * s;
  float p = 1.0f / 15.0f;
  p = MULTIPLY_ADD(p, z, 1.0f / 13.0f);
  p = MULTIPLY_ADD(p, z, 1.0f / 11.0f);
  p = MULTIPLY_ADD(p, z, 1.0f / 9.0f);
  p = MULTIPLY_ADD(p, z, 1.0f / 7.0f);
  p = MULTIPLY_ADD(p, z, 1.0f / 5.0f);
  p = MULTIPLY_ADD(p, z, 1.0f / 3.0f);
  const float logarithm = MULTIPLY_ADD(2.0f * s, z * p, 2.0f * s);
  return (x > 0 ? x : 0.0f) + logarithm;
}
