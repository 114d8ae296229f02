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

/// D of `rows` consecutive rows and `groups` times sixteen columns; `row` rows before them are
/// done.
static inline __attribute__((always_inline)) void NAME(delta_substitute)(
    const int rows, const int groups, size_t row, const float *lower, size_t lower_stride,
    const float *beta, size_t beta_stride, const float *values, size_t value_stride,
    float *delta) {
  float16 recalled[4][TILE_GROUPS];
  UNROLL for (int i = 0; i < rows; i++) {
    UNROLL for (int g = 0; g < groups; g++) {
      recalled[i][g] = LOAD(delta + (row + i) * SLICE + g * LANES);
    }
  }
  for (size_t j = 0; j < row; j++) {
    float16 done[TILE_GROUPS];
    UNROLL for (int g = 0; g < groups; g++) done[g] = LOAD(delta + j * SLICE + g * LANES);
    UNROLL for (int i = 0; i < rows; i++) {
      float16 factor = ALL(lower[(row + i) * lower_stride + j]);
      IN_REGISTER(factor);
      UNROLL for (int g = 0; g < groups; g++) {
        recalled[i][g] = MULTIPLY_ADD(factor, done[g], recalled[i][g]);
      }
    }
  }
  float16 done[4][TILE_GROUPS];
  UNROLL for (int i = 0; i < rows; i++) {
    const float16 strength = ALL(beta[(row + i) * beta_stride]);
    UNROLL for (int g = 0; g < groups; g++) {
      UNROLL for (int j = 0; j < i; j++) {
        const float16 factor = ALL(lower[(row + i) * lower_stride + row + j]);
        recalled[i][g] = MULTIPLY_ADD(factor, done[j][g], recalled[i][g]);
      }
      const float16 value = LOAD(values + (row + i) * value_stride + g * LANES);
      done[i][g] = strength * (value - recalled[i][g]);
      STORE(delta + (row + i) * SLICE + g * LANES, done[i][g]);
    }
  }
}

/// D of the rows of one block, which hold exp(G) K S + (A D of earlier blocks).
///
/// Four rows at a time add what the rows before them give, as a small matrix product; only among
/// the four does one have to wait for the other.
static void NAME(delta_substitution)(
    const float *lower, size_t lower_stride, const float *beta, size_t beta_stride,
    const float *values, size_t value_stride, size_t count, float *delta) {
  for (int column = 0; column < SLICE; column += TILE_GROUPS * LANES) {
    size_t row = 0;
    for (; row + 4 <= count; row += 4) {
      NAME(delta_substitute)(
          4, TILE_GROUPS, row, lower, lower_stride, beta, beta_stride, values + column,
          value_stride, delta + column);
    }
    for (; row < count; row++) {
      NAME(delta_substitute)(
          1, TILE_GROUPS, row, lower, lower_stride, beta, beta_stride, values + column,
          value_stride, delta + column);
    }
  }
}

/// Where a piece of `count` rows of a product, one at least, begins: all pieces together have no more tiles than
/// the whole. If that is one tile, the first piece is empty.
static inline size_t NAME(delta_piece_start)(size_t count, size_t piece) {
  const size_t tiles = (count + TILE_ROWS - 1) / TILE_ROWS;
  return count * (tiles * piece / DELTA_PIECES) / tiles;
}

/// Asks for rows of the chunk that follows the one of `count` tokens from `first` on: those of some
/// tokens, the others are left to the other slices and pieces.
static inline void NAME(delta_prefetch_chunk)(
    const struct kiln_delta_head *head, const float *rows, size_t first, size_t count,
    size_t slice, size_t piece) {
  const size_t parts = delta_slices(head) * DELTA_PIECES, next = first + count;
  const size_t part = slice * DELTA_PIECES + piece;
  for (size_t i = count * part / parts; i < count * (part + 1) / parts; i++) {
    NAME(delta_prefetch_row)(head, rows, next + i);
  }
}

/// Keys or queries of a chunk times the state; `fetched` are those rows of the head that are asked for meanwhile.
static inline void NAME(delta_times_state)(
    const struct kiln_delta_head *head, const float *fetched, size_t first, size_t count,
    size_t slice, const float *rows, size_t width, const float *state, float *target,
    size_t target_stride) {
  for (size_t piece = 0; piece < DELTA_PIECES; piece++) {
    NAME(delta_prefetch_chunk)(head, fetched, first, count, slice, piece);
    const size_t from = NAME(delta_piece_start)(count, piece);
    NAME(product_replace)(
        NAME(delta_piece_start)(count, piece + 1) - from, SLICE, width, rows + from * width, width,
        state, SLICE, target + from * target_stride, target_stride);
  }
}

/// Output, in place of values, and new state for one slice of value columns of the chunk of `count`
/// tokens from `first` on.
static void NAME(delta_chunk_slice)(
    const struct kiln_delta_head *head, size_t first, size_t count, size_t slice,
    const struct NAME(delta_chunk) *chunk, float *values, size_t value_stride, float *state) {
  const size_t width = chunk->width, padded = chunk->padded, beta_stride = head->beta_stride;
  const float *beta = head->beta + first * beta_stride;
  float *delta = chunk->delta;
  NAME(delta_times_state)(
      head, head->queries, first, count, slice, chunk->keys, width, state, delta, SLICE);
  for (size_t i = 0; i < count; i++) NAME(delta_prefetch_values)(head, first + count + i, slice);
  for (size_t start = 0; start < count; start += LANES) {
    const size_t rows = count - start < LANES ? count - start : LANES;
    const float *lower = chunk->lower + start * padded;
    float *below = delta + start * SLICE;
    if (start > 0) {
      NAME(product_add)(rows, SLICE, start, lower, padded, delta, SLICE, below, SLICE);
    }
    NAME(delta_substitution)(
        lower + start, padded, beta + start * beta_stride, beta_stride,
        values + start * value_stride, value_stride, rows, below);
  }
  NAME(delta_times_state)(
      head, head->keys, first, count, slice, chunk->queries, width, state, values, value_stride);
  // Half a block at a time: its first half has no scores of the second.
  for (size_t start = 0; start < count; start += LANES / 2) {
    const size_t rows = count - start < LANES / 2 ? count - start : LANES / 2;
    NAME(product_add)(
        rows, SLICE, start + rows, chunk->scores + start * padded, padded, delta, SLICE,
        values + start * value_stride, value_stride);
  }
  for (size_t piece = 0; piece < DELTA_PIECES; piece++) {
    NAME(delta_prefetch_chunk)(head, head->log_decay, first, count, slice, piece);
    const size_t from = NAME(delta_piece_start)(width, piece);
    NAME(product_scale_and_add)(
        NAME(delta_piece_start)(width, piece + 1) - from, SLICE, count,
        chunk->ahead + from * padded, padded, delta, SLICE, state + from * SLICE, SLICE,
        chunk->total + from);
  }
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
    float *values = head->values + first * head->value_stride + s * SLICE;
    float *part = packed + s * K * SLICE;
    if (columns == SLICE) {
      NAME(delta_chunk_slice)(head, first, count, s, chunk, values, head->value_stride, part);
    } else {
      NAME(copy_rows)(
          values, head->value_stride, count, columns, chunk->values, SLICE, SLICE);
      NAME(delta_chunk_slice)(head, first, count, s, chunk, chunk->values, SLICE, part);
      NAME(copy_rows)(
          chunk->values, SLICE, count, columns, values, head->value_stride, columns);
    }
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
