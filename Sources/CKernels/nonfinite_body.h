// SPDX-License-Identifier: Apache-2.0
//
// Counts of numbers whose exponent is all ones, by their bits and at any alignment.

#define COUNT_NONFINITE(name, type) \
  static void NAME(name)( \
      const uint8_t *bytes, size_t n, type exponent, size_t *nan, size_t *infinite) { \
    size_t odd = 0, exact = 0; \
    for (size_t i = 0; i < n; i++) { \
      type bits; \
      memcpy(&bits, bytes + i * sizeof bits, sizeof bits); \
      bits &= (type)~((type)1 << (8 * sizeof bits - 1)); \
      odd += bits >= exponent; \
      exact += bits == exponent; \
    } \
    *nan = odd - exact; \
    *infinite = exact; \
  }

COUNT_NONFINITE(count_nonfinite16, uint16_t)
COUNT_NONFINITE(count_nonfinite32, uint32_t)

#undef COUNT_NONFINITE
