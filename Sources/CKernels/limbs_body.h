// SPDX-License-Identifier: Apache-2.0
//
// Products of integer codes with a vector in limbs: see limbs.c, which compiles this once for each
// instruction set. With KILN_WIDE_SHIFTS there are two instructions less in a block of four bits, one in a
// block of eight, of which a core starts two a cycle: VBMI2 shifts the next byte of the offset in where
// a shift is needed anyway, GFNI takes the upper half of each byte at once. Both give the same bits.

/// The bytes of 4, 2 or 1 BF16 scales where the lanes of their groups have the upper half of a float.
INLINE __m512i NAME(scale_places)(const int groups) {
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

INLINE __m512 NAME(scale_lanes)(const int groups, __m512i places, const uint8_t *scales) {
  int64_t bits = 0;
  memcpy(&bits, scales, (size_t)groups * 2);
  const __m512i all =
      groups == 4 ? _mm512_set1_epi64(bits) : _mm512_set1_epi32((int32_t)bits);
  return _mm512_castsi512_ps(_mm512_shuffle_epi8(all, places));
}

/// The upper half of each byte.
INLINE __m512i NAME(upper_halves)(__m512i bytes) {
#if KILN_WIDE_SHIFTS
  // A matrix of bits, one row for each bit of the result.
  return _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_set1_epi64(0x1020408000000000), 0);
#else
  return _mm512_and_si512(_mm512_srli_epi16(bytes, 4), _mm512_set1_epi8(15));
#endif
}

/// What sums of a block begin with, and what `shift` brings into them, limb by limb: the offset in parts.
INLINE void NAME(split_offset)(__m512i offset, __m512i *parts) {
#if KILN_WIDE_SHIFTS
  parts[0] = _mm512_srai_epi32(offset, 16);
  // A byte comes in from above.
  parts[1] = _mm512_slli_epi32(offset, 16);
  parts[2] = _mm512_slli_epi32(offset, 24);
#else
  parts[0] = parts[1] = _mm512_setzero_si512();
  parts[2] = offset;
#endif
}

INLINE __m512i NAME(shift)(__m512i sum, __m512i part) {
#if KILN_WIDE_SHIFTS
  return _mm512_shldi_epi32(sum, part, 8);
#else
  return _mm512_add_epi32(_mm512_slli_epi32(sum, 8), part);
#endif
}

/// The sum of products of a block of codes with all limbs and of the offset, for each lane: Horner's rule.
INLINE __m512i NAME(multiply_block)(
    const enum kiln_encoding encoding, const uint8_t *codes, const __m512i *limbs,
    const __m512i *offset) {
  const int planes = encoding == KILN_INT4 ? 2 : 1;
  __m512i q = _mm512_loadu_si512(codes), high = _mm512_setzero_si512();
  if (planes == 2) {
    high = NAME(upper_halves)(q);
    q = _mm512_and_si512(q, _mm512_set1_epi8(15));
  }
  __m512i sum = offset[0];
  UNROLL for (int limb = 0; limb < LIMBS; limb++) {
    if (limb > 0) sum = NAME(shift)(sum, offset[limb]);
    sum = _mm512_dpbusd_epi32(sum, q, limbs[limb * planes]);
    if (planes == 2) sum = _mm512_dpbusd_epi32(sum, high, limbs[limb * planes + 1]);
  }
  return sum;
}

