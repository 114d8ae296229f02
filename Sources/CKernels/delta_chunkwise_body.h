// SPDX-License-Identifier: Apache-2.0
//
// Kimi delta attention a chunk of tokens at a time, so that most of the work is matrix products.
// With A and P of delta_chunk_body.h and S the state at the start of the chunk:
//
//   D_i  = beta_i (V_i - (exp(G_i) K_i) S - sum_{j<i} A_ij D_j)
//   O    = (exp(G) Q) S + P D
//   S'   = diag(exp(G_end)) S + (exp(G_end - G) K)^T D
//
// D solves (I + A) D = beta (V - exp(G) K S) by forward substitution: U and W of the paper are
// never formed, which saves a product with each.

/// D of `rows` consecutive rows and sixteen columns; `row` rows before them are done.
static inline __attribute__((always_inline)) void NAME(delta_substitute)(
    const int rows, size_t row, const float *lower, size_t lower_stride, const float *beta,
    size_t beta_stride, const float *values, size_t value_stride, float *delta) {
  float16 recalled[4];
  UNROLL for (int i = 0; i < rows; i++) recalled[i] = LOAD(delta + (row + i) * SLICE);
  for (size_t j = 0; j < row; j++) {
    const float16 done = LOAD(delta + j * SLICE);
    UNROLL for (int i = 0; i < rows; i++) {
      recalled[i] = MULTIPLY_ADD(ALL(lower[(row + i) * lower_stride + j]), done, recalled[i]);
    }
  }
  float16 done[4];
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int j = 0; j < i; j++) {
      recalled[i] =
          MULTIPLY_ADD(ALL(lower[(row + i) * lower_stride + row + j]), done[j], recalled[i]);
    }
    done[i] = ALL(beta[(row + i) * beta_stride]) *
              (LOAD(values + (row + i) * value_stride) - recalled[i]);
    STORE(delta + (row + i) * SLICE, done[i]);
  }
}

/// D of the rows of one block, which hold exp(G) K S + (A D of earlier blocks).
///
/// Four rows at a time add what the rows before them give, as a small matrix product; only among
/// the four does one have to wait for the other.
static void NAME(delta_substitution)(
    const float *lower, size_t lower_stride, const float *beta, size_t beta_stride,
    const float *values, size_t value_stride, size_t count, float *delta) {
  for (int column = 0; column < SLICE; column += LANES) {
    size_t row = 0;
    for (; row + 4 <= count; row += 4) {
      NAME(delta_substitute)(
          4, row, lower, lower_stride, beta, beta_stride, values + column, value_stride,
          delta + column);
    }
    for (; row < count; row++) {
      NAME(delta_substitute)(
          1, row, lower, lower_stride, beta, beta_stride, values + column, value_stride,
          delta + column);
    }
  }
}

/// Output and new state for one slice of value columns.
static void NAME(delta_chunk_slice)(
    const struct NAME(delta_chunk) *chunk, size_t count, const float *beta, size_t beta_stride,
    const float *values, size_t value_stride, float *state) {
  const size_t width = chunk->width, padded = chunk->padded;
  NAME(product_replace)(
      count, SLICE, width, chunk->keys, width, state, SLICE, chunk->delta, SLICE);
  NAME(product_replace)(
      count, SLICE, width, chunk->queries, width, state, SLICE, chunk->output, SLICE);
  for (size_t start = 0; start < count; start += LANES) {
    const size_t rows = count - start < LANES ? count - start : LANES;
    const float *lower = chunk->lower + start * padded;
    float *delta = chunk->delta + start * SLICE;
    if (start > 0) {
      NAME(product_add)(rows, SLICE, start, lower, padded, chunk->delta, SLICE, delta, SLICE);
    }
    NAME(delta_substitution)(
        lower + start, padded, beta + start * beta_stride, beta_stride,
        values + start * value_stride, value_stride, rows, delta);
    NAME(product_add)(
        rows, SLICE, start + rows, chunk->scores + start * padded, padded, chunk->delta, SLICE,
        chunk->output + start * SLICE, SLICE);
  }
  NAME(product_scale_and_add)(
      width, SLICE, count, chunk->ahead, padded, chunk->delta, SLICE, state, SLICE, chunk->total);
}

/// One chunk of one head from token `first` on; `packed` has its state in slices.
static void NAME(delta_chunk_of_head)(
    const struct kiln_delta_head *head, size_t first, size_t count,
    const struct NAME(delta_chunk) *chunk, float *packed) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  const size_t slices = delta_slices(head);
  NAME(delta_rows)(head, first, count, chunk->queries, chunk->keys, chunk->decay);
  for (size_t c = 0; c < K; c++) chunk->total[c] = 1;
  for (size_t start = 0; start < count; start += LANES) {
    NAME(delta_block)(chunk, start, count - start < LANES ? count - start : LANES);
  }
  for (size_t s = 0; s < slices; s++) {
    const size_t columns = V - s * SLICE < SLICE ? V - s * SLICE : SLICE;
    const size_t offset = first * head->value_stride + s * SLICE;
    for (size_t token = first + count; token < first + 2 * count; token++) {
      if (s < 3) NAME(delta_prefetch_rows)(head, token, s, slices);
      NAME(delta_prefetch_values)(head, token, s);
    }
    const float *values = head->values + offset;
    size_t value_stride = head->value_stride;
    if (columns < SLICE) {
      NAME(copy_rows_in)(values, value_stride, count, columns, chunk->values, SLICE);
      values = chunk->values, value_stride = SLICE;
    }
    NAME(delta_chunk_slice)(
        chunk, count, head->beta + first * head->beta_stride, head->beta_stride, values,
        value_stride, packed + s * K * SLICE);
    NAME(copy_rows_out)(
        chunk->output, SLICE, count, columns, head->output + offset, head->value_stride);
  }
}

static void NAME(delta_chunkwise)(
    const struct kiln_delta_head *head, size_t heads, size_t length, float *workspace) {
  const size_t K = head->key_dimension, padded = ROUND_UP(length);
  const size_t packed_size = delta_slices(head) * SLICE * K;
  float *packed = ALIGNED(workspace), *next = packed + heads * packed_size;
  struct NAME(delta_chunk) chunk = {.width = K, .padded = padded};
  chunk.queries = next, next += padded * K;
  chunk.keys = next, next += padded * K;
  chunk.decay = next, next += padded * K;
  chunk.ahead = next, next += padded * K;
  chunk.lower = next, next += padded * padded;
  chunk.scores = next, next += padded * padded;
  chunk.total = next, next += ROUND_UP(K);
  chunk.block_total = next, next += ROUND_UP(K);
  chunk.delta = next, next += padded * SLICE;
  chunk.output = next, next += padded * SLICE;
  chunk.values = next;

  for (size_t h = 0; h < heads; h++) {
    const struct kiln_delta_head one = delta_neighbour(head, h);
    NAME(copy_slices_in)(&one, packed + h * packed_size);
  }
  for (size_t first = 0; first < head->tokens; first += length) {
    const size_t count = head->tokens - first < length ? head->tokens - first : length;
    for (size_t h = 0; h < heads; h++) {
      const struct kiln_delta_head one = delta_neighbour(head, h);
      NAME(delta_chunk_of_head)(&one, first, count, &chunk, packed + h * packed_size);
    }
  }
  for (size_t h = 0; h < heads; h++) {
    const struct kiln_delta_head one = delta_neighbour(head, h);
    NAME(copy_slices_out)(&one, packed + h * packed_size);
  }
}
