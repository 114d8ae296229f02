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

/// D of the rows of one block, whose rows already hold V - exp(G) K S - (A D of earlier blocks).
static void NAME(delta_substitution)(
    const float *lower, size_t lower_stride, const float *beta, size_t beta_stride, size_t count,
    float *delta) {
  for (size_t row = 0; row < count; row++) {
    float16 rest[SLICE_GROUPS];
    float *place = delta + row * SLICE;
    UNROLL for (int g = 0; g < SLICE_GROUPS; g++) rest[g] = LOAD(place + g * LANES);
    for (size_t j = 0; j < row; j++) {
      const float16 factor = ALL(-lower[row * lower_stride + j]);
      UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
        rest[g] = MULTIPLY_ADD(factor, LOAD(delta + j * SLICE + g * LANES), rest[g]);
      }
    }
    const float16 strength = ALL(beta[row * beta_stride]);
    UNROLL for (int g = 0; g < SLICE_GROUPS; g++) STORE(place + g * LANES, strength * rest[g]);
  }
}

/// Output and new state for one slice of value columns; `delta` holds the values.
static void NAME(delta_chunk_slice)(
    const struct NAME(delta_chunk) *chunk, size_t count, const float *beta, size_t beta_stride,
    float *state) {
  const size_t width = chunk->width, padded = chunk->padded;
  NAME(product_subtract)(
      count, SLICE, width, chunk->keys, width, state, SLICE, chunk->delta, SLICE);
  NAME(product_replace)(
      count, SLICE, width, chunk->queries, width, state, SLICE, chunk->output, SLICE);
  for (size_t start = 0; start < count; start += LANES) {
    const size_t rows = count - start < LANES ? count - start : LANES;
    float *delta = chunk->delta + start * SLICE;
    if (start > 0) {
      NAME(product_subtract)(
          rows, SLICE, start, chunk->lower + start * padded, padded, chunk->delta, SLICE, delta,
          SLICE);
    }
    NAME(delta_substitution)(
        chunk->lower + start * padded + start, padded, beta + start * beta_stride, beta_stride,
        rows, delta);
    NAME(product_add)(
        rows, SLICE, start + rows, chunk->scores + start * padded, padded, chunk->delta, SLICE,
        chunk->output + start * SLICE, SLICE);
  }
  NAME(product_scale_and_add)(
      width, SLICE, count, chunk->ahead, padded, chunk->delta, SLICE, state, SLICE, chunk->total);
}

static void NAME(delta_chunkwise)(
    const struct kiln_delta_head *head, size_t length, float *workspace) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  const size_t slices = delta_slices(head);
  const size_t padded = ROUND_UP(length);
  float *next = ALIGNED(workspace);
  float *packed = next;
  next += slices * SLICE * K;
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
  chunk.output = next;

  NAME(copy_slices_in)(head, packed);
  for (size_t first = 0; first < head->tokens; first += length) {
    const size_t count = head->tokens - first < length ? head->tokens - first : length;
    NAME(delta_rows)(head, first, count, chunk.queries, chunk.keys, chunk.decay);
    for (size_t c = 0; c < K; c++) chunk.total[c] = 1;
    for (size_t start = 0; start < count; start += LANES) {
      NAME(delta_block)(&chunk, start, count - start < LANES ? count - start : LANES);
    }
    for (size_t s = 0; s < slices; s++) {
      const size_t columns = V - s * SLICE < SLICE ? V - s * SLICE : SLICE;
      const size_t offset = first * head->value_stride + s * SLICE;
      for (size_t token = first + length; token < first + 2 * length; token++) {
        NAME(delta_prefetch_rows)(head, token, s, slices);
        NAME(delta_prefetch_values)(head, token, s);
      }
      NAME(copy_rows_in)(
          head->values + offset, head->value_stride, count, columns, chunk.delta, SLICE);
      NAME(delta_chunk_slice)(
          &chunk, count, head->beta + first * head->beta_stride, head->beta_stride,
          packed + s * K * SLICE);
      NAME(copy_rows_out)(
          chunk.output, SLICE, count, columns, head->output + offset, head->value_stride);
    }
  }
  NAME(copy_slices_out)(head, packed);
}
