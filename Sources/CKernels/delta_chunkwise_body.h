// SPDX-License-Identifier: Apache-2.0
//
// Kimi delta attention a chunk of tokens at a time, so that most of the work is matrix products.
// With G_i the sum of the log decays of the chunk's tokens up to i, S the state at its start:
//
//   A_ij = sum_c k_ic k_jc exp(G_ic - G_jc)  for j < i, else 0
//   P_ij = sum_c q_ic k_jc exp(G_ic - G_jc)  for j <= i, else 0
//   D_i  = beta_i (V_i - (exp(G_i) K_i) S - sum_{j<i} A_ij D_j)
//   O    = (exp(G) Q) S + P D
//   S'   = diag(exp(G_end)) S + (exp(G_end - G) K)^T D
//
// D solves (I + A) D = beta (V - exp(G) K S) by forward substitution: U and W of the paper are
// never formed, which saves a product with each.
//
// No exponent of a difference is taken. The decay from token j to token i is the product of the
// steps exp(g) between them: factors of at most 1, so nothing overflows, a step of exp(-200) = 0
// cuts exactly what it must, and no digits are lost in a difference of large sums. Blocks of 16
// tokens bring most of these products together: with R the start of the row block,
// exp(G_i - G_j) = exp(G_i - R) exp(R - G_j) for j before the block.

/// Memory of one head; a row of keys is as long as the key dimension.
struct NAME(delta_chunk) {
  size_t width;        // key dimension
  size_t padded;       // chunk length, rounded up to whole blocks
  float *queries;      // [padded, width] normalised; becomes exp(G_i) q_i
  float *keys;         // [padded, width] normalised; becomes exp(G_i) k_i
  float *decay;        // [padded, width] exp(g)
  float *block_queries;  // [16, width] exp(G_i - R) q_i of the current block
  float *block_keys;     // [16, width] exp(G_i - R) k_i
  float *ahead;        // [width, padded] k_jc times the decay from j to the end of the rows done
  float *lower;        // [padded, padded] A
  float *scores;       // [padded, padded] P
  float *total;        // [width] decay from the start of the chunk
  float *block_total;  // [width] decay of the current block
  float *delta;        // [padded, slice] D of one slice of value columns
  float *output;       // [padded, slice]
};

/// Rows of one block of A and P inside the block, j in [start, start + 16).
///
/// Column j of `ahead` holds k_j times the decay from j to the current row: each row multiplies
/// the columns before it by its decay, then takes the products with its key and query.
static void NAME(delta_diagonal_block)(
    const struct NAME(delta_chunk) *chunk, size_t start, size_t count) {
  const size_t width = chunk->width, padded = chunk->padded;
  for (size_t row = 0; row < count; row++) {
    const float *key = chunk->keys + (start + row) * width;
    const float *query = chunk->queries + (start + row) * width;
    const float *decay = chunk->decay + (start + row) * width;
    // Decays are at most 1: the larger of the decay and 1 leaves a column as it is.
    float ones[LANES];
    for (size_t j = 0; j < LANES; j++) ones[j] = j < row ? 0.0f : 1.0f;
    const float16 floor = LOAD(ones);
    float16 by_key[2] = {ALL(0), ALL(0)}, by_query[2] = {ALL(0), ALL(0)};
    float *place = chunk->ahead + start;
    size_t c = 0;
    for (; c + 2 <= width; c += 2) {
      UNROLL for (int part = 0; part < 2; part++) {
        const float16 factor = ALL(decay[c + part]);
        const float16 ahead = LOAD(place) * (floor > factor ? floor : factor);
        STORE(place, ahead);
        by_key[part] += ahead * ALL(key[c + part]);
        by_query[part] += ahead * ALL(query[c + part]);
        place += padded;
      }
    }
    for (; c < width; c++, place += padded) {
      const float16 factor = ALL(decay[c]);
      const float16 ahead = LOAD(place) * (floor > factor ? floor : factor);
      STORE(place, ahead);
      by_key[0] += ahead * ALL(key[c]);
      by_query[0] += ahead * ALL(query[c]);
    }
    float *lower = chunk->lower + (start + row) * padded + start;
    float *scores = chunk->scores + (start + row) * padded + start;
    STORE(lower, by_key[0] + by_key[1]);
    STORE(scores, by_query[0] + by_query[1]);
    // Nobody reads A on and above its diagonal; P is read as a whole.
    for (size_t j = row + 1; j < LANES; j++) scores[j] = 0;
  }
}

