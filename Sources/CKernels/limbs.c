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

// Products -------------------------------------------------------------------------------------------

/// The bytes of 4, 2 or 1 BF16 scales where the lanes of their groups have the upper half of a float.
INLINE __m512i scale_places(const int groups) {
  int32_t places[LANES];
  UNROLL for (int lane = 0; lane < LANES; lane++) {
    const int first = groups ? lane * groups / LANES * 2 : 0;
    places[lane] = (int32_t)((uint32_t)(first + 1) << 24 | (uint32_t)first << 16 | 0x8080u);
  }
  __m512i vector;
  memcpy(&vector, places, sizeof vector);
  // Compilers that know the places make two instructions of one.
  __asm__("" : "+v"(vector));
  return vector;
}

INLINE __m512 scale_lanes(const int groups, __m512i places, const uint8_t *scales) {
  int64_t bits = 0;
  memcpy(&bits, scales, (size_t)groups * 2);
  const __m512i all =
      groups == 4 ? _mm512_set1_epi64(bits) : _mm512_set1_epi32((int32_t)bits);
  return _mm512_castsi512_ps(_mm512_shuffle_epi8(all, places));
}

/// The sum of products of a block of codes with all limbs, for each lane: Horner's rule.
INLINE __m512i multiply_block(
    const enum kiln_encoding encoding, const uint8_t *codes, const __m512i *limbs, __m512i offset) {
  __m512i q = _mm512_loadu_si512(codes), high = _mm512_setzero_si512();
  if (encoding == KILN_INT4) {
    const __m512i low_halves = _mm512_set1_epi8(15);
    high = _mm512_and_si512(_mm512_srli_epi16(q, 4), low_halves);
    q = _mm512_and_si512(q, low_halves);
  }
  const int planes = encoding == KILN_INT4 ? 2 : 1;
  __m512i sum = _mm512_setzero_si512();
  UNROLL for (int limb = 0; limb < LIMBS; limb++) {
    if (limb > 0) sum = _mm512_slli_epi32(sum, 8);
    sum = _mm512_dpbusd_epi32(sum, q, limbs[limb * planes]);
    if (planes == 2) sum = _mm512_dpbusd_epi32(sum, high, limbs[limb * planes + 1]);
  }
  return _mm512_add_epi32(sum, offset);
}

/// Sums of four vectors of lanes: lane i to lane i + 8, then 4, 2, 1.
INLINE __m128 sum_lanes(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab =
      _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
  const __m512 cd =
      _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
  __m512 sum =
      _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
  sum = _mm512_add_ps(sum, _mm512_permute_ps(sum, 0x4E));
  sum = _mm512_add_ps(sum, _mm512_permute_ps(sum, 0xB1));
  return _mm512_castps512_ps128(_mm512_permutexvar_ps(
      _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), sum));
}

INLINE void add_block(
    const enum kiln_encoding encoding, const int groups, const int rows, const uint8_t *codes,
    size_t row_bytes, const uint8_t *scales, size_t scale_bytes, __m512i places, const float *x,
    __m512 *total) {
  const int vectors = LIMBS * (encoding == KILN_INT4 ? 2 : 1);
  __m512i limbs[2 * LIMBS];
  UNROLL for (int i = 0; i < vectors; i++) limbs[i] = _mm512_loadu_si512(x + i * LANES);
  const __m512i offset = _mm512_loadu_si512(x + vectors * LANES);
  UNROLL for (int r = 0; r < rows; r++) {
    const uint8_t *block = codes + (size_t)r * row_bytes;
    // Several rows at a time are a pattern that the hardware does not foresee. Behind the last row
    // this is a hint that comes to nothing.
    PREFETCH(block + 2 * ROWS_AT_A_TIME * row_bytes);
    const __m512 sum = _mm512_cvtepi32_ps(multiply_block(encoding, block, limbs, offset));
    total[r] = groups ? _mm512_fmadd_ps(
                            sum, scale_lanes(groups, places, scales + (size_t)r * scale_bytes),
                            total[r])
                      : _mm512_add_ps(total[r], sum);
  }
}

/// What is left of a row behind its last whole block, filled up to a block: the vector there is 0.
INLINE void add_rest(
    const enum kiln_encoding encoding, const int groups, size_t byte_count, const uint8_t *codes,
    size_t scale_byte_count, const uint8_t *scales, __m512i places, const float *x, __m512 *total) {
  uint8_t block[BLOCK_BYTES] = {0}, block_scales[8] = {0};
  memcpy(block, codes, byte_count);
  if (groups) memcpy(block_scales, scales, scale_byte_count);
  add_block(encoding, groups, 1, block, 0, block_scales, 0, places, x, total);
}

