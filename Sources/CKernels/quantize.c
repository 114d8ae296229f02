// SPDX-License-Identifier: Apache-2.0

// Group quantization. The same source is compiled for several instruction sets: vectors of 16
// elements, which the compiler cuts into what the processor has. All operations are IEEE 754
// ones in a fixed order and none are fused, so that every variant gives the same bits.

#include "quantize.h"
#include "codes.h"

#include <string.h>

#pragma STDC FP_CONTRACT OFF
// Every function that takes or returns a vector is inlined, so no ABI is involved.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float floats __attribute__((ext_vector_type(16)));
typedef float floats8 __attribute__((ext_vector_type(8)));
typedef float floats4 __attribute__((ext_vector_type(4)));
typedef int32_t ints8 __attribute__((ext_vector_type(8)));
typedef int32_t ints4 __attribute__((ext_vector_type(4)));
typedef int32_t ints __attribute__((ext_vector_type(16)));
typedef uint32_t words __attribute__((ext_vector_type(16)));
typedef uint32_t words8 __attribute__((ext_vector_type(8)));
typedef uint32_t words4 __attribute__((ext_vector_type(4)));
typedef double doubles __attribute__((ext_vector_type(16)));
typedef double doubles8 __attribute__((ext_vector_type(8)));
typedef double doubles4 __attribute__((ext_vector_type(4)));
typedef uint8_t bytes __attribute__((ext_vector_type(16)));
typedef uint8_t bytes8 __attribute__((ext_vector_type(8)));

#define INLINE static inline __attribute__((always_inline))
#define EMPTY_SCALE 0x3C00u
#define LARGEST_BF16 0x7F7Fu
#define BLOCK 128

INLINE uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

INLINE float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

/// Rounds a finite number to BF16, half to even.
INLINE uint32_t bf16_of(float value) {
  uint32_t bits = bits_of(value);
  return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
}

/// CodeRange.nearestScale.
INLINE uint32_t nearest_scale(float largest_magnitude, int bits) {
  uint32_t scale = bf16_of(largest_magnitude / HALF_WIDTH(bits));
  uint32_t largest = LARGEST_BF16 - ((uint32_t)(bits - 1) << 7);
  if (scale == 0) return EMPTY_SCALE;
  return scale > largest ? largest : scale;
}

// Adding and subtracting 1.5 * 2^23 rounds half to even where there is no instruction for it.
#define VARIANT(name) name##_portable
#define ROUND(x) (((x) + 12582912.0f) - 12582912.0f)
#include "quantize_groups.h"
#undef VARIANT
#undef ROUND

#if defined(__x86_64__)
// Functions of one variant must not be inlined into another: each gets the attribute.
#define VARIANT(name) name##_avx2
#define ROUND(x) __builtin_elementwise_roundeven(x)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#include "quantize_groups.h"
#pragma clang attribute pop
#undef VARIANT

#define VARIANT(name) name##_avx512
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#include "quantize_groups.h"
#pragma clang attribute pop
#undef VARIANT
#endif

void kiln_quantize_groups(
    enum kiln_instruction_set set, const kiln_group_quantization *how, const float *values,
    ptrdiff_t groups, float *scratch, uint8_t *codes, uint16_t *scales,
    kiln_quantization_sums *sums) {
  switch (set) {
#if defined(__x86_64__)
  case KILN_AVX512_VBMI2:
  case KILN_AVX512_VNNI:
  case KILN_AVX512:
    quantize_groups_avx512(how, values, groups, scratch, codes, scales, sums);
    return;
  case KILN_AVX2:
    quantize_groups_avx2(how, values, groups, scratch, codes, scales, sums);
    return;
#endif
  default:
    quantize_groups_portable(how, values, groups, scratch, codes, scales, sums);
  }
}
