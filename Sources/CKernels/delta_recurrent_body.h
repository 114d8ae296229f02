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
// in the first-level cache for a run of tokens, and two tokens take one pass over a slice: the
// updates of the two tokens before them, and the products of both. What the second one's products lack
// is the update of the first, which is known afterwards:
//
//   Z' = Z + (k / D) d^T;  Z'^T (D' k') = Z^T (D' k') + ((k / D) . (D' k')) d, and so with q'
//
// One token a pass would be as much arithmetic, but loads and stores each row twice as often. A second
// token for which D starts anew has a pass of its own.

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
  float *key_links;        // [count] the token before's k / D . D k
  float *query_links;      // [count] the token before's k / D . D q
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
    if (token % 2 == 0 || run->renewed[token]) continue;
    const float *raised = run->raised_keys + row - width;
    run->key_links[token] = NAME(dot)(raised, run->decayed_keys + row, width);
    run->query_links[token] = NAME(dot)(raised, query, width);
  }
}

/// What a pass does to a row of Z before the products: nothing; Z + l u^T for the last one or two tokens;
/// D Z + k u^T for the last one; D (Z + l u^T) for the last two.
enum NAME(delta_update) {
  NAME(KEEP),
  NAME(ADD_ONE),
  NAME(ADD_TWO),
  NAME(RENEW_ONE),
  NAME(RENEW_TWO)
};

/// The rows of the last tokens that a pass brings into a slice, and those of the next.
struct NAME(delta_pass_rows) {
  const float *total;       // D, if it starts anew
  const float *updates[2];  // l, of which there may be one or two
  const float *keys[2];     // D k, of which there may be none, one or two
  const float *queries[2];  // D q
};

/// Numbers of a token, or of two, for each column of a slice.
struct NAME(delta_columns) {
  float16 groups[2][SLICE_GROUPS];
};

/// One pass over some groups of a slice: its update, and the sums of rows times keys and queries.
static inline __attribute__((always_inline)) void NAME(delta_pass_groups)(
    const int update, const int tokens, size_t width, const struct NAME(delta_pass_rows) *rows,
    const struct NAME(delta_columns) *deltas, float *state, size_t state_stride, size_t group,
    struct NAME(delta_columns) *by_key, struct NAME(delta_columns) *by_query) {
  const int renews = update == NAME(RENEW_ONE) || update == NAME(RENEW_TWO);
  const int updates = update == NAME(KEEP) ? 0
      : update == NAME(ADD_TWO) || update == NAME(RENEW_TWO) ? 2 : 1;
  const float *total = rows->total, *first = rows->updates[0], *second = rows->updates[1];
  const float *keys[2] = {rows->keys[0], rows->keys[1]};
  const float *queries[2] = {rows->queries[0], rows->queries[1]};
  float16 u[2][PASS_GROUPS], a[2][PASS_GROUPS], b[2][PASS_GROUPS];
  UNROLL for (int t = 0; t < 2; t++) {
    UNROLL for (int g = 0; g < PASS_GROUPS; g++) {
      u[t][g] = deltas->groups[t][group + (size_t)g];
      a[t][g] = b[t][g] = ALL(0);
    }
  }
  for (size_t c = 0; c < width; c++, state += state_stride) {
    float16 factor = ALL(renews ? total[c] : 0);
    float16 l = ALL(updates > 0 ? first[c] : 0), m = ALL(updates > 1 ? second[c] : 0);
    float16 s[PASS_GROUPS];
    IN_REGISTER(factor);
    IN_REGISTER(l);
    IN_REGISTER(m);
    UNROLL for (int g = 0; g < PASS_GROUPS; g++) {
      s[g] = LOAD(state + g * LANES);
      if (update == NAME(RENEW_ONE)) s[g] = s[g] * factor;
      if (updates > 0) s[g] = MULTIPLY_ADD(l, u[0][g], s[g]);
      if (updates > 1) s[g] = MULTIPLY_ADD(m, u[1][g], s[g]);
      if (update == NAME(RENEW_TWO)) s[g] = s[g] * factor;
      if (updates > 0) STORE(state + g * LANES, s[g]);
    }
    UNROLL for (int t = 0; t < tokens; t++) {
      float16 k = ALL(keys[t][c]), q = ALL(queries[t][c]);
      IN_REGISTER(k);
      IN_REGISTER(q);
      UNROLL for (int g = 0; g < PASS_GROUPS; g++) {
        a[t][g] = MULTIPLY_ADD(s[g], k, a[t][g]);
        b[t][g] = MULTIPLY_ADD(s[g], q, b[t][g]);
      }
    }
  }
  UNROLL for (int t = 0; t < tokens; t++) {
    UNROLL for (int g = 0; g < PASS_GROUPS; g++) {
      by_key->groups[t][group + (size_t)g] = a[t][g];
      by_query->groups[t][group + (size_t)g] = b[t][g];
    }
  }
}

/// One pass over a slice for no, one or two tokens.
static inline __attribute__((always_inline)) void NAME(delta_pass)(
    const int update, const int tokens, size_t width, const struct NAME(delta_pass_rows) *rows,
    const struct NAME(delta_columns) *deltas, float *state, size_t state_stride,
    struct NAME(delta_columns) *by_key, struct NAME(delta_columns) *by_query) {
  for (size_t group = 0; group < SLICE_GROUPS; group += PASS_GROUPS) {
    NAME(delta_pass_groups)(
        update, tokens, width, rows, deltas, state + group * LANES, state_stride, group, by_key,
        by_query);
  }
}

