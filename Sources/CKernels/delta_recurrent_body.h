// SPDX-License-Identifier: Apache-2.0
//
// Kimi delta attention token by token, with less to do than the recurrence says.
//
// The state is kept as S = diag(D) Z, where D is the product of the decays exp(g) since it was last
// brought up to date. A decay then costs a multiplication for each key channel instead of one for
// each element of the state:
//
//   a = S^T k = Z^T (D k);  b = S^T q = Z^T (D q);  d = beta (v - a)
//   S + k d^T = diag(D) (Z + (k / D) d^T);  o = (S + k d^T)^T q = b + (q . k) d
//
// A row of Z differs from that of S by a factor only, so it has the same relative rounding errors.
// Before an element of D would get below DELTA_SMALLEST the state is brought up to date, S = D Z,
// and D starts anew with the decay of the token; so gates of any strength are exact, and strong
// ones cost at most the multiplications that the recurrence has anyway.
//
// Value columns are independent of each other. The state is cut into slices of columns that stay
// in the first-level cache for a run of tokens, and each token takes one pass over a slice: the
// update of the token before it, and both products.

/// What a run of tokens needs, the same for all value columns.
struct NAME(delta_run) {
  size_t width;            // key dimension
  size_t count;            // tokens, at most DELTA_RUN
  float *keys;             // [count, width] k, normalised
  float *total;            // [count, width] D
  float *decayed_keys;     // [count, width] D k
  float *decayed_queries;  // [count, width] D q
  float *raised_keys;      // [count, width] k / D
  float *products;         // [count] q . k
  unsigned char *renewed;  // [count] whether D starts anew with the token
};

/// D of a token in place of its decays; returns whether it starts anew with them.
static inline int NAME(delta_total)(
    const float *restrict before, float *restrict decay, size_t width) {
  int too_small = 0;
  for (size_t c = 0; c < width; c++) too_small |= !(before[c] * decay[c] >= DELTA_SMALLEST);
  if (too_small) return 1;
  for (size_t c = 0; c < width; c++) decay[c] = before[c] * decay[c];
  return 0;
}

/// D q in place of q, D k and k / D.
static inline void NAME(delta_decay_rows)(
    const float *restrict total, const float *restrict key, float *restrict query,
    float *restrict decayed, float *restrict raised, size_t width) {
  for (size_t c = 0; c < width; c++) {
    query[c] = query[c] * total[c];
    decayed[c] = key[c] * total[c];
    raised[c] = key[c] / total[c];
  }
}

/// Fills a run with the tokens from `first` on.
static void NAME(delta_prepare_run)(
    const struct kiln_delta_head *head, size_t first, const struct NAME(delta_run) *run) {
  const size_t width = run->width;
  NAME(delta_rows)(head, first, run->count, run->decayed_queries, run->keys, run->total);
  for (size_t token = 0; token < run->count; token++) {
    const size_t row = token * width;
    float *total = run->total + row, *query = run->decayed_queries + row;
    run->products[token] = NAME(dot)(query, run->keys + row, width);
    run->renewed[token] = token == 0 || NAME(delta_total)(total - width, total, width);
    NAME(delta_decay_rows)(
        total, run->keys + row, query, run->decayed_keys + row, run->raised_keys + row, width);
  }
}

/// What a pass does to a row of Z before the products: nothing, Z + l u^T, or D Z + l u^T.
enum NAME(delta_update) { NAME(KEEP), NAME(ADD_KEY), NAME(RENEW) };

/// One pass over a slice: its update with `last_key` l and u, and the sums of rows times keys and
/// times queries, if there are such.
static inline __attribute__((always_inline)) void NAME(delta_pass)(
    const int update, const int has_sums, size_t width, const float *total, const float *last_key,
    const float16 *last_delta, const float *key, const float *query, float *state,
    size_t state_stride, float16 *by_key, float16 *by_query) {
  float16 u[SLICE_GROUPS], a[SLICE_GROUPS], b[SLICE_GROUPS];
  UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
    u[g] = last_delta[g];
    a[g] = b[g] = ALL(0);
  }
  for (size_t c = 0; c < width; c++) {
    float *row = state + c * state_stride;
    float16 factor = ALL(update == NAME(RENEW) ? total[c] : 0);
    float16 l = ALL(update == NAME(KEEP) ? 0 : last_key[c]);
    float16 k = ALL(has_sums ? key[c] : 0), q = ALL(has_sums ? query[c] : 0);
    IN_REGISTER(factor);
    IN_REGISTER(l);
    IN_REGISTER(k);
    IN_REGISTER(q);
    UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
      float16 s = LOAD(row + g * LANES);
      if (update == NAME(RENEW)) s = s * factor;
      if (update != NAME(KEEP)) {
        s = MULTIPLY_ADD(l, u[g], s);
        STORE(row + g * LANES, s);
      }
      a[g] = MULTIPLY_ADD(s, k, a[g]);
      b[g] = MULTIPLY_ADD(s, q, b[g]);
    }
  }
  if (!has_sums) return;
  UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
    by_key[g] = a[g];
    by_query[g] = b[g];
  }
}

