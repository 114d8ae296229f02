// SPDX-License-Identifier: Apache-2.0
//
// Products of the tokens of a chunk with each other, for delta_chunkwise_body.h: with G_i the sum
// of the log decays of the chunk's tokens up to i,
//
//   A_ij = sum_c k_ic k_jc exp(G_ic - G_jc)  for j < i
//   P_ij = sum_c q_ic k_jc exp(G_ic - G_jc)  for j <= i, else 0
//
// No exponent of a difference is taken: the decay from token j to token i is the product of the
// steps exp(g) between them, factors of at most 1, and no digits are lost in a difference of large
// sums. Rows are taken in blocks of 16. With D_i the decay from the start of the row block:
//
// - before the block, the decay from j to i is D_i times that from j to the block's start, both at
//   most 1: a matrix product.
// - inside it, the decay is D_i / D_j, a matrix product as well while D stays above
//   DELTA_SMALLEST. Otherwise each row decays the columns before it, so that a step of
//   exp(-200) = 0 cuts exactly what it must.

/// Memory of one head; a row of keys is as long as the key dimension.
struct NAME(delta_chunk) {
  size_t width;          // key dimension
  size_t padded;         // chunk length, rounded up to whole blocks
  float *queries;        // [padded, width] normalised; becomes D_i q_i, then exp(G_i) q_i
  float *keys;           // [padded, width] normalised; becomes D_i k_i, then exp(G_i) k_i
  float *decay;          // [padded, width] exp(g); becomes k_j / D_j
  float *ahead;          // [width, padded] k_jc times the decay from j to the end of the rows done
  float *lower;          // [padded, padded] A, of which the upper part is not read
  float *scores;         // [padded, padded] P
  float *total;          // [width] decay from the start of the chunk
  float *block_total;    // [width] decay from the start of the block
  float *delta;          // [padded, SLICE] D of one slice of value columns
  float *values;         // [padded, SLICE] values of a last slice that is narrower
};

/// Rows of one block of A and P inside the block, j in [start, start + 16), for decays of any size.
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
        by_key[part] = MULTIPLY_ADD(ahead, ALL(key[c + part]), by_key[part]);
        by_query[part] = MULTIPLY_ADD(ahead, ALL(query[c + part]), by_query[part]);
        place += padded;
      }
    }
    for (; c < width; c++, place += padded) {
      const float16 factor = ALL(decay[c]);
      const float16 ahead = LOAD(place) * (floor > factor ? floor : factor);
      STORE(place, ahead);
      by_key[0] = MULTIPLY_ADD(ahead, ALL(key[c]), by_key[0]);
      by_query[0] = MULTIPLY_ADD(ahead, ALL(query[c]), by_query[0]);
    }
    const size_t entry = (start + row) * padded + start;
    STORE(chunk->lower + entry, by_key[0] + by_key[1]);
    STORE(chunk->scores + entry, by_query[0] + by_query[1]);
  }
}

/// Decays the query and the key of a token from the start of its block, D being that of the token
/// before, and raises its key, k / D, in place of its step.
static inline void NAME(delta_decay_token)(
    float *restrict query, float *restrict key, float *restrict step, float *restrict total,
    size_t width) {
  for (size_t c = 0; c < width; c++) {
    total[c] = total[c] * step[c];
    step[c] = key[c] / total[c];
    key[c] = key[c] * total[c];
    query[c] = query[c] * total[c];
  }
}

/// y = y * x.
static inline void NAME(delta_multiply)(float *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = y[i] * x[i];
}

/// Whether no channel decays below DELTA_SMALLEST within a block.
static int NAME(delta_is_moderate)(
    const struct NAME(delta_chunk) *chunk, size_t start, size_t count) {
  const size_t width = chunk->width;
  const float *decay = chunk->decay + start * width;
  float *total = chunk->block_total;
  memcpy(total, decay, width * sizeof(float));
  for (size_t row = 1; row < count; row++) {
    NAME(delta_multiply)(total, decay + row * width, width);
  }
  int too_small = 0;
  for (size_t c = 0; c < width; c++) too_small |= !(total[c] >= DELTA_SMALLEST);
  return !too_small;
}

/// One block of rows: A and P, the decayed queries and keys, and `ahead` up to the block's end.
static void NAME(delta_block)(
    const struct NAME(delta_chunk) *chunk, size_t start, size_t count) {
  const size_t width = chunk->width, padded = chunk->padded;
  float *queries = chunk->queries + start * width, *keys = chunk->keys + start * width;
  float *ahead = chunk->ahead + start, *raised = chunk->decay + start * width;
  // Missing rows are zero.
  const size_t missing = (LANES - count) * width * sizeof(float);
  const int is_moderate = NAME(delta_is_moderate)(chunk, start, count);
  if (!is_moderate) {
    memset(keys + count * width, 0, missing);
    NAME(transpose_rows)(keys, width, width, ahead, padded);
    NAME(delta_diagonal_block)(chunk, start, count);
  }
  for (size_t c = 0; c < width; c++) chunk->block_total[c] = 1;
  for (size_t row = 0; row < count; row++) {
    NAME(delta_decay_token)(
        queries + row * width, keys + row * width, raised + row * width, chunk->block_total,
        width);
  }
  if (is_moderate) {
    memset(raised + count * width, 0, missing);
    NAME(transpose_rows)(raised, width, width, ahead, padded);
  }
  // Columns whose products and decays are not there yet.
  const size_t columns = is_moderate ? start + LANES : start;
  float *lower = chunk->lower + start * padded, *scores = chunk->scores + start * padded;
  NAME(product_replace)(
      count, columns, width, keys, width, chunk->ahead, padded, lower, padded);
  NAME(product_replace)(
      count, columns, width, queries, width, chunk->ahead, padded, scores, padded);
  for (size_t row = 0; row < count; row++) {
    float *diagonal = scores + row * padded + start;
    for (size_t j = 0; j < LANES; j++) diagonal[j] = j <= row ? diagonal[j] : 0.0f;
  }
  for (size_t c = 0; c < width; c++) {
    const float16 factor = ALL(chunk->block_total[c]);
    float *place = chunk->ahead + c * padded;
    for (size_t j = 0; j < columns; j += LANES) STORE(place + j, LOAD(place + j) * factor);
  }
  for (size_t row = 0; row < count && start > 0; row++) {
    NAME(delta_multiply)(queries + row * width, chunk->total, width);
    NAME(delta_multiply)(keys + row * width, chunk->total, width);
  }
  NAME(delta_multiply)(chunk->total, chunk->block_total, width);
}