/// One block of rows: A and P, the decayed queries and keys, and `ahead` up to the block's end.
static void NAME(delta_block)(
    const struct NAME(delta_chunk) *chunk, size_t start, size_t count) {
  const size_t width = chunk->width, padded = chunk->padded;
  // Columns of the block, transposed; missing rows are zero.
  for (size_t j = 0; j < LANES; j++) {
    for (size_t c = 0; c < width; c++) {
      chunk->ahead[c * padded + start + j] =
          j < count ? chunk->keys[(start + j) * width + c] : 0.0f;
    }
  }
  NAME(delta_diagonal_block)(chunk, start, count);

  for (size_t c = 0; c < width; c++) chunk->block_total[c] = 1;
  for (size_t row = 0; row < count; row++) {
    float *restrict key = chunk->keys + (start + row) * width;
    float *restrict query = chunk->queries + (start + row) * width;
    const float *restrict decay = chunk->decay + (start + row) * width;
    float *restrict running = chunk->block_total;
    float *restrict block_key = chunk->block_keys + row * width;
    float *restrict block_query = chunk->block_queries + row * width;
    const float *restrict total = chunk->total;
    for (size_t c = 0; c < width; c++) {
      running[c] = running[c] * decay[c];
      block_key[c] = key[c] * running[c];
      block_query[c] = query[c] * running[c];
      key[c] = block_key[c] * total[c];
      query[c] = block_query[c] * total[c];
    }
  }
  if (start > 0) {
    NAME(product_replace)(
        count, start, width, chunk->block_keys, width, chunk->ahead, padded,
        chunk->lower + start * padded, padded);
    NAME(product_replace)(
        count, start, width, chunk->block_queries, width, chunk->ahead, padded,
        chunk->scores + start * padded, padded);
  }
  for (size_t c = 0; c < width; c++) {
    chunk->total[c] = chunk->total[c] * chunk->block_total[c];
    for (size_t j = 0; j < start; j++) {
      chunk->ahead[c * padded + j] = chunk->ahead[c * padded + j] * chunk->block_total[c];
    }
  }
}

/// D of the rows of one block, whose rows already hold V - exp(G) K S - (A D of earlier blocks).
static void NAME(delta_substitution)(
    const float *lower, size_t lower_stride, const float *beta, size_t beta_stride, size_t count,
    float *delta) {
  for (size_t row = 0; row < count; row++) {
    float16 rest[SLICE_GROUPS];
    float *place = delta + row * SLICE_GROUPS * LANES;
    UNROLL for (int g = 0; g < SLICE_GROUPS; g++) rest[g] = LOAD(place + g * LANES);
    for (size_t j = 0; j < row; j++) {
      const float16 factor = ALL(lower[row * lower_stride + j]);
      UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
        rest[g] -= factor * LOAD(delta + j * SLICE_GROUPS * LANES + g * LANES);
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
  enum { SLICE = SLICE_GROUPS * LANES };
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
  enum { SLICE = SLICE_GROUPS * LANES };
  const size_t K = head->key_dimension, V = head->value_dimension;
  const size_t slices = (V + SLICE - 1) / SLICE;
  const size_t padded = ROUND_UP(length);
  float *next = ALIGNED(workspace);
  float *packed = next;
  next += slices * SLICE * K;
  struct NAME(delta_chunk) chunk = {.width = K, .padded = padded};
  chunk.queries = next, next += padded * K;
  chunk.keys = next, next += padded * K;
  chunk.decay = next, next += padded * K;
  chunk.block_queries = next, next += LANES * K;
  chunk.block_keys = next, next += LANES * K;
  chunk.ahead = next, next += padded * K;
  chunk.lower = next, next += padded * padded;
  chunk.scores = next, next += padded * padded;
  chunk.total = next, next += ROUND_UP(K);
  chunk.block_total = next, next += ROUND_UP(K);
  chunk.delta = next, next += padded * SLICE;
  chunk.output = next;

  for (size_t s = 0; s < slices; s++) {
    const size_t columns = V - s * SLICE < SLICE ? V - s * SLICE : SLICE;
    NAME(copy_rows_in)(head->state + s * SLICE, V, K, columns, packed + s * K * SLICE, SLICE);
  }
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
      NAME(copy_rows_in)(
          head->values + offset, head->value_stride, count, columns, chunk.delta, SLICE);
      NAME(delta_chunk_slice)(
          &chunk, count, head->beta + first * head->beta_stride, head->beta_stride,
          packed + s * K * SLICE);
      NAME(copy_rows_out)(
          chunk.output, SLICE, count, columns, head->output + offset, head->value_stride);
    }
  }
  for (size_t s = 0; s < slices; s++) {
    const size_t columns = V - s * SLICE < SLICE ? V - s * SLICE : SLICE;
    NAME(copy_rows_out)(packed + s * K * SLICE, SLICE, K, columns, head->state + s * SLICE, V);
  }
}
