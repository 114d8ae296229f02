// SPDX-License-Identifier: Apache-2.0
//
// Sixteen rows become sixteen columns.

typedef float NAME(float4_unaligned) __attribute__((ext_vector_type(4), aligned(4), may_alias));

/// target [width, 16] from source [16, width]; a stride is the distance of two rows in floats.
static void NAME(transpose)(
    const float *source, size_t stride, size_t width, float *target, size_t target_stride) {
  size_t c = 0;
  // Blocks of 4 x 4 inside sixteen columns of four rows: pairs of numbers, then pairs of pairs.
  for (; c + LANES <= width; c += LANES) {
    for (int row = 0; row < LANES; row += 4) {
      const float *place = source + row * stride + c;
      const float16 r0 = LOAD(place), r1 = LOAD(place + stride);
      const float16 r2 = LOAD(place + 2 * stride), r3 = LOAD(place + 3 * stride);
#define KILN_PAIRS(x, y, i) \
  __builtin_shufflevector( \
      x, y, i, i + 16, i + 1, i + 17, i + 4, i + 20, i + 5, i + 21, i + 8, i + 24, i + 9, i + 25, \
      i + 12, i + 28, i + 13, i + 29)
#define KILN_QUADS(x, y, i) \
  __builtin_shufflevector( \
      x, y, i, i + 1, i + 16, i + 17, i + 4, i + 5, i + 20, i + 21, i + 8, i + 9, i + 24, i + 25, \
      i + 12, i + 13, i + 28, i + 29)
      const float16 low01 = KILN_PAIRS(r0, r1, 0), high01 = KILN_PAIRS(r0, r1, 2);
      const float16 low23 = KILN_PAIRS(r2, r3, 0), high23 = KILN_PAIRS(r2, r3, 2);
      const float16 columns[4] = {
          KILN_QUADS(low01, low23, 0), KILN_QUADS(low01, low23, 2), KILN_QUADS(high01, high23, 0),
          KILN_QUADS(high01, high23, 2)};
#undef KILN_PAIRS
#undef KILN_QUADS
      // columns[i] has column i of each of the four blocks.
      UNROLL for (int i = 0; i < 4; i++) {
        float *first = target + (c + i) * target_stride + row;
#define KILN_BLOCK(b) \
  *(NAME(float4_unaligned) *)(first + 4 * b * target_stride) = \
      __builtin_shufflevector(columns[i], columns[i], 4 * b, 4 * b + 1, 4 * b + 2, 4 * b + 3)
        KILN_BLOCK(0);
        KILN_BLOCK(1);
        KILN_BLOCK(2);
        KILN_BLOCK(3);
#undef KILN_BLOCK
      }
    }
  }
  for (; c < width; c++) {
    for (int row = 0; row < LANES; row++) {
      target[c * target_stride + row] = source[row * stride + c];
    }
  }
}
