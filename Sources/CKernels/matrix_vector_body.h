// SPDX-License-Identifier: Apache-2.0
//
// Products of stored matrices with a vector. A row is summed in 16 lanes; each lane sums the
// elements of its dword, applies their scale, and adds that to the sum of the blocks before. Rows go
// by several at a time, to load the activations once for all of them.

#include "fused.h"
#include "bit_stream_body.h"
#include "stored_block_body.h"

#if VECTOR_BITS == 512
#define ROWS_AT_A_TIME 4
#else
#define ROWS_AT_A_TIME 2
#endif

/// Sorts the elements of `planes` vectors by their index modulo `planes`: evens and odds, each sorted in
/// the same way. The plane p is then at the index that has the bits of p in reverse.
INLINE void NAME(sort_planes)(const int planes, float16 *v) {
  UNROLL for (int size = planes; size > 1; size /= 2) {
    float16 sorted[8];
    UNROLL for (int i = 0; i < planes; i++) {
      const int pair = i / size * size + i % (size / 2) * 2;
      const int is_odd = i % size >= size / 2;
      sorted[i] = is_odd ? __builtin_shufflevector(
                               v[pair], v[pair + 1], 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25,
                               27, 29, 31)
                         : __builtin_shufflevector(
                               v[pair], v[pair + 1], 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24,
                               26, 28, 30);
    }
    UNROLL for (int i = 0; i < planes; i++) v[i] = sorted[i];
  }
}

INLINE void NAME(arrange_block)(const enum kiln_encoding encoding, const float *x, float *arranged) {
  // Half floats are widened by sixteens, so their order is kept.
  const int planes = (int)NAME(planes)(encoding);
  static const int reversed[8] = {0, 4, 2, 6, 1, 5, 3, 7};
  float16 v[8];
  UNROLL for (int i = 0; i < planes; i++) v[i] = LOAD(x + i * LANES);
  if (encoding != KILN_F16) NAME(sort_planes)(planes, v);
  UNROLL for (int p = 0; p < planes; p++) {
    const int place = encoding == KILN_F16 ? p : reversed[p] / (8 / planes);
    STORE(arranged + p * LANES, v[place]);
  }
}

INLINE void NAME(arrange_all)(
    const enum kiln_encoding encoding, const float *x, size_t n, float *arranged) {
  const size_t length = block_length(encoding), padded = kiln_arranged_count(n);
  size_t start = 0;
  for (; start + length <= n; start += length) {
    NAME(arrange_block)(encoding, x + start, arranged + start);
  }
  if (start < n) {
    float rest[LONGEST_BLOCK] = {0};
    memcpy(rest, x + start, (n - start) * sizeof(float));
    NAME(arrange_block)(encoding, rest, arranged + start);
    start += length;
  }
  memset(arranged + start, 0, (padded - start) * sizeof(float));
}

static void NAME(arrange_planes)(
    enum kiln_encoding encoding, const float *x, size_t n, float *arranged) {
  switch (encoding) {
  case KILN_INT4: NAME(arrange_all)(KILN_INT4, x, n, arranged); return;
  case KILN_INT8: NAME(arrange_all)(KILN_INT8, x, n, arranged); return;
  case KILN_F16: NAME(arrange_all)(KILN_F16, x, n, arranged); return;
  case KILN_F32:
  case KILN_INT5:
  case KILN_INT6: NAME(arrange_all)(KILN_F32, x, n, arranged); return;
  default: NAME(arrange_all)(KILN_BF16, x, n, arranged);
  }
}

/// The sum of 16 lanes by halves: lane i to lane i + 8, then 4, 2, 1.
INLINE float NAME(sum_lanes)(float16 sum) {
  float lanes[LANES];
  STORE(lanes, sum);
  for (int width = LANES / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; i++) lanes[i] = lanes[i] + lanes[i + width];
  }
  return lanes[0];
}

#include "stream_rows_body.h"

