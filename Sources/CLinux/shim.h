// SPDX-License-Identifier: Apache-2.0
#ifndef KILN_CLINUX_H
#define KILN_CLINUX_H

#include <fcntl.h>
#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

// renameat2 without the GNU feature macro that Swift's Glibc module is built without.

// Fails with EEXIST if the new name is taken.
static inline int kiln_rename_new(const char *from, const char *to) {
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1u /* RENAME_NOREPLACE */);
}

// Swaps two names at once.
static inline int kiln_rename_exchange(const char *from, const char *to) {
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 2u /* RENAME_EXCHANGE */);
}

// The variables of the environment, "NAME=value" each, up to a null pointer. Swift takes the variable of the C
// library for shared state that no language rule protects; nothing in Kiln changes it.
static inline char *const *kiln_environment(void) {
  extern char **environ;
  return environ;
}

// Tells the processor that a loop only waits, so that it leaves the core to others and sees the end
// of the wait at once.
static inline void kiln_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Processors that this process may run on, which a container or taskset may have narrowed; 0 if the
// system does not say.
static inline int kiln_usable_processors(void) {
  unsigned long mask[128];
  const long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
  int count = 0;
  for (long i = 0; i < bytes / (long)sizeof mask[0]; i++) count += __builtin_popcountl(mask[i]);
  return count;
}

// Has the allocator of glibc keep what is freed: a model takes and gives back the same buffers
// thousands of times, and each time the system would map them and clear their pages again.
static inline void kiln_keep_freed_memory(void) {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

// Has the allocator of glibc give pages that hold nothing back to the system.
static inline void kiln_give_back_freed_memory(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

#endif
