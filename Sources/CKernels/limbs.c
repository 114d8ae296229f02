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

#define ROWS_AT_A_TIME 8
#define LIMBS 3
/// |k| is below 2 to this power.
#define MAGNITUDE_BITS 22

#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))), \
    apply_to = function)

INLINE size_t block_length(enum kiln_encoding encoding) {
  return encoding == KILN_INT4 ? LONGEST_BLOCK : BLOCK_BYTES;
}

INLINE size_t planes_of(enum kiln_encoding encoding) { return encoding == KILN_INT4 ? 2 : 1; }

/// Floats that a block of a vector takes.
INLINE size_t block_stride(enum kiln_encoding encoding) {
  return (LIMBS * planes_of(encoding) + 1) * LANES;
}

// The vector -----------------------------------------------------------------------------------------

/// Elements of a block in their order, 0 behind the last.
INLINE void load_block(const enum kiln_encoding encoding, const float *x, size_t count, __m512 *v) {
  float filled[LONGEST_BLOCK];
  if (count < block_length(encoding)) {
    memset(filled, 0, sizeof filled);
    memcpy(filled, x, count * sizeof(float));
    x = filled;
  }
  UNROLL for (size_t i = 0; i < block_length(encoding) / LANES; i++) {
    v[i] = _mm512_loadu_ps(x + i * LANES);
  }
}

/// Takes two vectors, `places` elements of 16 / places dwords each: `a` gets the lower half of the places of the
/// dwords of both, `b` the upper half. Elements lie as [dword][place] at first, as [place][dword] afterwards.
INLINE void split_places(const int places, const int is_first, __m512 *a, __m512 *b) {
  const int dwords = LANES / places;
  int32_t order[LANES];
  UNROLL for (int i = 0; i < LANES; i++) {
    const int place = i / (2 * dwords), dword = i % (2 * dwords) % dwords;
    const int source = is_first ? dword * places + place : place * dwords + dword;
    order[i] = source + (i % (2 * dwords) < dwords ? 0 : LANES);
  }
  __m512i lower;
  memcpy(&lower, order, sizeof lower);
  const int step = places / 2 * (is_first ? 1 : dwords);
  const __m512i upper = _mm512_add_epi32(lower, _mm512_set1_epi32(step));
  const __m512 first = *a, second = *b;
  *a = _mm512_permutex2var_ps(first, lower, second);
  *b = _mm512_permutex2var_ps(first, upper, second);
}

/// Sorts the elements of a block by their place in a dword of codes: v[p] gets the p-th of each dword. That takes
/// a third of the time of gathers.
INLINE void sort_by_place(const enum kiln_encoding encoding, __m512 *v) {
  const int count = (int)block_length(encoding) / LANES;
  UNROLL for (int places = count; places > 1; places /= 2) {
    // Vectors of the same places are neighbours, in the order of their dwords; lower places come first.
    __m512 sorted[LONGEST_BLOCK / LANES];
    UNROLL for (int i = 0; i < count; i += 2) {
      const int first = i / places * places, pair = (i - first) / 2;
      split_places(places, places == count, v + i, v + i + 1);
      sorted[first + pair] = v[i];
      sorted[first + pair + places / 2] = v[i + 1];
    }
    UNROLL for (int i = 0; i < count; i++) v[i] = sorted[i];
  }
}

/// Bits of `a` where the mask has them, else of `b`.
INLINE __m512i blend_bits(uint32_t mask, __m512i a, __m512i b) {
  return _mm512_ternarylogic_epi32(_mm512_set1_epi32((int32_t)mask), a, b, 0xCA);
}

/// Moves the bytes of four integers `stride` vectors apart to three vectors that have one byte of each: the limbs,
/// the lowest first.
INLINE void pack_limbs(const __m512i *k, const int stride, __m512i *limbs) {
  __m512i pairs[2][LIMBS];
  UNROLL for (int i = 0; i < 2; i++) {
    const __m512i first = k[2 * i * stride], second = k[(2 * i + 1) * stride];
    pairs[i][0] = blend_bits(0xFF, first, _mm512_slli_epi32(second, 8));
    pairs[i][1] = blend_bits(0xFF, _mm512_srli_epi32(first, 8), second);
    pairs[i][2] =
        blend_bits(0xFF, _mm512_srli_epi32(first, 16), _mm512_srli_epi32(second, 8));
  }
  UNROLL for (int limb = 0; limb < LIMBS; limb++) {
    limbs[limb] = blend_bits(0xFFFF, pairs[0][limb], _mm512_slli_epi32(pairs[1][limb], 16));
  }
}

INLINE void arrange_block(
    const enum kiln_encoding encoding, const float *x, size_t count, __m512 factor,
    float *arranged) {
  const int places = encoding == KILN_INT4 ? 8 : 4, planes = places / 4;
  const __m512i most = _mm512_set1_epi32((1 << MAGNITUDE_BITS) - 1);
  const __m512i least = _mm512_set1_epi32(1 - (1 << MAGNITUDE_BITS));
  // Adding 128 to each limb and flipping its highest bit makes bytes of -128...127 of those of 0...255.
  const __m512i middle = _mm512_set1_epi32(0x808080);
  __m512 v[LONGEST_BLOCK / LANES];
  __m512i k[LONGEST_BLOCK / LANES], limbs[2][LIMBS], sum = _mm512_setzero_si512();
  load_block(encoding, x, count, v);
  sort_by_place(encoding, v);
  UNROLL for (int p = 0; p < places; p++) {
    const __m512i nearest = _mm512_cvtps_epi32(_mm512_mul_ps(v[p], factor));
    k[p] = _mm512_max_epi32(_mm512_min_epi32(nearest, most), least);
    sum = _mm512_add_epi32(sum, k[p]);
    k[p] = _mm512_xor_si512(_mm512_add_epi32(k[p], middle), middle);
  }
  UNROLL for (int plane = 0; plane < planes; plane++) pack_limbs(k + plane, planes, limbs[plane]);
  UNROLL for (int limb = LIMBS - 1; limb >= 0; limb--) {
    UNROLL for (int plane = 0; plane < planes; plane++) {
      _mm512_storeu_si512(arranged, limbs[plane][limb]);
      arranged += LANES;
    }
  }
  const unsigned shift = encoding == KILN_INT4 ? 3 : 7;
  _mm512_storeu_si512(
      arranged, _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sum, shift)));
}

INLINE void arrange_all(const enum kiln_encoding encoding, const float *x, size_t n, float *arranged) {
  const size_t length = block_length(encoding);
  const int vectors = (int)length / LANES;
  // The order of magnitudes is that of their bits; NaN is beyond infinity. All blocks have the same order of
  // elements, so the largest are sorted once.
  __m512 magnitudes[LONGEST_BLOCK / LANES];
  UNROLL for (int i = 0; i < vectors; i++) magnitudes[i] = _mm512_setzero_ps();
  for (size_t start = 0; start < n; start += length) {
    __m512 v[LONGEST_BLOCK / LANES];
    load_block(encoding, x + start, n - start < length ? n - start : length, v);
    UNROLL for (int i = 0; i < vectors; i++) {
      magnitudes[i] = _mm512_castsi512_ps(_mm512_max_epu32(
          _mm512_castps_si512(magnitudes[i]), _mm512_castps_si512(_mm512_abs_ps(v[i]))));
    }
  }
  sort_by_place(encoding, magnitudes);
  __m512i largest = _mm512_setzero_si512();
  UNROLL for (int i = 0; i < vectors; i++) {
    largest = _mm512_max_epu32(largest, _mm512_castps_si512(magnitudes[i]));
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
