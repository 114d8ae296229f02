// SPDX-License-Identifier: Apache-2.0
#ifndef KILN_XXHASH_H
#define KILN_XXHASH_H

#include <stddef.h>
#include <xxhash.h>

// The plain functions of the library use SSE2 on x86. Where it was built with them, those that choose
// AVX2 or AVX-512 when the program runs are about half as fast again; all give the same checksums.
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)

#define XXH_DISPATCH_DISABLE_REPLACE
#include <xxh_x86dispatch.h>

static inline XXH64_hash_t kiln_xxh3(const void *bytes, size_t count) {
  return XXH3_64bits_dispatch(bytes, count);
}

static inline void kiln_xxh3_update(XXH3_state_t *state, const void *bytes, size_t count) {
  (void)XXH3_64bits_update_dispatch(state, bytes, count);
}

#else

static inline XXH64_hash_t kiln_xxh3(const void *bytes, size_t count) {
  return XXH3_64bits(bytes, count);
}

static inline void kiln_xxh3_update(XXH3_state_t *state, const void *bytes, size_t count) {
  (void)XXH3_64bits_update(state, bytes, count);
}

#endif

#endif
