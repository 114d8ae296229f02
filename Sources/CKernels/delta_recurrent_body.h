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

/// D of one token from its decays, in place; returns whether it starts anew.
static inline int NAME(delta_total)(const float *restrict before, float *restrict decay, size_t width) {
  int too_small = 0;
  for (size_t c = 0; c < width; c++) too_small |= !(before[c] * decay[c] >= DELTA_SMALLEST);
  if (too_small) return 1;
  for (size_t c = 0; c < width; c++) decay[c] = before[c] * decay[c];
  return 0;
}

/// Fills a run with the tokens from `first` on.
static void NAME(delta_prepare_run)(
    const struct kiln_delta_head *head, size_t first, const struct NAME(delta_run) *run) {
  const size_t width = run->width;
  NAME(delta_rows)(
      head, first, run->count, run->decayed_queries, run->keys, run->total);
  for (size_t token = 0; token < run->count; token++) {
    float *total = run->total + token * width;
    run->renewed[token] = token == 0 || NAME(delta_total)(total - width, total, width);
    float *restrict query = run->decayed_queries + token * width;
    const float *restrict key = run->keys + token * width;
    float *restrict decayed = run->decayed_keys + token * width;
    float *restrict raised = run->raised_keys + token * width;
    run->products[token] = NAME(dot)(query, key, width);
    for (size_t c = 0; c < width; c++) {
      query[c] = query[c] * total[c];
      decayed[c] = key[c] * total[c];
      raised[c] = key[c] / total[c];
    }
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
        s = FUSED(l, u[g], s);
        STORE(row + g * LANES, s);
      }
      a[g] = FUSED(s, k, a[g]);
      b[g] = FUSED(s, q, b[g]);
    }
  }
  if (!has_sums) return;
  UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
    by_key[g] = a[g];
    by_query[g] = b[g];
  }
}

/// A run of tokens on one slice of value columns, whose state is up to date before and after.
static void NAME(delta_recurrent_slice)(
    const struct NAME(delta_run) *run, const float *beta, size_t beta_stride, const float *values,
    size_t value_stride, float *output, size_t output_stride, float *state, size_t state_stride) {
  const size_t width = run->width;
  float16 delta[SLICE_GROUPS], by_key[SLICE_GROUPS], by_query[SLICE_GROUPS];
  UNROLL for (int g = 0; g < SLICE_GROUPS; g++) delta[g] = ALL(0);
  for (size_t token = 0; token < run->count; token++) {
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
      delta[g] = strength * (LOAD(values + token * value_stride + g * LANES) - by_key[g]);
      STORE(output + token * output_stride + g * LANES, FUSED(product, delta[g], by_query[g]));
    }
  }
  const size_t last = (run->count - 1) * width;
  NAME(delta_pass)(
      NAME(RENEW), 0, width, run->total + last, run->keys + last, delta, NULL, NULL, state,
      state_stride, NULL, NULL);
}

static void NAME(delta_recurrent)(const struct kiln_delta_head *head, float *workspace) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  const size_t slices = delta_slices(head), length = delta_run_length(head);
  const int in_place = delta_runs_in_place(head);
  unsigned char renewed[DELTA_RUN];
  struct NAME(delta_run) run = {.width = K, .renewed = renewed};
  float *packed = ALIGNED(workspace);
  run.keys = packed + (in_place ? 0 : slices * SLICE * K);
  run.total = run.keys + ROUND_UP(length * K);
  run.decayed_keys = run.total + ROUND_UP(length * K);
  run.decayed_queries = run.decayed_keys + ROUND_UP(length * K);
  run.raised_keys = run.decayed_queries + ROUND_UP(length * K);
  run.products = run.raised_keys + ROUND_UP(length * K);
  float *padded = run.products + ROUND_UP(length);
  if (!in_place) NAME(copy_slices_in)(head, packed);
  for (size_t first = 0; first < head->tokens; first += length) {
    run.count = head->tokens - first < length ? head->tokens - first : length;
    NAME(delta_prepare_run)(head, first, &run);
    const float *beta = head->beta + first * head->beta_stride;
    for (size_t s = 0; s < slices; s++) {
      const size_t columns = V - s * SLICE < SLICE ? V - s * SLICE : SLICE;
      const float *values = head->values + first * head->value_stride + s * SLICE;
      float *output = head->output + first * head->value_stride + s * SLICE;
      float *state = in_place ? head->state + s * SLICE : packed + s * K * SLICE;
      if (columns == SLICE) {
        NAME(delta_recurrent_slice)(
            &run, beta, head->beta_stride, values, head->value_stride, output, head->value_stride,
            state, in_place ? V : SLICE);
      } else {
        NAME(copy_rows_in)(values, head->value_stride, run.count, columns, padded, SLICE);
        NAME(delta_recurrent_slice)(
            &run, beta, head->beta_stride, padded, SLICE, padded, SLICE, state, SLICE);
        NAME(copy_rows_out)(padded, SLICE, run.count, columns, output, head->value_stride);
      }
    }
  }
  if (!in_place) NAME(copy_slices_out)(head, packed);
}
