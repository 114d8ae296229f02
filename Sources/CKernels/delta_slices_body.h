// SPDX-License-Identifier: Apache-2.0
//
// How state, values are cut into slices of value columns, and how the rows of the
// tokens to come are asked for.

/// Asks for a row of a token that is prepared soon: `rows` are queries, keys or decays.
///
/// A row is a short piece of a long one, so no prefetcher of the hardware knows where the next one
/// is, and a run of tokens needs more of them than can be on their way at a time. So each piece of
/// work asks for some rows of the next run or chunk.
static inline void NAME(delta_prefetch_row)(
    const struct kiln_delta_head *head, const float *rows, size_t token) {
  if (token >= head->tokens) return;
  const float *row = rows + token * head->key_stride;
  _Pragma("clang loop unroll_count(8)")
  for (size_t c = 0; c < head->key_dimension; c += LANES) PREFETCH(row + c);
}

/// Asks for the values of a token in one slice, which are overwritten.
static inline void NAME(delta_prefetch_values)(
    const struct kiln_delta_head *head, size_t token, size_t slice) {
  if (token >= head->tokens || (slice + 1) * SLICE > head->value_dimension) return;
  const float *row = head->values + token * head->value_stride + slice * SLICE;
  UNROLL for (size_t c = 0; c < SLICE; c += LANES) __builtin_prefetch(row + c, 1, 3);
}

/// Copies rows of `count` floats, at most SLICE, and fills them up with zeros to `width`.
static inline void NAME(copy_rows)(
    const float *source, size_t source_stride, size_t rows, size_t count, float *target,
    size_t target_stride, size_t width) {
  for (size_t row = 0; row < rows; row++, source += source_stride, target += target_stride) {
    if (count == SLICE) {
      memcpy(target, source, SLICE * sizeof(float));
    } else {
      memcpy(target, source, count * sizeof(float));
      for (size_t i = count; i < width; i++) target[i] = 0;
    }
  }
}

/// Cuts the state into slices [key_dimension, SLICE], one after the other.
static void NAME(copy_slices_in)(const struct kiln_delta_head *head, float *packed) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  for (size_t start = 0; start < V; start += SLICE, packed += K * SLICE) {
    const size_t columns = V - start < SLICE ? V - start : SLICE;
    NAME(copy_rows)(head->state + start, V, K, columns, packed, SLICE, SLICE);
  }
}

/// Puts the slices together again.
static void NAME(copy_slices_out)(const struct kiln_delta_head *head, const float *packed) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  for (size_t start = 0; start < V; start += SLICE, packed += K * SLICE) {
    const size_t columns = V - start < SLICE ? V - start : SLICE;
    NAME(copy_rows)(packed, SLICE, K, columns, head->state + start, V, columns);
  }
}
