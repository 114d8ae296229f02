// SPDX-License-Identifier: Apache-2.0

// Loaded before the C library: `write` and `pwrite` take only a part of what they are given, and are
// interrupted now and then, as the system allows itself. Seed: KILN_SHORT_WRITES.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

static atomic_uint_fast64_t state;

static uint64_t next(void) {
  uint64_t seed = atomic_fetch_add(&state, 0x9E3779B97F4A7C15u);
  if (seed == 0) {
    const char *text = getenv("KILN_SHORT_WRITES");
    if (text) atomic_fetch_add(&state, strtoull(text, NULL, 10) * 0x94D049BB133111EBu);
  }
  seed = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9u;
  return seed ^ (seed >> 31);
}

// Bytes to take of `count`; 0 stands for an interruption.
static size_t part(size_t count) {
  uint64_t random = next();
  if (random % 8 == 0) return 0;
  return count < 2 ? count : 1 + (random >> 8) % count;
}

ssize_t write(int file, const void *bytes, size_t count) {
  static ssize_t (*original)(int, const void *, size_t);
  if (!original) original = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  size_t taken = part(count);
  if (count > 0 && taken == 0) {
    errno = EINTR;
    return -1;
  }
  return original(file, bytes, taken);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
  static ssize_t (*original)(int, const void *, size_t, off_t);
  if (!original) original = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
  size_t taken = part(count);
  if (count > 0 && taken == 0) {
    errno = EINTR;
    return -1;
  }
  return original(file, bytes, taken, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t offset) {
  return pwrite(file, bytes, count, offset);
}
