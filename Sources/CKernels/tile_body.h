// SPDX-License-Identifier: Apache-2.0
//
// Small matrix products whose operands stay in the cache. Each element of a product is one sum
// over the inner index in ascending order, so the size of a tile, which differs between
// instruction sets, does not change a bit.

/// What happens to the product: C = A B, C = C + A B, C = diag(scale) C + A B.
enum NAME(tile_mode) { NAME(REPLACE), NAME(ADD), NAME(SCALE_AND_ADD) };

static inline __attribute__((always_inline)) void NAME(tile)(
    const int mode, const int rows, const int groups, size_t inner, const float *a,
    size_t a_stride, const float *b, size_t b_stride, float *c, size_t c_stride,
    const float *scale) {
  float16 total[TILE_ROWS][TILE_GROUPS];
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int g = 0; g < groups; g++) {
      const float *place = c + (size_t)r * c_stride + g * LANES;
      total[r][g] = mode == NAME(REPLACE) ? ALL(0) : LOAD(place);
      if (mode == NAME(SCALE_AND_ADD)) total[r][g] *= ALL(scale[r]);
    }
  }
  for (size_t k = 0; k < inner; k++) {
    float16 right[TILE_GROUPS];
    UNROLL for (int g = 0; g < groups; g++) right[g] = LOAD(b + k * b_stride + g * LANES);
    UNROLL for (int r = 0; r < rows; r++) {
      float16 left = ALL(a[(size_t)r * a_stride + k]);
      IN_REGISTER(left);
      UNROLL for (int g = 0; g < groups; g++) {
        total[r][g] = MULTIPLY_ADD(left, right[g], total[r][g]);
      }
    }
  }
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int g = 0; g < groups; g++) {
      STORE(c + (size_t)r * c_stride + g * LANES, total[r][g]);
    }
  }
}

/// All rows of `groups` times 16 columns, in tiles of nearly the same number of rows: a thin last
/// tile would wait for its own sums.
static inline __attribute__((always_inline)) void NAME(product_columns)(
    const int mode, const int groups, size_t rows, size_t inner, const float *a, size_t a_stride,
    const float *b, size_t b_stride, float *c, size_t c_stride, const float *scale) {
  for (size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS; tiles > 0; tiles--) {
    const size_t count = (rows + tiles - 1) / tiles;
#define KILN_TILE(n) \
  case n: \
    if (n <= TILE_ROWS) { \
      NAME(tile)( \
          mode, n <= TILE_ROWS ? n : 1, groups, inner, a, a_stride, b, b_stride, c, c_stride, \
          scale); \
    } \
    break
    switch (count) {
      KILN_TILE(1);
      KILN_TILE(2);
      KILN_TILE(3);
      KILN_TILE(4);
      KILN_TILE(5);
      KILN_TILE(6);
      KILN_TILE(7);
      KILN_TILE(8);
    }
#undef KILN_TILE
    a += count * a_stride;
    c += count * c_stride;
    scale += count;
    rows -= count;
  }
}

/// C [rows, columns] from A [rows, inner] and B [inner, columns]; columns are a multiple of 16.
static inline __attribute__((always_inline)) void NAME(product)(
    const int mode, size_t rows, size_t columns, size_t inner, const float *a, size_t a_stride,
    const float *b, size_t b_stride, float *c, size_t c_stride, const float *scale) {
  size_t column = 0;
  for (; column + TILE_GROUPS * LANES <= columns; column += TILE_GROUPS * LANES) {
    NAME(product_columns)(
        mode, TILE_GROUPS, rows, inner, a, a_stride, b + column, b_stride, c + column, c_stride,
        scale);
  }
  for (; TILE_GROUPS > 1 && column < columns; column += LANES) {
    NAME(product_columns)(
        mode, 1, rows, inner, a, a_stride, b + column, b_stride, c + column, c_stride, scale);
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
#undef KILN_PRODUCT

static __attribute__((noinline)) void NAME(product_scale_and_add)(
    size_t rows, size_t columns, size_t inner, const float *a, size_t a_stride, const float *b,
    size_t b_stride, float *c, size_t c_stride, const float *scale) {
  NAME(product)(
      NAME(SCALE_AND_ADD), rows, columns, inner, a, a_stride, b, b_stride, c, c_stride, scale);
}