/// One block of `rows` rows: total[r] += scale (codes . x). Without groups the scale is left out.
INLINE void NAME(add_block)(
    const enum kiln_encoding encoding, const int groups, const int rows, const uint8_t *codes,
    size_t row_bytes, const uint8_t *scales, size_t scale_bytes, const float *x, float16 *total) {
  const int planes = (int)NAME(planes)(encoding);
  UNROLL for (int r = 0; r < rows; r++) {
    const uint8_t *block = codes + (size_t)r * row_bytes;
    // Several rows at a time are a pattern that the hardware does not foresee. Behind the last row
    // this is a hint that comes to nothing.
    PREFETCH(block + 2 * ROWS_AT_A_TIME * row_bytes);
    float16 part = groups ? ALL(0) : total[r];
    UNROLL for (int plane = 0; plane < planes; plane++) {
      const float16 weights = NAME(plane)(encoding, block, plane);
      part = MULTIPLY_ADD(weights, LOAD(x + plane * LANES), part);
    }
    total[r] =
        groups ? MULTIPLY_ADD(part, NAME(scale_lanes)(groups, scales + (size_t)r * scale_bytes),
                              total[r])
               : part;
  }
}

INLINE void NAME(rows)(
    const struct kiln_matrix *matrix, const enum kiln_encoding encoding, const int groups,
    const int rows, size_t first, const float *x, float *y) {
  const struct NAME(layout) layout = NAME(layout_of)(matrix, encoding);
  const uint8_t *codes = matrix->codes + first * layout.row_bytes;
  const uint8_t *scales = matrix->scales + first * layout.row_groups * 2;
  const size_t scale_bytes = layout.row_groups * 2;
  float16 total[ROWS_AT_A_TIME];
  UNROLL for (int r = 0; r < rows; r++) total[r] = ALL(0);
  size_t block = 0;
  for (; block < layout.whole_blocks; block++) {
    const size_t group = groups ? block * layout.length / matrix->group : 0;
    NAME(add_block)(
        encoding, groups, rows, codes + block * BLOCK_BYTES, layout.row_bytes, scales + group * 2,
        scale_bytes, x + block * layout.length, total);
  }
  if (layout.rest) {
    // What is left of each row, filled up to a block: the activations there are 0.
    uint8_t padded[ROWS_AT_A_TIME * BLOCK_BYTES] = {0}, padded_scales[ROWS_AT_A_TIME * 8] = {0};
    const size_t group = groups ? block * layout.length / matrix->group : 0;
    for (int r = 0; r < rows; r++) {
      memcpy(
          padded + r * BLOCK_BYTES, codes + (size_t)r * layout.row_bytes + block * BLOCK_BYTES,
          layout.row_bytes - block * BLOCK_BYTES);
      if (groups) {
        memcpy(
            padded_scales + r * 8, scales + (size_t)r * scale_bytes + group * 2,
            scale_bytes - group * 2);
      }
    }
    NAME(add_block)(
        encoding, groups, rows, padded, BLOCK_BYTES, padded_scales, 8, x + block * layout.length,
        total);
  }
  UNROLL for (int r = 0; r < rows; r++) {
    float sum = NAME(sum_lanes)(total[r]);
    if (!groups && (encoding == KILN_INT4 || encoding == KILN_INT8)) {
      uint16_t half;
      memcpy(&half, scales + (size_t)r * scale_bytes, sizeof half);
      sum *= __builtin_bit_cast(float, (uint32_t)half << 16);
    }
    y[r] = sum;
  }
}

INLINE void NAME(all_rows)(
    const struct kiln_matrix *matrix, const enum kiln_encoding encoding, const int groups,
    size_t first, size_t count, const float *x, float *y) {
  size_t row = 0;
  for (; row + ROWS_AT_A_TIME <= count; row += ROWS_AT_A_TIME) {
    NAME(rows)(matrix, encoding, groups, ROWS_AT_A_TIME, first + row, x, y + row);
  }
  for (; row < count; row++) NAME(rows)(matrix, encoding, groups, 1, first + row, x, y + row);
}

static void NAME(multiply_planes)(
    const struct kiln_matrix *matrix, size_t first, size_t count, const float *x, float *y) {
  switch (matrix->encoding) {
  case KILN_INT4: WITH_GROUPS_OF_INT4(NAME(all_rows), matrix, first, count, x, y); return;
  case KILN_INT8: WITH_GROUPS_OF_INT8(NAME(all_rows), matrix, first, count, x, y); return;
  case KILN_INT5: NAME(all_stream_rows)(matrix, 5, first, count, x, y); return;
  case KILN_INT6: NAME(all_stream_rows)(matrix, 6, first, count, x, y); return;
  case KILN_F16: NAME(all_rows)(matrix, KILN_F16, 0, first, count, x, y); return;
  case KILN_F32: NAME(all_rows)(matrix, KILN_F32, 0, first, count, x, y); return;
  default: NAME(all_rows)(matrix, KILN_BF16, 0, first, count, x, y);
  }
}

