// SPDX-License-Identifier: Apache-2.0
//
// Integer codes times a float vector with the dot products of bytes that AVX-512 VNNI has: 64 products
// an instruction, where float arithmetic has 16 and must convert every code first.
//
// A number of the vector becomes x = scale * k, k an integer of 23 bits with its sign, and k three
// limbs of a signed byte: k = (l2 * 256 + l1) * 256 + l0. Products of codes with each limb are summed
// in 32 bits and put together, exactly; what is rounded is k, the float that a sum becomes, and the sum
// of these floats. Codes are stored with an offset z, so that z times the sum of all k is taken off
// again.
//
// 16 lanes, one for each dword of a block of codes, have a scale each for all of a vector: a power of two
// with 2^21 <= |k| < 2^22 for the largest element that the lane meets. An element is off by 2^-22 of that
// at most, as a float32 sum that meets it is.
//
//     limbs:  [16] floats, the scales of the lanes; then for each block of codes
//             [3, planes] vectors of 64 bytes, the highest limb first, and [16] int32, -z * sum of k
//
// planes: 2 for four bits (low and high halves of a byte), 1 for eight.

#include "limbs.h"
#include "lanes.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF
#define INLINE static inline __attribute__((always_inline))

/// Bytes of codes in a block.
#define BLOCK_BYTES 64
#define ROWS_AT_A_TIME 8
#define LIMBS 3
/// |k| is below 2 to this power.
#define MAGNITUDE_BITS 22

#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))), \
    apply_to = function)

INLINE size_t block_length(enum kiln_encoding encoding) {
  return encoding == KILN_INT4 ? 128 : 64;
}

INLINE size_t planes_of(enum kiln_encoding encoding) { return encoding == KILN_INT4 ? 2 : 1; }

/// Floats that a block of a vector takes.
INLINE size_t block_stride(enum kiln_encoding encoding) {
  return (LIMBS * planes_of(encoding) + 1) * LANES;
}

// The vector -----------------------------------------------------------------------------------------

/// Elements of a block by their place in a dword of codes: v[p] has the p-th of each dword.
INLINE void load_block(const enum kiln_encoding encoding, const float *x, size_t count, __m512 *v) {
  const int places = encoding == KILN_INT4 ? 8 : 4;
  const __m512i steps = _mm512_mullo_epi32(
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
      _mm512_set1_epi32(places));
  UNROLL for (int p = 0; p < places; p++) {
    const __m512i index = _mm512_add_epi32(steps, _mm512_set1_epi32(p));
    const __mmask16 there = _mm512_cmplt_epi32_mask(index, _mm512_set1_epi32((int)count));
    v[p] = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), there, index, x, 4);
  }
}

/// Limb `limb` of four integers of a lane, one byte each.
INLINE __m512i pack_limb(const __m512i *k, const int stride, const int limb) {
  __m512i packed = _mm512_setzero_si512();
  UNROLL for (int byte = 0; byte < 4; byte++) {
    const __m512i digit = _mm512_and_si512(
        _mm512_srli_epi32(k[byte * stride], (unsigned)(8 * limb)), _mm512_set1_epi32(255));
    packed = _mm512_or_si512(packed, _mm512_slli_epi32(digit, (unsigned)(8 * byte)));
  }
  return packed;
}

INLINE void arrange_block(
    const enum kiln_encoding encoding, const float *x, size_t count, __m512 factor,
    float *arranged) {
  const int places = encoding == KILN_INT4 ? 8 : 4, planes = places / 4;
  const __m512i most = _mm512_set1_epi32((1 << MAGNITUDE_BITS) - 1);
  const __m512i least = _mm512_set1_epi32(1 - (1 << MAGNITUDE_BITS));
  // Adding 128 to each limb and flipping its highest bit makes bytes of -128...127 of those of 0...255.
  const __m512i middle = _mm512_set1_epi32(0x808080);
  __m512 v[8];
  __m512i k[8], sum = _mm512_setzero_si512();
  load_block(encoding, x, count, v);
  UNROLL for (int p = 0; p < places; p++) {
    const __m512i nearest = _mm512_cvtps_epi32(_mm512_mul_ps(v[p], factor));
    k[p] = _mm512_max_epi32(_mm512_min_epi32(nearest, most), least);
    sum = _mm512_add_epi32(sum, k[p]);
    k[p] = _mm512_xor_si512(_mm512_add_epi32(k[p], middle), middle);
  }
  UNROLL for (int limb = LIMBS - 1; limb >= 0; limb--) {
    UNROLL for (int plane = 0; plane < planes; plane++) {
      _mm512_storeu_si512(arranged, pack_limb(k + plane, planes, limb));
      arranged += LANES;
    }
  }
  const unsigned shift = encoding == KILN_INT4 ? 3 : 7;
  _mm512_storeu_si512(
      arranged, _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sum, shift)));
}

