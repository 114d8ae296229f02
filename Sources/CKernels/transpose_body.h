// SPDX-License-Identifier: Apache-2.0
//
// Sixteen rows become sixteen columns, in registers.

/// Sixteen vectors as the rows of a matrix: afterwards vector i holds what was lane i of each.
static inline __attribute__((always_inline)) void NAME(transpose)(float16 *rows) {
  // Four rounds that exchange lanes of vectors 8, 4, 2 and 1 apart.
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
  UNROLL for (int quarter = 0; quarter < 16; quarter += 4) {
    UNROLL for (int i = quarter; i < quarter + 2; i++) {
      const float16 low = rows[i], high = rows[i + 2];
      rows[i] = __builtin_shufflevector(
          low, high, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
      rows[i + 2] = __builtin_shufflevector(
          low, high, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
  }
  UNROLL for (int i = 0; i < 16; i += 2) {
    const float16 low = rows[i], high = rows[i + 1];
    rows[i] = __builtin_shufflevector(
        low, high, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
    rows[i + 1] = __builtin_shufflevector(
        low, high, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
  }
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
