// SPDX-License-Identifier: Apache-2.0
//
// The micro-kernel: a tile of the result stays in registers while a strip and a panel go by. See
// product.h for the layouts.

#include "fused.h"

/// One tile. `rows` and `groups` are constants at every call, so that the tile is registers; its
/// arrays have a constant size because arrays of variable size would live in memory.
static inline __attribute__((always_inline)) void NAME(product_tile)(
    const int rows, const int groups, size_t inner, const float *strip, const float *panel,
    size_t panel_stride, int adds, float *output, size_t output_stride) {
  float16 total[PRODUCT_ROWS][PRODUCT_GROUPS];
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int g = 0; g < groups; g++) total[r][g] = ALL(0);
  }
  for (size_t k = 0; k < inner; k++) {
    float16 right[PRODUCT_GROUPS];
    UNROLL for (int g = 0; g < groups; g++) right[g] = LOAD(panel + g * LANES);
    UNROLL for (int r = 0; r < rows; r++) {
      const float16 left = ALL(strip[r]);
      UNROLL for (int g = 0; g < groups; g++) {
        total[r][g] = MULTIPLY_ADD(left, right[g], total[r][g]);
      }
    }
    strip += PRODUCT_ROWS;
    panel += panel_stride;
  }
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int g = 0; g < groups; g++) {
      float *place = output + (size_t)r * output_stride + g * LANES;
      STORE(place, adds ? LOAD(place) + total[r][g] : total[r][g]);
    }
  }
}

/// A tile of any number of rows: a strip that is not full is done in pieces of 8, 4, 2 and 1.
static inline __attribute__((always_inline)) void NAME(product_rows_of_tile)(
    const int groups, size_t rows, size_t inner, const float *strip, const float *panel,
    size_t panel_stride, int adds, float *output, size_t output_stride) {
  if (rows == PRODUCT_ROWS) {
    NAME(product_tile)(
        PRODUCT_ROWS, groups, inner, strip, panel, panel_stride, adds, output, output_stride);
    return;
  }
#define PIECE(size) \
  if (size < PRODUCT_ROWS && (rows & size)) { \
    NAME(product_tile)( \
        size < PRODUCT_ROWS ? size : 1, groups, inner, strip, panel, panel_stride, adds, output, \
        output_stride); \
    strip += size; \
    output += size * output_stride; \
  }
  PIECE(8)
  PIECE(4)
  PIECE(2)
  PIECE(1)
#undef PIECE
}

static __attribute__((noinline)) void NAME(product_panel)(
    size_t rows, size_t inner, const float *strip, const float *panel, size_t panel_stride,
    int adds, float *output, size_t output_stride) {
  NAME(product_rows_of_tile)(
      PRODUCT_GROUPS, rows, inner, strip, panel, panel_stride, adds, output, output_stride);
}

/// A panel of which only the first 16 columns are used.
static __attribute__((noinline)) void NAME(product_group)(
    size_t rows, size_t inner, const float *strip, const float *panel, size_t panel_stride,
    int adds, float *output, size_t output_stride) {
  NAME(product_rows_of_tile)(
      1, rows, inner, strip, panel, panel_stride, adds, output, output_stride);
}

/// One panel, chain after chain; `columns` are rounded up to whole groups.
static void NAME(product_chains)(
    size_t rows, size_t columns, size_t inner, const float *strip, const float *panel,
    size_t panel_stride, int adds, float *output, size_t output_stride) {
  // An empty sum is one chain, too: it makes the output 0.
  size_t start = 0;
  do {
    const size_t left = inner - start;
    const size_t count = left < KILN_PRODUCT_CHAIN ? left : KILN_PRODUCT_CHAIN;
    (columns <= LANES ? NAME(product_group) : NAME(product_panel))(
        rows, count, strip + start * PRODUCT_ROWS, panel + start * panel_stride, panel_stride,
        adds || start > 0, output, output_stride);
    start += count;
  } while (start < inner);
}

static void NAME(strip_product)(
    size_t rows, size_t columns, size_t inner, const float *strip, struct kiln_panels panels,
    int adds, float *output, size_t output_stride) {
  enum { WIDTH = PRODUCT_GROUPS * LANES };
  const float *panel = panels.base;
  size_t column = 0;
  for (; column + WIDTH <= columns; column += WIDTH, panel += panels.panel_step) {
    NAME(product_chains)(
        rows, WIDTH, inner, strip, panel, panels.stride, adds, output + column, output_stride);
  }
  const size_t rest = columns - column;
  if (rest == LANES) {
    NAME(product_chains)(
        rows, rest, inner, strip, panel, panels.stride, adds, output + column, output_stride);
  } else if (rest > 0) {
    // A tile would write behind the last column.
    float part[PRODUCT_ROWS * WIDTH] = {0};
    for (size_t r = 0; r < rows && adds; r++) {
      memcpy(part + r * WIDTH, output + r * output_stride + column, rest * sizeof(float));
    }
    NAME(product_chains)(
        rows, rest, inner, strip, panel, panels.stride, adds, part, WIDTH);
    for (size_t r = 0; r < rows; r++) {
      memcpy(output + r * output_stride + column, part + r * WIDTH, rest * sizeof(float));
    }
  }
}

static void NAME(add_weighted_rows)(
    const float *rows, size_t stride, size_t count, size_t columns, const float *factors,
    float *const *targets) {
  for (size_t r = 0; r < count; r++) {
    const float *source = rows + r * stride;
    float *restrict target = targets[r];
    const float factor = factors[r];
    for (size_t i = 0; i < columns; i++) target[i] = target[i] + factor * source[i];
  }
}

static size_t NAME(product_rows)(void) { return PRODUCT_ROWS; }
static size_t NAME(product_columns)(void) { return PRODUCT_GROUPS * LANES; }