/// Some rows, 8 or 1. Without groups one scale holds for a row. Rows that are not whole blocks go one by
/// one: their last block would cost the others their registers.
INLINE void multiply_rows(
    const struct kiln_matrix *matrix, const enum kiln_encoding encoding, const int groups,
    const int rows, size_t first, const float *x, float *y) {
  const size_t length = block_length(encoding), blocks = matrix->columns / length;
  const size_t row_bytes = matrix->columns * BLOCK_BYTES / length;
  const size_t scale_bytes = matrix->columns / matrix->group * 2;
  const uint8_t *codes = matrix->codes + first * row_bytes;
  const uint8_t *scales = matrix->scales + first * scale_bytes;
  const __m512i places = scale_places(groups);
  const __m512 lane_scales = _mm512_loadu_ps(x);
  x += LANES;
  __m512 total[ROWS_AT_A_TIME];
  UNROLL for (int r = 0; r < ROWS_AT_A_TIME; r++) total[r] = _mm512_setzero_ps();
  for (size_t block = 0; block < blocks; block++) {
    const size_t group = groups ? block * length / matrix->group : 0;
    add_block(
        encoding, groups, rows, codes + block * BLOCK_BYTES, row_bytes, scales + group * 2,
        scale_bytes, places, x + block * block_stride(encoding), total);
  }
  if (rows == 1 && matrix->columns % length) {
    const size_t group = groups ? blocks * length / matrix->group : 0, done = blocks * BLOCK_BYTES;
    add_rest(
        encoding, groups, row_bytes - done, codes + done, scale_bytes - group * 2,
        scales + group * 2, places, x + blocks * block_stride(encoding), total);
  }
  UNROLL for (int r = 0; r < rows; r++) {
    total[r] = _mm512_mul_ps(total[r], lane_scales);
    if (!groups) {
      uint16_t half;
      memcpy(&half, scales + (size_t)r * scale_bytes, sizeof half);
      total[r] = _mm512_mul_ps(
          total[r], _mm512_set1_ps(__builtin_bit_cast(float, (uint32_t)half << 16)));
    }
  }
  float sums[ROWS_AT_A_TIME];
  UNROLL for (int r = 0; r < rows; r += 4) {
    _mm_storeu_ps(sums + r, sum_lanes(total[r], total[r + 1], total[r + 2], total[r + 3]));
  }
  UNROLL for (int r = 0; r < rows; r++) y[r] = sums[r];
}

INLINE void multiply_all(
    const struct kiln_matrix *matrix, const enum kiln_encoding encoding, const int groups,
    size_t first, size_t count, const float *x, float *y) {
  size_t row = 0;
  if (matrix->columns % block_length(encoding) == 0) {
    for (; row + ROWS_AT_A_TIME <= count; row += ROWS_AT_A_TIME) {
      multiply_rows(matrix, encoding, groups, ROWS_AT_A_TIME, first + row, x, y + row);
    }
  }
  for (; row < count; row++) multiply_rows(matrix, encoding, groups, 1, first + row, x, y + row);
}

void kiln_multiply_limbs(
    const struct kiln_matrix *matrix, size_t first, size_t count, const float *x, float *y) {
  const size_t group = matrix->group;
  const int is_row = group == matrix->columns;
  if (matrix->encoding == KILN_INT4) {
    if (is_row) multiply_all(matrix, KILN_INT4, 0, first, count, x, y);
    else if (group == 32) multiply_all(matrix, KILN_INT4, 4, first, count, x, y);
    else if (group == 64) multiply_all(matrix, KILN_INT4, 2, first, count, x, y);
    else multiply_all(matrix, KILN_INT4, 1, first, count, x, y);
  } else {
    if (is_row) multiply_all(matrix, KILN_INT8, 0, first, count, x, y);
    else if (group == 32) multiply_all(matrix, KILN_INT8, 2, first, count, x, y);
    else multiply_all(matrix, KILN_INT8, 1, first, count, x, y);
  }
}

#pragma clang attribute pop

#else

// Never called: no processor of another architecture has the instruction set.
void kiln_arrange_limbs(enum kiln_encoding encoding, const float *x, size_t n, float *arranged) {
  (void)encoding, (void)x, (void)n, (void)arranged;
}

void kiln_multiply_limbs(
    const struct kiln_matrix *matrix, size_t first, size_t count, const float *x, float *y) {
  (void)matrix, (void)first, (void)count, (void)x, (void)y;
}

#endif
