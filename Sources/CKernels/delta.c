// SPDX-License-Identifier: Apache-2.0

#include "kernels.h"
#include "lanes.h"

/// Tokens for which the recurrence prepares queries, keys and decays at a time.
#define DELTA_RUN 32
/// How many tokens ahead of their use the values of a slice are fetched.
#define DELTA_PREFETCH 6
/// Pieces that each product of a slice of a chunk is cut into; before each some of the next chunk is asked for,
/// so little that it does not keep the state, which comes from the second-level cache, waiting.
#define DELTA_PIECES 2
/// The smallest product of decays that keys are divided by: a state times its reciprocal is far from
/// the largest float, and the division loses nothing.
#define DELTA_SMALLEST 0x1p-24f
/// A slice of value columns, in groups of sixteen: with 128 keys it is half of a first-level cache,
/// and its sums hide the latency of a multiply-add.
enum { SLICE_GROUPS = 2, SLICE = SLICE_GROUPS * LANES };
/// The next multiple of 16: every part of a workspace starts on a cache line.
#define ROUND_UP(n) (((size_t)(n) + 15) / 16 * 16)
#define ALIGNED(pointer) ((float *)(((uintptr_t)(pointer) + 63) / 64 * 64))

/// Slices of the state of a head.
static size_t delta_slices(const struct kiln_delta_head *head) {
  return (head->value_dimension + SLICE - 1) / SLICE;
}

/// Tokens of a run.
static size_t delta_run_length(const struct kiln_delta_head *head) {
  return head->tokens < DELTA_RUN ? head->tokens : DELTA_RUN;
}

/// Whether the recurrence leaves the state where it is: for a few tokens a copy does not pay.
static int delta_runs_in_place(const struct kiln_delta_head *head) {
  return head->tokens < 4 && head->value_dimension % SLICE == 0;
}

/// The head that is `index` places behind another one.
static struct kiln_delta_head delta_neighbour(const struct kiln_delta_head *head, size_t index) {
  struct kiln_delta_head other = *head;
  other.queries += index * head->key_dimension;
  other.keys += index * head->key_dimension;
  other.log_decay += index * head->key_dimension;
  other.values += index * head->value_dimension;
  other.beta += index;
  other.state += index * head->key_dimension * head->value_dimension;
  return other;
}

#define KILN_BODY "delta_body.h"
#include "variants.h"

size_t kiln_delta_passes_workspace(const struct kiln_delta_head *head) {
  return 16 + 3 * ROUND_UP(head->key_dimension) + ROUND_UP(head->value_dimension);
}

size_t kiln_delta_recurrent_workspace(const struct kiln_delta_head *head, size_t heads) {
  const size_t length = delta_run_length(head);
  const size_t packed =
      delta_runs_in_place(head) ? 0 : delta_slices(head) * SLICE * head->key_dimension;
  return 16 + heads * packed + 5 * ROUND_UP(length * head->key_dimension) +
         3 * ROUND_UP(length) + length * SLICE;
}

size_t kiln_delta_chunkwise_workspace(
    const struct kiln_delta_head *head, size_t heads, size_t chunk) {
  const size_t padded = ROUND_UP(chunk), width = ROUND_UP(head->key_dimension);
  return 16 + heads * delta_slices(head) * SLICE * head->key_dimension + 4 * padded * width +
         2 * padded * padded + 2 * width + 2 * padded * SLICE;
}

KILN_DISPATCH(
    void, delta_passes,
    (enum kiln_instruction_set set, const struct kiln_delta_head *head, float *workspace),
    (head, workspace))
KILN_DISPATCH(
    void, delta_recurrent,
    (enum kiln_instruction_set set, const struct kiln_delta_head *head, size_t heads,
     float *workspace),
    (head, heads, workspace))
KILN_DISPATCH(
    void, delta_chunkwise,
    (enum kiln_instruction_set set, const struct kiln_delta_head *head, size_t heads,
     size_t chunk, float *workspace),
    (head, heads, chunk, workspace))