INLINE void arrange_all(const enum kiln_encoding encoding, const float *x, size_t n, float *arranged) {
  const int places = encoding == KILN_INT4 ? 8 : 4;
  const size_t length = block_length(encoding);
  // The order of magnitudes is that of their bits; NaN is beyond infinity.
  __m512i largest = _mm512_setzero_si512();
  for (size_t start = 0; start < n; start += length) {
    __m512 v[8];
    load_block(encoding, x + start, n - start < length ? n - start : length, v);
    UNROLL for (int p = 0; p < places; p++) {
      largest = _mm512_max_epu32(
          largest, _mm512_and_si512(_mm512_castps_si512(v[p]), _mm512_set1_epi32(0x7FFFFFFF)));
    }
  }
  // Biased exponents: what is far below anything that matters shares one, so that all stay normal.
  const __m512i exponent =
      _mm512_max_epi32(_mm512_srli_epi32(largest, 23), _mm512_set1_epi32(MAGNITUDE_BITS));
  const __m512i scale =
      _mm512_slli_epi32(_mm512_sub_epi32(exponent, _mm512_set1_epi32(MAGNITUDE_BITS - 1)), 23);
  const __m512i factor = _mm512_slli_epi32(
      _mm512_sub_epi32(_mm512_set1_epi32(2 * 127 + MAGNITUDE_BITS - 1), exponent), 23);
  // A lane with an element that is not finite gives NaN.
  const __mmask16 is_broken =
      _mm512_cmpge_epi32_mask(largest, _mm512_set1_epi32(0x7F800000));
  _mm512_storeu_ps(
      arranged, _mm512_mask_mov_ps(
                    _mm512_castsi512_ps(scale), is_broken, _mm512_set1_ps(__builtin_nanf(""))));
  arranged += LANES;
  for (size_t start = 0; start < n; start += length) {
    arrange_block(
        encoding, x + start, n - start < length ? n - start : length, _mm512_castsi512_ps(factor),
        arranged);
    arranged += block_stride(encoding);
  }
}

void kiln_arrange_limbs(enum kiln_encoding encoding, const float *x, size_t n, float *arranged) {
  if (encoding == KILN_INT4) arrange_all(KILN_INT4, x, n, arranged);
  else arrange_all(KILN_INT8, x, n, arranged);
}

#pragma clang attribute pop

// Products -------------------------------------------------------------------------------------------

#define JOIN_(name, suffix) name##suffix
#define JOIN(name, suffix) JOIN_(name, suffix)
#define NAME(name) JOIN(name, SUFFIX)

#define SUFFIX _vnni
#define KILN_WIDE_SHIFTS 0
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))), \
    apply_to = function)
#include "limbs_body.h"
#pragma clang attribute pop
#undef SUFFIX
#undef KILN_WIDE_SHIFTS

#define SUFFIX _vbmi2
#define KILN_WIDE_SHIFTS 1
#pragma clang attribute push( \
    __attribute__((target( \
        "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi2,gfni"))), \
    apply_to = function)
#include "limbs_body.h"
#pragma clang attribute pop

void kiln_multiply_limbs(
    enum kiln_instruction_set set, const struct kiln_matrix *matrix, size_t first, size_t count,
    const float *x, float *y) {
  if (set == KILN_AVX512_VBMI2) multiply_limbs_vbmi2(matrix, first, count, x, y);
  else multiply_limbs_vnni(matrix, first, count, x, y);
}

#else

// Never called: no processor of another architecture has the instruction set.
void kiln_arrange_limbs(enum kiln_encoding encoding, const float *x, size_t n, float *arranged) {
  (void)encoding, (void)x, (void)n, (void)arranged;
}

void kiln_multiply_limbs(
    enum kiln_instruction_set set, const struct kiln_matrix *matrix, size_t first, size_t count,
    const float *x, float *y) {
  (void)set, (void)matrix, (void)first, (void)count, (void)x, (void)y;
}

#endif
