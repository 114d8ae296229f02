// SPDX-License-Identifier: Apache-2.0
//
// Small matrix products whose right side is so narrow that it stays in the first-level cache.
// Each element of a product is one sum over the inner index in ascending order, so the size of a
// tile, which differs between instruction sets, does not change a bit.

/// What happens to the product: C = A B, C = C + A B, C = C - A B, C = diag(scale) C + A B.
enum NAME(tile_mode) { NAME(REPLACE), NAME(ADD), NAME(SUBTRACT), NAME(SCALE_AND_ADD) };

static inline __attribute__((always_inline)) void NAME(tile)(
    const int mode, const int rows, const int groups, size_t inner, const float *a,
    size_t a_stride, const float *b, size_t b_stride, float *c, size_t c_stride,
    const float *scale) {
  float16 total[TILE_ROWS][TILE_GROUPS];
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int g = 0; g < groups; g++) total[r][g] = ALL(0);
  }
  for (size_t k = 0; k < inner; k++) {
    float16 right[TILE_GROUPS];
    UNROLL for (int g = 0; g < groups; g++) right[g] = LOAD(b + k * b_stride + g * LANES);
    UNROLL for (int r = 0; r < rows; r++) {
      const float16 left = ALL(a[(size_t)r * a_stride + k]);
      UNROLL for (int g = 0; g < groups; g++) total[r][g] += left * right[g];
    }
  }
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int g = 0; g < groups; g++) {
      float *place = c + (size_t)r * c_stride + g * LANES;
      if (mode == NAME(REPLACE)) STORE(place, total[r][g]);
      if (mode == NAME(ADD)) STORE(place, LOAD(place) + total[r][g]);
      if (mode == NAME(SUBTRACT)) STORE(place, LOAD(place) - total[r][g]);
      if (mode == NAME(SCALE_AND_ADD)) STORE(place, ALL(scale[r]) * LOAD(place) + total[r][g]);
    }
  }
}

/// C [rows, columns] from A [rows, inner] and B [inner, columns]; columns are a multiple of 16.
static inline __attribute__((always_inline)) void NAME(product)(
    const int mode, size_t rows, size_t columns, size_t inner, const float *a, size_t a_stride,
    const float *b, size_t b_stride, float *c, size_t c_stride, const float *scale) {
  size_t column = 0;
  for (; column + TILE_GROUPS * LANES <= columns; column += TILE_GROUPS * LANES) {
    size_t row = 0;
    for (; row + TILE_ROWS <= rows; row += TILE_ROWS) {
      NAME(tile)(
          mode, TILE_ROWS, TILE_GROUPS, inner, a + row * a_stride, a_stride, b + column, b_stride,
          c + row * c_stride + column, c_stride, scale + row);
    }
    for (; row < rows; row++) {
      NAME(tile)(
          mode, 1, TILE_GROUPS, inner, a + row * a_stride, a_stride, b + column, b_stride,
          c + row * c_stride + column, c_stride, scale + row);
    }
  }
  for (; column < columns; column += LANES) {
    size_t row = 0;
    for (; row + TILE_ROWS <= rows; row += TILE_ROWS) {
      NAME(tile)(
          mode, TILE_ROWS, 1, inner, a + row * a_stride, a_stride, b + column, b_stride,
          c + row * c_stride + column, c_stride, scale + row);
    }
    for (; row < rows; row++) {
      NAME(tile)(
          mode, 1, 1, inner, a + row * a_stride, a_stride, b + column, b_stride,
          c + row * c_stride + column, c_stride, scale + row);
    }
  }
}

#define KILN_PRODUCT(name, mode) \
  static __attribute__((noinline)) void NAME(name)( \
      size_t rows, size_t columns, size_t inner, const float *a, size_t a_stride, \
      const float *b, size_t b_stride, float *c, size_t c_stride) { \
    NAME(product)(mode, rows, columns, inner, a, a_stride, b, b_stride, c, c_stride, a); \
  }

KILN_PRODUCT(product_replace, NAME(REPLACE))
KILN_PRODUCT(product_add, NAME(ADD))
KILN_PRODUCT(product_subtract, NAME(SUBTRACT))
#undef KILN_PRODUCT

static __attribute__((noinline)) void NAME(product_scale_and_add)(
    size_t rows, size_t columns, size_t inner, const float *a, size_t a_stride, const float *b,
    size_t b_stride, float *c, size_t c_stride, const float *scale) {
  NAME(product)(
      NAME(SCALE_AND_ADD), rows, columns, inner, a, a_stride, b, b_stride, c, c_stride, scale);
}
