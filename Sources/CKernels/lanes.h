// SPDX-License-Identifier: Apache-2.0
//
// Sixteen floats that are computed side by side: one AVX-512 register, two of AVX2, four of SSE.
// The compiler splits the type as the instruction set asks; the lanes stay the same.
#ifndef KILN_LANES_H
#define KILN_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16 };

typedef float float16 __attribute__((ext_vector_type(16)));
typedef int32_t int16lanes __attribute__((ext_vector_type(16)));
typedef float float16_unaligned __attribute__((ext_vector_type(16), aligned(4), may_alias));

// Macros, not functions: a function that returns such a vector has another calling convention on
// each instruction set.
#define LOAD(pointer) (*(const float16_unaligned *)(pointer))
#define STORE(pointer, lanes) (*(float16_unaligned *)(pointer) = (lanes))
#define ALL(number) ((float16)(number))

/// Asks for memory that will be read soon, into the second-level cache: the first has few places for what
/// is under way, and streams at half the speed if it waits for them.
#define PREFETCH(pointer) __builtin_prefetch((pointer), 0, 2)

#define UNROLL _Pragma("clang loop unroll(full)")

#endif
