// SPDX-License-Identifier: Apache-2.0
//
// Sums and maxima over an array.

#include "exponential_body.h"
#include "dot_body.h"

static float NAME(sum)(const float *x, size_t n) {
  float16 total[4] = {ALL(0), ALL(0), ALL(0), ALL(0)};
  size_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    UNROLL for (int part = 0; part < 4; part++) total[part] += LOAD(x + i + part * LANES);
  }
  for (; i + LANES <= n; i += LANES) total[0] += LOAD(x + i);
  if (i < n) {
    float rest[LANES] = {0};
    memcpy(rest, x + i, (n - i) * sizeof(float));
    total[0] += LOAD(rest);
  }
  return NAME(add_lanes)(total);
}

/// The larger of each lane; NaN in `x` is passed over.
static inline __attribute__((always_inline)) void NAME(keep_larger)(float *lanes, const float *x) {
  for (int i = 0; i < LANES; i++) lanes[i] = x[i] > lanes[i] ? x[i] : lanes[i];
}

static float NAME(maximum)(const float *x, size_t n) {
  // Four at a time: each comparison waits for the one before it.
  enum { CHAINS = 4 };
  float lanes[CHAINS][LANES];
  for (int i = 0; i < CHAINS * LANES; i++) lanes[i / LANES][i % LANES] = -__builtin_inff();
  size_t i = 0;
  for (; i + CHAINS * LANES <= n; i += CHAINS * LANES) {
    UNROLL for (int chain = 0; chain < CHAINS; chain++) {
      NAME(keep_larger)(lanes[chain], x + i + chain * LANES);
    }
  }
  for (; i + LANES <= n; i += LANES) NAME(keep_larger)(lanes[0], x + i);
  for (int lane = 0; i < n; i++, lane++) {
    lanes[0][lane] = x[i] > lanes[0][lane] ? x[i] : lanes[0][lane];
  }
  for (int chain = 1; chain < CHAINS; chain++) NAME(keep_larger)(lanes[0], lanes[chain]);
  float largest = lanes[0][0];
  for (int lane = 1; lane < LANES; lane++) {
    largest = lanes[0][lane] > largest ? lanes[0][lane] : largest;
  }
  return largest;
}

/// Sum of exp(x - shift) in sixteen double lanes; stores the terms if there is a place for them.
static inline double NAME(sum_terms)(const float *x, float *output, float shift, size_t n) {
  enum { PART = 256 };
  double lanes[LANES] = {0};
  for (size_t start = 0; start < n; start += PART) {
    const size_t count = n - start < PART ? n - start : PART;
    float terms[PART];
    for (size_t i = 0; i < count; i++) terms[i] = NAME(exp_element)(x[start + i] - shift);
    if (output) memcpy(output + start, terms, count * sizeof(float));
    for (size_t i = count; i % LANES != 0; i++) terms[i] = 0;
    for (size_t i = 0; i < count; i += LANES) {
      for (int lane = 0; lane < LANES; lane++) lanes[lane] = lanes[lane] + (double)terms[i + lane];
    }
  }
  for (int width = LANES / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; i++) lanes[i] = lanes[i] + lanes[i + width];
  }
  return lanes[0];
}

static double NAME(sum_exp)(const float *x, float shift, size_t n) {
  return NAME(sum_terms)(x, NULL, shift, n);
}

static double NAME(exp_and_sum)(float *x, float shift, size_t n) {
  return NAME(sum_terms)(x, x, shift, n);
}
