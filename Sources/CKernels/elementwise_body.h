// SPDX-License-Identifier: Apache-2.0
//
// Loops over single elements; see kernels.h for what they compute.

#include "exponential_body.h"
#include "dot_body.h"

static void NAME(exp)(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = NAME(exp_element)(x[i]);
}

static void NAME(sigmoid)(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = NAME(sigmoid_element)(x[i]);
}

static void NAME(silu)(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = x[i] * NAME(sigmoid_element)(x[i]);
}

static void NAME(silu_multiply)(float *restrict gate, const float *restrict up, size_t n) {
  for (size_t i = 0; i < n; i++) gate[i] = gate[i] * NAME(sigmoid_element)(gate[i]) * up[i];
}

static void NAME(sigmoid_multiply)(float *restrict x, const float *restrict gate, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = x[i] * NAME(sigmoid_element)(gate[i]);
}

static void NAME(softplus)(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = NAME(softplus_element)(x[i]);
}

static void NAME(log_decay)(float *restrict x, const float *restrict bias, float rate, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = rate * NAME(softplus_element)(x[i] + bias[i]);
}

static inline void NAME(gate_row)(
    float *restrict x, const float *restrict gate, const float *restrict weight, float factor,
    size_t n) {
  for (size_t i = 0; i < n; i++) {
    x[i] = x[i] * factor * weight[i] * NAME(sigmoid_element)(gate[i]);
  }
}

static void NAME(gated_norm)(
    float *x, const float *gate, const float *weight, float epsilon, size_t heads, size_t width) {
  for (size_t head = 0; head < heads; head++, x += width, gate += width) {
    const float mean = NAME(dot)(x, x, width) / (float)width;
    NAME(gate_row)(x, gate, weight, 1.0f / __builtin_sqrtf(mean + epsilon), width);
  }
}

static void NAME(add)(float *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = y[i] + x[i];
}

static void NAME(add_scaled)(
    float *restrict y, const float *restrict x, float factor, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = y[i] + factor * x[i];
}

static void NAME(multiply)(float *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = y[i] * x[i];
}

static void NAME(scale)(float *y, float factor, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = y[i] * factor;
}
