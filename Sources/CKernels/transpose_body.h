// SPDX-License-Identifier: Apache-2.0
//
// Sixteen rows become sixteen columns, in registers.

/// The last two rounds of a transposition, between neighbours: vector 4 j + i holds columns 4 j to 4 j + 3 of the
/// rows i, i + 4, i + 8 and i + 12, and afterwards column 4 j + i of all. Neighbours come first: so every exchange
/// is one instruction.
static inline __attribute__((always_inline)) void NAME(transpose_quarters)(float16 *rows) {
  UNROLL for (int quarter = 0; quarter < 16; quarter += 4) {
    float16 low[2], high[2];
    UNROLL for (int i = 0; i < 2; i++) {
      const float16 even = rows[quarter + 2 * i], odd = rows[quarter + 2 * i + 1];
      low[i] = __builtin_shufflevector(
          even, odd, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
      high[i] = __builtin_shufflevector(
          even, odd, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    }
    UNROLL for (int i = 0; i < 2; i++) {
      const float16 *pair = i == 0 ? low : high;
      rows[quarter + 2 * i] = __builtin_shufflevector(
          pair[0], pair[1], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
      rows[quarter + 2 * i + 1] = __builtin_shufflevector(
          pair[0], pair[1], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
  }
}

/// Sixteen vectors as the rows of a matrix: afterwards vector i holds what was lane i of each.
static inline __attribute__((always_inline)) void NAME(transpose)(float16 *rows) {
  // Rounds that exchange lanes of vectors 8 and 4 apart.
  UNROLL for (int i = 0; i < 8; i++) {
    const float16 low = rows[i], high = rows[i + 8];
    rows[i] = __builtin_shufflevector(
        low, high, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    rows[i + 8] = __builtin_shufflevector(
        low, high, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  }
  UNROLL for (int half = 0; half < 16; half += 8) {
    UNROLL for (int i = half; i < half + 4; i++) {
      const float16 low = rows[i], high = rows[i + 4];
      rows[i] = __builtin_shufflevector(
          low, high, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
      rows[i + 4] = __builtin_shufflevector(
          low, high, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
    }
  }
  NAME(transpose_quarters)(rows);
}

/// target [width, 16] from source [16, width]; a stride is the distance of two rows in floats.
static inline void NAME(transpose_rows)(
    const float *source, size_t stride, size_t width, float *target, size_t target_stride) {
  size_t c = 0;
  for (; c + LANES <= width; c += LANES) {
    float16 block[LANES];
    UNROLL for (int row = 0; row < LANES; row++) block[row] = LOAD(source + row * stride + c);
    NAME(transpose)(block);
    UNROLL for (int i = 0; i < LANES; i++) STORE(target + (c + i) * target_stride, block[i]);
  }
  for (; c < width; c++) {
    for (int row = 0; row < LANES; row++) {
      target[c * target_stride + row] = source[row * stride + c];
    }
  }
}
