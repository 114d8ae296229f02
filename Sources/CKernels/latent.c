// SPDX-License-Identifier: Apache-2.0

#include "decoding.h"
#include "lanes.h"

#pragma clang diagnostic ignored "-Wpsabi"
#define INLINE static inline __attribute__((always_inline))
/// Heads and tokens of a tile of scores; 16 sums together.
#define TILE 4

#define KILN_BODY "latent_body.h"
#include "variants.h"

size_t kiln_latent_workspace(size_t heads) { return 2 * heads * KILN_LATENT_BLOCK; }

KILN_DISPATCH(
    void, latent_attend,
    (enum kiln_instruction_set set, const struct kiln_latent_segment *segment, float *workspace),
    (segment, workspace))
