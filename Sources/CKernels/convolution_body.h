// SPDX-License-Identifier: Apache-2.0
//
// One token of a depthwise convolution over time.

#include "exponential_body.h"

static void NAME(short_convolution)(
    const float *const *inputs, const float *weights, size_t taps, float *output,
    size_t channels) {
  // Parts so small that their sums stay in the first-level cache until the activation.
  enum { PART = 256 };
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