/// Sums of four vectors of lanes: lane i to lane i + 8, then 4, 2, 1.
INLINE __m128 NAME(sum_lanes)(__m512 a, __m512 b, __m512 c, __m512 d) {
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

INLINE void NAME(add_block)(
    const enum kiln_encoding encoding, const int groups, const int rows, const uint8_t *codes,
    size_t row_bytes, const uint8_t *scales, size_t scale_bytes, __m512i places, const float *x,
    __m512 *total) {
  const int vectors = LIMBS * (encoding == KILN_INT4 ? 2 : 1);
  __m512i limbs[2 * LIMBS];
  UNROLL for (int i = 0; i < vectors; i++) limbs[i] = _mm512_loadu_si512(x + i * LANES);
  __m512i offset[LIMBS];
  NAME(split_offset)(_mm512_loadu_si512(x + vectors * LANES), offset);
  UNROLL for (int r = 0; r < rows; r++) {
    const uint8_t *block = codes + (size_t)r * row_bytes;
    // Several rows at a time are a pattern that the hardware does not foresee. Behind the last row
    // this is a hint that comes to nothing.
    PREFETCH(block + 2 * ROWS_AT_A_TIME * row_bytes);
    const __m512 sum = _mm512_cvtepi32_ps(NAME(multiply_block)(encoding, block, limbs, offset));
    total[r] = groups ? _mm512_fmadd_ps(
                            sum, NAME(scale_lanes)(groups, places, scales + (size_t)r * scale_bytes),
                            total[r])
                      : _mm512_add_ps(total[r], sum);
  }
}

/// What is left of a row behind its last whole block, filled up to a block: the vector there is 0.
INLINE void NAME(add_rest)(
    const enum kiln_encoding encoding, const int groups, size_t byte_count, const uint8_t *codes,
    size_t scale_byte_count, const uint8_t *scales, __m512i places, const float *x, __m512 *total) {
  uint8_t block[BLOCK_BYTES] = {0}, block_scales[8] = {0};
  memcpy(block, codes, byte_count);
  if (groups) memcpy(block_scales, scales, scale_byte_count);
  NAME(add_block)(encoding, groups, 1, block, 0, block_scales, 0, places, x, total);
}

/// Some rows, 8 or 1. Without groups one scale holds for a row. Rows that are not whole blocks go one by
/// one: their last block would cost the others their registers.
INLINE void NAME(multiply_rows)(
    const struct kiln_matrix *matrix, const enum kiln_encoding encoding, const int groups,
    const int rows, size_t first, const float *x, float *y) {
  const size_t length = block_length(encoding), blocks = matrix->columns / length;
  const size_t row_bytes = matrix->columns * BLOCK_BYTES / length;
  const size_t scale_bytes = matrix->columns / matrix->group * 2;
  const uint8_t *codes = matrix->codes + first * row_bytes;
  const uint8_t *scales = matrix->scales + first * scale_bytes;
  const __m512i places = NAME(scale_places)(groups);
  const __m512 lane_scales = _mm512_loadu_ps(x);
  x += LANES;
  __m512 total[ROWS_AT_A_TIME];
  UNROLL for (int r = 0; r < ROWS_AT_A_TIME; r++) total[r] = _mm512_setzero_ps();
  for (size_t block = 0; block < blocks; block++) {
    const size_t group = groups ? block * length / matrix->group : 0;
    NAME(add_block)(
        encoding, groups, rows, codes + block * BLOCK_BYTES, row_bytes, scales + group * 2,
        scale_bytes, places, x + block * block_stride(encoding), total);
  }
  if (rows == 1 && matrix->columns % length) {
    const size_t group = groups ? blocks * length / matrix->group : 0, done = blocks * BLOCK_BYTES;
    NAME(add_rest)(
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
    _mm_storeu_ps(sums + r, NAME(sum_lanes)(total[r], total[r + 1], total[r + 2], total[r + 3]));
  }
  UNROLL for (int r = 0; r < rows; r++) y[r] = sums[r];
}

INLINE void NAME(multiply_all)(
    const struct kiln_matrix *matrix, const enum kiln_encoding encoding, const int groups,
    size_t first, size_t count, const float *x, float *y) {
  size_t row = 0;
  if (matrix->columns % block_length(encoding) == 0) {
    for (; row + ROWS_AT_A_TIME <= count; row += ROWS_AT_A_TIME) {
      NAME(multiply_rows)(matrix, encoding, groups, ROWS_AT_A_TIME, first + row, x, y + row);
    }
  }
  for (; row < count; row++) NAME(multiply_rows)(matrix, encoding, groups, 1, first + row, x, y + row);
}

static void NAME(multiply_limbs)(
    const struct kiln_matrix *matrix, size_t first, size_t count, const float *x, float *y) {
  const size_t group = matrix->group;
  const int is_row = group == matrix->columns;
  if (matrix->encoding == KILN_INT4) {
    if (is_row) NAME(multiply_all)(matrix, KILN_INT4, 0, first, count, x, y);
    else if (group == 32) NAME(multiply_all)(matrix, KILN_INT4, 4, first, count, x, y);
    else if (group == 64) NAME(multiply_all)(matrix, KILN_INT4, 2, first, count, x, y);
    else NAME(multiply_all)(matrix, KILN_INT4, 1, first, count, x, y);
  } else {
    if (is_row) NAME(multiply_all)(matrix, KILN_INT8, 0, first, count, x, y);
    else if (group == 32) NAME(multiply_all)(matrix, KILN_INT8, 2, first, count, x, y);
    else NAME(multiply_all)(matrix, KILN_INT8, 1, first, count, x, y);
  }
}
