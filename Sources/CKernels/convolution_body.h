// SPDX-License-Identifier: Apache-2.0
//
// Depthwise convolution over time, in place. The inputs that the next token needs are kept in the
// history or, within a call of four taps, in registers: so a row can be overwritten at once.

#include "exponential_body.h"

/// Channels at a time, so few that history, weights and sums stay in the first-level cache, where there are
/// other taps than four or fewer channels than lanes.
enum { NAME(CONVOLUTION_PART) = 128 };

/// The usual four taps: sixteen channels of all tokens, whose history stays in registers.
static inline void NAME(convolve_four_taps)(
    float *x, size_t rows, size_t stride, float *history, const float *weights) {
  float16 oldest = LOAD(history), older = LOAD(history + stride),
          old = LOAD(history + 2 * stride);
  const float16 first = LOAD(weights), second = LOAD(weights + stride),
                third = LOAD(weights + 2 * stride), fourth = LOAD(weights + 3 * stride);
  for (size_t row = 0; row < rows; row++, x += stride) {
    const float16 input = LOAD(x);
    STORE(x, ((first * oldest + second * older) + third * old) + fourth * input);
    oldest = older;
    older = old;
    old = input;
  }
  STORE(history, oldest);
  STORE(history + stride, older);
  STORE(history + 2 * stride, old);
}

/// One token of at most CONVOLUTION_PART channels and any number of taps.
static inline void NAME(convolve)(
    float *x, float *history, const float *weights, size_t taps, size_t stride, size_t channels) {
  float total[NAME(CONVOLUTION_PART)];
  for (size_t tap = 0; tap < taps; tap++) {
    const float *w = weights + tap * stride, *input = tap + 1 < taps ? history + tap * stride : x;
    for (size_t c = 0; c < channels; c++) {
      const float term = w[c] * input[c];
      total[c] = tap == 0 ? term : total[c] + term;
    }
  }
  const size_t bytes = channels * sizeof(float);
  for (size_t tap = 0; tap + 1 < taps; tap++) {
    memcpy(
        history + tap * stride, tap + 2 < taps ? history + (tap + 1) * stride : x, bytes);
  }
  memcpy(x, total, bytes);
}

static void NAME(short_convolution)(
    float *x, size_t rows, size_t stride, float *history, const float *weights, size_t taps,
    size_t channels) {
  enum { PART = NAME(CONVOLUTION_PART) };
  size_t start = 0;
  for (; taps == 4 && start + LANES <= channels; start += LANES) {
    NAME(convolve_four_taps)(x + start, rows, stride, history + start, weights + start);
  }
  for (; start < channels; start += PART) {
    const size_t count = channels - start < PART ? channels - start : PART;
    for (size_t row = 0; row < rows; row++) {
      float *place = x + row * stride + start;
      NAME(convolve)(place, history + start, weights + start, taps, stride, count);
    }
  }
  for (size_t row = 0; row < rows; row++) {
    float *place = x + row * stride;
    for (size_t c = 0; c < channels; c++) place[c] = place[c] * NAME(sigmoid_element)(place[c]);
  }
}

/// One token whose inputs may lie anywhere.
static void NAME(short_convolution_token)(
    const float *const *inputs, const float *weights, size_t taps, float *output,
    size_t channels) {
  enum { PART = NAME(CONVOLUTION_PART) };
  for (size_t start = 0; start < channels; start += PART) {
    const size_t count = channels - start < PART ? channels - start : PART;
    float total[PART];
    if (taps == 4) {
      const float *a = inputs[0] + start, *b = inputs[1] + start, *c = inputs[2] + start,
                  *d = inputs[3] + start, *w = weights + start;
      for (size_t i = 0; i < count; i++) {
        total[i] = ((w[i] * a[i] + w[channels + i] * b[i]) + w[2 * channels + i] * c[i]) +
                   w[3 * channels + i] * d[i];
      }
    } else {
      for (size_t i = 0; i < count; i++) total[i] = weights[start + i] * inputs[0][start + i];
      for (size_t tap = 1; tap < taps; tap++) {
        const float *w = weights + tap * channels + start, *x = inputs[tap] + start;
        for (size_t i = 0; i < count; i++) total[i] = total[i] + w[i] * x[i];
      }
    }
    for (size_t i = 0; i < count; i++) {
      output[start + i] = total[i] * NAME(sigmoid_element)(total[i]);
    }
  }
}
