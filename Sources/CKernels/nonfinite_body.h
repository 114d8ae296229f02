// SPDX-License-Identifier: Apache-2.0
//
// Counts of odd numbers by their bits, at any alignment. Hardly any number is odd, so a run of them is
// only asked whether it has one, at the speed of the cache; runs that do are counted.

#define ODD_RUN 4096

#define COUNT_NONFINITE(name, type) \
  static void NAME(name)( \
      const uint8_t *bytes, size_t n, type exponent, size_t *nan, size_t *infinite) { \
    const type magnitude = (type)~((type)1 << (8 * sizeof(type) - 1)); \
    size_t odd = 0, exact = 0; \
    for (size_t start = 0; start < n; start += ODD_RUN) { \
      const uint8_t *run = bytes + start * sizeof(type); \
      const size_t count = n - start < ODD_RUN ? n - start : ODD_RUN; \
      type largest = 0; \
      for (size_t i = 0; i < count; i++) { \
        type bits; \
        memcpy(&bits, run + i * sizeof bits, sizeof bits); \
        bits &= magnitude; \
        largest = bits > largest ? bits : largest; \
      } \
      if (largest < exponent) continue; \
      for (size_t i = 0; i < count; i++) { \
        type bits; \
        memcpy(&bits, run + i * sizeof bits, sizeof bits); \
        bits &= magnitude; \
        odd += bits >= exponent; \
        exact += bits == exponent; \
      } \
    } \
    *nan = odd - exact; \
    *infinite = exact; \
  }

COUNT_NONFINITE(count_nonfinite16, uint16_t)
COUNT_NONFINITE(count_nonfinite32, uint32_t)

static size_t NAME(count_zero16)(const uint8_t *bytes, size_t n) {
  size_t zeros = 0;
  for (size_t start = 0; start < n; start += ODD_RUN) {
    const uint8_t *run = bytes + start * sizeof(uint16_t);
    const size_t count = n - start < ODD_RUN ? n - start : ODD_RUN;
    uint16_t in_run = 0;
    for (size_t i = 0; i < count; i++) {
      uint16_t bits;
      memcpy(&bits, run + i * sizeof bits, sizeof bits);
      in_run += (bits & 0x7FFF) == 0;
    }
    zeros += in_run;
  }
  return zeros;
}

#undef COUNT_NONFINITE
#undef ODD_RUN