/// One block of columns of a weighted sum of rows. Without groups a scale holds for a row.
INLINE void NAME(add_rows_of_block)(
    const struct kiln_matrix *matrix, const enum kiln_encoding encoding, const int groups,
    size_t first, size_t count, size_t block, const float *x, float *y) {
  const struct NAME(layout) layout = NAME(layout_of)(matrix, encoding);
  const int planes = (int)NAME(planes)(encoding);
  const int is_coded = encoding == KILN_INT4 || encoding == KILN_INT8;
  const size_t start = block * layout.length, group = groups ? start / matrix->group : 0;
  const int is_whole = block < layout.whole_blocks;
  const uint8_t *codes = matrix->codes + first * layout.row_bytes + block * BLOCK_BYTES;
  const uint8_t *scales = matrix->scales + (first * layout.row_groups + group) * 2;
  float16 total[8];
  UNROLL for (int plane = 0; plane < planes; plane++) total[plane] = ALL(0);
  for (size_t row = 0; row < count; row++) {
    uint8_t padded[BLOCK_BYTES] = {0}, padded_scales[8] = {0};
    const uint8_t *source = codes, *source_scales = scales;
    PREFETCH(codes + 8 * layout.row_bytes);
    if (!is_whole) {
      memcpy(padded, codes, layout.row_bytes - block * BLOCK_BYTES);
      source = padded;
      if (is_coded) memcpy(padded_scales, scales, (layout.row_groups - group) * 2);
      source_scales = padded_scales;
    }
    float16 factor = ALL(x[row]);
    if (is_coded) factor *= NAME(scale_lanes)(groups ? groups : 1, source_scales);
    UNROLL for (int plane = 0; plane < planes; plane++) {
      total[plane] = MULTIPLY_ADD(NAME(plane)(encoding, source, plane), factor, total[plane]);
    }
    codes += layout.row_bytes;
    scales += layout.row_groups * 2;
  }
  float sums[LONGEST_BLOCK];
  UNROLL for (int plane = 0; plane < planes; plane++) STORE(sums + plane * LANES, total[plane]);
  for (size_t plane = 0; plane < (size_t)planes; plane++) {
    for (size_t lane = 0; lane < LANES; lane++) {
      const size_t index = start + element_index(encoding, (size_t)planes, plane, lane);
      if (index < matrix->columns) y[index] = sums[plane * LANES + lane];
    }
  }
}

INLINE void NAME(add_all_rows)(
    const struct kiln_matrix *matrix, const enum kiln_encoding encoding, const int groups,
    size_t first, size_t count, const float *x, float *y) {
  const size_t length = block_length(encoding);
  for (size_t block = 0; block * length < matrix->columns; block++) {
    NAME(add_rows_of_block)(matrix, encoding, groups, first, count, block, x, y);
  }
}

static void NAME(add_rows)(
    const struct kiln_matrix *matrix, size_t first, size_t count, const float *x, float *y) {
  switch (matrix->encoding) {
  case KILN_INT4: WITH_GROUPS_OF_INT4(NAME(add_all_rows), matrix, first, count, x, y); return;
  case KILN_INT8: WITH_GROUPS_OF_INT8(NAME(add_all_rows), matrix, first, count, x, y); return;
  case KILN_INT5: NAME(add_stream_rows)(matrix, 5, first, count, x, y); return;
  case KILN_INT6: NAME(add_stream_rows)(matrix, 6, first, count, x, y); return;
  case KILN_F16: NAME(add_all_rows)(matrix, KILN_F16, 0, first, count, x, y); return;
  case KILN_F32: NAME(add_all_rows)(matrix, KILN_F32, 0, first, count, x, y); return;
  default: NAME(add_all_rows)(matrix, KILN_BF16, 0, first, count, x, y);
  }
}

#undef ROWS_AT_A_TIME
#undef WORDS
#undef AS_FLOATS
#undef FIELD
