// SPDX-License-Identifier: Apache-2.0
//
// How state, values and outputs are cut into slices of value columns, and how the rows of the
// tokens to come are asked for.

/// Asks for rows of queries, keys and decays of a token that is prepared soon, one part of `parts`.
///
/// A row is a short piece of a long one, so no prefetcher of the hardware knows where the next one
/// is, and a run of tokens needs more of them than can be on their way at a time. So each piece of
/// work asks for some rows of the next run or chunk.
static inline void NAME(delta_prefetch_rows)(
    const struct kiln_delta_head *head, size_t token, size_t part, size_t parts) {
  if (token >= head->tokens) return;
  const float *rows[3] = {head->queries, head->keys, head->log_decay};
  for (size_t i = part; i < 3; i += parts) {
    const float *row = rows[i] + token * head->key_stride;
    _Pragma("clang loop unroll_count(8)")
    for (size_t c = 0; c < head->key_dimension; c += LANES) __builtin_prefetch(row + c, 0, 2);
  }
}

/// Asks for the values and the place of the output of a token in one slice.
static inline void NAME(delta_prefetch_values)(
    const struct kiln_delta_head *head, size_t token, size_t slice) {
  if (token >= head->tokens || (slice + 1) * SLICE > head->value_dimension) return;
  const size_t place = token * head->value_stride + slice * SLICE;
  UNROLL for (size_t c = 0; c < SLICE; c += LANES) {
    __builtin_prefetch(head->values + place + c, 0, 3);
    __builtin_prefetch(head->output + place + c, 1, 3);
  }
}

/// Copies rows of `count` floats into rows that are `width` wide and fills up with zeros.
static inline void NAME(copy_rows_in)(
    const float *source, size_t source_stride, size_t rows, size_t count, float *target,
    size_t width) {
  for (size_t row = 0; row < rows; row++, source += source_stride, target += width) {
    if (count == SLICE) {
      UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
        STORE(target + g * LANES, LOAD(source + g * LANES));
      }
    } else {
      memcpy(target, source, count * sizeof(float));
      for (size_t i = count; i < width; i++) target[i] = 0;
    }
  }
}

/// Copies the first `count` floats of rows that are `width` wide.
static inline void NAME(copy_rows_out)(
    const float *source, size_t width, size_t rows, size_t count, float *target,
    size_t target_stride) {
  for (size_t row = 0; row < rows; row++, source += width, target += target_stride) {
    if (count == SLICE) {
      UNROLL for (int g = 0; g < SLICE_GROUPS; g++) {
        STORE(target + g * LANES, LOAD(source + g * LANES));
      }
    } else {
      memcpy(target, source, count * sizeof(float));
    }
  }
}

/// Cuts the state into slices [key_dimension, SLICE], one after the other.
static void NAME(copy_slices_in)(const struct kiln_delta_head *head, float *packed) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  for (size_t start = 0; start < V; start += SLICE, packed += K * SLICE) {
    const size_t columns = V - start < SLICE ? V - start : SLICE;
    NAME(copy_rows_in)(head->state + start, V, K, columns, packed, SLICE);
  }
}

/// Puts the slices together again.
static void NAME(copy_slices_out)(const struct kiln_delta_head *head, const float *packed) {
  const size_t K = head->key_dimension, V = head->value_dimension;
  for (size_t start = 0; start < V; start += SLICE, packed += K * SLICE) {
    const size_t columns = V - start < SLICE ? V - start : SLICE;
    NAME(copy_rows_out)(packed, SLICE, K, columns, head->state + start, V);
  }
}
