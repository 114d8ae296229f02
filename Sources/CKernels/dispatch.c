// SPDX-License-Identifier: Apache-2.0

#include "kernels.h"

enum kiln_instruction_set kiln_best_instruction_set(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                   __builtin_cpu_supports("f16c");
  const int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (avx2 && avx512) {
    if (!__builtin_cpu_supports("avx512vnni")) return KILN_AVX512;
    return __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("gfni")
               ? KILN_AVX512_VBMI2
               : KILN_AVX512_VNNI;
  }
  if (avx2) return KILN_AVX2;
#endif
  return KILN_PORTABLE;
}