/// The pass for an update that is known when it runs.
static inline __attribute__((always_inline)) void NAME(delta_pass_of)(
    enum NAME(delta_update) update, const int tokens, size_t width,
    const struct NAME(delta_pass_rows) *rows, const struct NAME(delta_columns) *deltas,
    float *state, size_t state_stride, struct NAME(delta_columns) *by_key,
    struct NAME(delta_columns) *by_query) {
#define KILN_PASS(update) \
  case update: \
    NAME(delta_pass)( \
        update, tokens, width, rows, deltas, state, state_stride, by_key, by_query); \
    break
  switch (update) {
    KILN_PASS(NAME(KEEP));
    KILN_PASS(NAME(ADD_ONE));
    KILN_PASS(NAME(ADD_TWO));
    KILN_PASS(NAME(RENEW_ONE));
    KILN_PASS(NAME(RENEW_TWO));
  }
#undef KILN_PASS
}

/// What a pass for the token `next` has to do first, and the rows for it: the last `pending` tokens before it are
/// not yet in the state.
static inline enum NAME(delta_update) NAME(delta_choose_update)(
    const struct NAME(delta_run) *run, size_t next, size_t pending, int renews,
    struct NAME(delta_pass_rows) *rows) {
  if (pending == 0) return NAME(KEEP);
  const size_t last = (next - 1) * run->width;
  rows->total = run->total + last;
  if (pending == 2) {
    rows->updates[0] = run->raised_keys + last - run->width;
    rows->updates[1] = run->raised_keys + last;
    return renews ? NAME(RENEW_TWO) : NAME(ADD_TWO);
  }
  // D may be 0 here, and k / D nothing to count with.
  rows->updates[0] = (renews ? run->keys : run->raised_keys) + last;
  return renews ? NAME(RENEW_ONE) : NAME(ADD_ONE);
}

/// A run of tokens from `first` on, on one slice of value columns, whose state is up to date before
/// and after; values become outputs.
static void NAME(delta_recurrent_slice)(
    const struct kiln_delta_head *head, size_t first, size_t slice,
    const struct NAME(delta_run) *run, const float *beta, size_t beta_stride, float *values,
    size_t value_stride, float *state, size_t state_stride) {
  const float *ahead[3] = {head->queries, head->keys, head->log_decay};
  const size_t width = run->width;
  struct NAME(delta_columns) deltas = {{{ALL(0)}}}, by_key, by_query;
  struct NAME(delta_pass_rows) rows = {0};
  size_t pending = 0;
  for (size_t token = 0; token < run->count;) {
    const size_t tokens =
        token % 2 == 0 && token + 1 < run->count && !run->renewed[token + 1] ? 2 : 1;
    const enum NAME(delta_update) update =
        NAME(delta_choose_update)(run, token, pending, run->renewed[token], &rows);
    for (size_t t = 0; t < tokens; t++) {
      for (size_t i = slice; i < 3; i += delta_slices(head)) {
        NAME(delta_prefetch_row)(head, ahead[i], first + run->count + token + t);
      }
      NAME(delta_prefetch_values)(head, first + token + t + DELTA_PREFETCH, slice);
      rows.keys[t] = run->decayed_keys + (token + t) * width;
      rows.queries[t] = run->decayed_queries + (token + t) * width;
    }
    if (tokens == 2) {
      NAME(delta_pass_of)(
          update, 2, width, &rows, &deltas, state, state_stride, &by_key, &by_query);
    } else {
      NAME(delta_pass_of)(
          update, 1, width, &rows, &deltas, state, state_stride, &by_key, &by_query);
    }
    for (size_t t = 0; t < tokens; t++, token++) {
      const float16 strength = ALL(beta[token * beta_stride]), product = ALL(run->products[token]);
      UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
        float16 a = by_key.groups[t][g], b = by_query.groups[t][g];
        if (t == 1) {
          a = MULTIPLY_ADD(ALL(run->key_links[token]), deltas.groups[0][g], a);
          b = MULTIPLY_ADD(ALL(run->query_links[token]), deltas.groups[0][g], b);
        }
        float *place = values + token * value_stride + g * LANES;
        deltas.groups[t][g] = strength * (LOAD(place) - a);
        STORE(place, MULTIPLY_ADD(product, deltas.groups[t][g], b));
      }
    }
    pending = tokens;
  }
  NAME(delta_choose_update)(run, run->count, pending, 1, &rows);
  if (pending == 2) {
    NAME(delta_pass)(
        NAME(RENEW_TWO), 0, width, &rows, &deltas, state, state_stride, &by_key, &by_query);
  } else {
    NAME(delta_pass)(
        NAME(RENEW_ONE), 0, width, &rows, &deltas, state, state_stride, &by_key, &by_query);
  }
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
  run.key_links = run.products + ROUND_UP(length);
  run.query_links = run.key_links + ROUND_UP(length);
  float *padded = run.query_links + ROUND_UP(length);
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
