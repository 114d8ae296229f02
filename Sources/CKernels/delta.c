// SPDX-License-Identifier: Apache-2.0

#include "kernels.h"
#include "lanes.h"

/// Tokens for which the recurrence prepares queries, keys and decays at a time.
#define DELTA_RUN 32
/// Widest slice of value columns of any instruction set, in floats.
#define DELTA_WIDEST_SLICE 64
/// The next multiple of 16: every part of a workspace starts on a cache line.
#define ROUND_UP(n) (((size_t)(n) + 15) / 16 * 16)
#define ALIGNED(pointer) ((float *)(((uintptr_t)(pointer) + 63) / 64 * 64))

#define KILN_BODY "delta_body.h"
#include "variants.h"

static size_t packed_state(const struct kiln_delta_head *head) {
  const size_t slices = (head->value_dimension + DELTA_WIDEST_SLICE - 1) / DELTA_WIDEST_SLICE;
  return slices * DELTA_WIDEST_SLICE * head->key_dimension;
}

size_t kiln_delta_recurrent_workspace(const struct kiln_delta_head *head) {
  return 16 + ROUND_UP(packed_state(head)) + 3 * ROUND_UP(DELTA_RUN * head->key_dimension) +
         ROUND_UP(DELTA_RUN) + DELTA_RUN * DELTA_WIDEST_SLICE;
}

size_t kiln_delta_chunkwise_workspace(const struct kiln_delta_head *head, size_t chunk) {
  const size_t padded = ROUND_UP(chunk), width = ROUND_UP(head->key_dimension);
  return 16 + ROUND_UP(packed_state(head)) + 4 * padded * width + 2 * 16 * width +
         2 * padded * padded + 2 * width + 2 * padded * DELTA_WIDEST_SLICE;
}

KILN_DISPATCH(
    void, delta_recurrent,
    (enum kiln_instruction_set set, const struct kiln_delta_head *head, float *workspace),
    (head, workspace))
KILN_DISPATCH(
    void, delta_chunkwise,
    (enum kiln_instruction_set set, const struct kiln_delta_head *head, size_t chunk,
     float *workspace),
    (head, chunk, workspace))
