// SPDX-License-Identifier: Apache-2.0
//
// Products of a vector with rows of 5 or 6 bits. Sixteen neighbouring elements are a vector, so activations stay
// in their order; a group is summed in its own register and then gets its scale.

INLINE float NAME(row_scale)(const uint8_t *scales, size_t group) {
  uint16_t half;
  memcpy(&half, scales + group * 2, sizeof half);
  return __builtin_bit_cast(float, (uint32_t)half << 16);
}

/// Some rows at a time, to load the activations once for all of them.
INLINE void NAME(stream_rows)(
    const struct kiln_matrix *matrix, const int bits, const int rows, size_t first, const float *x,
    float *y) {
  const size_t row_bytes = matrix->columns * (size_t)bits / 8;
  const size_t row_groups = matrix->columns / matrix->group;
  const uint8_t *codes = matrix->codes + first * row_bytes;
  const uint8_t *scales = matrix->scales + first * row_groups * 2;
  float16 total[ROWS_AT_A_TIME];
  UNROLL for (int r = 0; r < rows; r++) total[r] = ALL(0);
  for (size_t group = 0; group < row_groups; group++) {
    float16 part[ROWS_AT_A_TIME];
    UNROLL for (int r = 0; r < rows; r++) part[r] = ALL(0);
    for (size_t i = group * matrix->group; i < (group + 1) * matrix->group; i += LANES) {
      const float16 activations = LOAD(x + i);
      UNROLL for (int r = 0; r < rows; r++) {
        const uint8_t *source = codes + (size_t)r * row_bytes + i * (size_t)bits / 8;
        PREFETCH(source + 2 * ROWS_AT_A_TIME * row_bytes);
        int16lanes numbers;
        NAME(unpack_codes)(bits, source, &numbers);
        part[r] =
            MULTIPLY_ADD(__builtin_convertvector(numbers, float16), activations, part[r]);
      }
    }
    UNROLL for (int r = 0; r < rows; r++) {
      const float scale = NAME(row_scale)(scales + (size_t)r * row_groups * 2, group);
      total[r] = MULTIPLY_ADD(part[r], ALL(scale), total[r]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++) y[r] = NAME(sum_lanes)(total[r]);
}

INLINE void NAME(all_stream_rows)(
    const struct kiln_matrix *matrix, const int bits, size_t first, size_t count, const float *x,
    float *y) {
  size_t row = 0;
  for (; row + ROWS_AT_A_TIME <= count; row += ROWS_AT_A_TIME) {
    NAME(stream_rows)(matrix, bits, ROWS_AT_A_TIME, first + row, x, y + row);
  }
  for (; row < count; row++) NAME(stream_rows)(matrix, bits, 1, first + row, x, y + row);
}

/// A weighted sum of rows, sixteen columns at a time.
INLINE void NAME(add_stream_rows)(
    const struct kiln_matrix *matrix, const int bits, size_t first, size_t count, const float *x,
    float *y) {
  const size_t row_bytes = matrix->columns * (size_t)bits / 8;
  const size_t row_groups = matrix->columns / matrix->group;
  for (size_t i = 0; i < matrix->columns; i += LANES) {
    const uint8_t *codes = matrix->codes + first * row_bytes + i * (size_t)bits / 8;
    const uint8_t *scales = matrix->scales + first * row_groups * 2;
    float16 total = ALL(0);
    for (size_t row = 0; row < count; row++) {
      const float factor = x[row] * NAME(row_scale)(scales, i / matrix->group);
      int16lanes numbers;
      NAME(unpack_codes)(bits, codes, &numbers);
      total = MULTIPLY_ADD(__builtin_convertvector(numbers, float16), ALL(factor), total);
      codes += row_bytes;
      scales += row_groups * 2;
    }
    STORE(y + i, total);
  }
}