/// A run of tokens from `first` on, on one slice of value columns, whose state is up to date before
/// and after; values become outputs.
static void NAME(delta_recurrent_slice)(
    const struct kiln_delta_head *head, size_t first, size_t slice,
    const struct NAME(delta_run) *run, const float *beta, size_t beta_stride, float *values,
    size_t value_stride, float *state, size_t state_stride) {
  const float *rows[3] = {head->queries, head->keys, head->log_decay};
  const size_t width = run->width;
  float16 delta[SLICE_GROUPS], by_key[SLICE_GROUPS], by_query[SLICE_GROUPS];
  UNROLL for (int g = 0; g < SLICE_GROUPS; g++) delta[g] = ALL(0);
  for (size_t token = 0; token < run->count; token++) {
    for (size_t i = slice; i < 3; i += delta_slices(head)) {
      NAME(delta_prefetch_row)(head, rows[i], first + run->count + token);
    }
    NAME(delta_prefetch_values)(head, first + token + DELTA_PREFETCH, slice);
    const size_t row = token * width;
    const float *key = run->decayed_keys + row, *query = run->decayed_queries + row;
    if (token == 0) {
      NAME(delta_pass)(
          NAME(KEEP), 1, width, NULL, NULL, delta, key, query, state, state_stride, by_key,
          by_query);
    } else if (run->renewed[token]) {
      NAME(delta_pass)(
          NAME(RENEW), 1, width, run->total + row - width, run->keys + row - width, delta, key,
          query, state, state_stride, by_key, by_query);
    } else {
      NAME(delta_pass)(
          NAME(ADD_KEY), 1, width, NULL, run->raised_keys + row - width, delta, key, query, state,
          state_stride, by_key, by_query);
    }
    const float16 strength = ALL(beta[token * beta_stride]), product = ALL(run->products[token]);
    UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
      float *place = values + token * value_stride + g * LANES;
      delta[g] = strength * (LOAD(place) - by_key[g]);
      STORE(place, MULTIPLY_ADD(product, delta[g], by_query[g]));
    }
  }
  const size_t last = (run->count - 1) * width;
  NAME(delta_pass)(
      NAME(RENEW), 0, width, run->total + last, run->keys + last, delta, NULL, NULL, state,
      state_stride, NULL, NULL);
}

/// A run of tokens of one head from `first` on; `packed` has its state in slices, or is NULL.
static void NAME(delta_recurrent_run)(
    const struct kiln_delta_head *head, size_t first, const struct NAME(delta_run) *run,
    float *packed, float *padded) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  const float *beta = head->beta + first * head->beta_stride;
  NAME(delta_prepare_run)(head, first, run);
  for (size_t s = 0; s < delta_slices(head); s++) {
    const size_t columns = V - s * SLICE < SLICE ? V - s * SLICE : SLICE;
    float *values = head->values + first * head->value_stride + s * SLICE;
    float *state = packed ? packed + s * K * SLICE : head->state + s * SLICE;
    if (columns == SLICE) {
      NAME(delta_recurrent_slice)(
          head, first, s, run, beta, head->beta_stride, values, head->value_stride, state,
          packed ? SLICE : V);
    } else {
      NAME(copy_rows)(values, head->value_stride, run->count, columns, padded, SLICE, SLICE);
      NAME(delta_recurrent_slice)(
          head, first, s, run, beta, head->beta_stride, padded, SLICE, state, SLICE);
      NAME(copy_rows)(
          padded, SLICE, run->count, columns, values, head->value_stride, columns);
    }
  }
}

static void NAME(delta_recurrent)(
    const struct kiln_delta_head *head, size_t heads, float *workspace) {
  const size_t K = head->key_dimension, length = delta_run_length(head);
  const int in_place = delta_runs_in_place(head);
  const size_t packed_size = in_place ? 0 : delta_slices(head) * SLICE * K;
  unsigned char renewed[DELTA_RUN];
  struct NAME(delta_run) run = {.width = K, .renewed = renewed};
  float *packed = ALIGNED(workspace);
  run.keys = packed + heads * packed_size;
  run.total = run.keys + ROUND_UP(length * K);
  run.decayed_keys = run.total + ROUND_UP(length * K);
  run.decayed_queries = run.decayed_keys + ROUND_UP(length * K);
  run.raised_keys = run.decayed_queries + ROUND_UP(length * K);
  run.products = run.raised_keys + ROUND_UP(length * K);
  float *padded = run.products + ROUND_UP(length);
  for (size_t h = 0; h < heads && !in_place; h++) {
    const struct kiln_delta_head one = delta_neighbour(head, h);
    NAME(copy_slices_in)(&one, packed + h * packed_size);
  }
  for (size_t first = 0; first < head->tokens; first += length) {
    run.count = head->tokens - first < length ? head->tokens - first : length;
    for (size_t h = 0; h < heads; h++) {
      const struct kiln_delta_head one = delta_neighbour(head, h);
      NAME(delta_recurrent_run)(
          &one, first, &run, in_place ? NULL : packed + h * packed_size, padded);
    }
  }
  for (size_t h = 0; h < heads && !in_place; h++) {
    const struct kiln_delta_head one = delta_neighbour(head, h);
    NAME(copy_slices_out)(&one, packed + h * packed_size);
  }
}
