// SPDX-License-Identifier: Apache-2.0
//
// Compiles the file named by KILN_BODY once for each instruction set. Names inside a body are
// written NAME(f) and become f_portable, f_avx2, f_avx512; KILN_DISPATCH then defines the
// function that chooses among them. No header guard: each kernel file includes this once.

// Fused multiply-adds round once where two instructions round twice; without them every
// instruction set gives the same bits. Kernels that need them
// for speed say so with MULTIPLY_ADD of fused.h.
#pragma STDC FP_CONTRACT OFF

#define KILN_JOIN_(name, suffix) name##suffix
#define KILN_JOIN(name, suffix) KILN_JOIN_(name, suffix)
#define NAME(name) KILN_JOIN(name, KILN_SUFFIX)

// VECTOR_BITS: the width of a register.
// KILN_FUSED: whether one instruction multiplies and adds.
// TILE_ROWS, TILE_GROUPS: a tile of a matrix product that stays in registers, rows times groups of
// 16 columns.
// PASS_GROUPS: groups of 16 columns whose sums of two tokens fit the registers in a pass over a state.
// PRODUCT_ROWS, PRODUCT_GROUPS: the same of a product of packed operands, which fills the registers.
// IN_REGISTER(x): keeps lanes that are used several times in a register. Compilers know that
// AVX-512 can broadcast a number from memory in each instruction, and then load it each time.
#define KILN_SUFFIX _portable
#define VECTOR_BITS 128
#if defined(__aarch64__)
#define KILN_FUSED 1
#define PRODUCT_ROWS 6
#else
#define KILN_FUSED 0
#define PRODUCT_ROWS 2
#endif
#define PRODUCT_GROUPS 1
#define TILE_ROWS 2
#define TILE_GROUPS 1
#define PASS_GROUPS 1
#define IN_REGISTER(x)
#include KILN_BODY
#undef KILN_SUFFIX
#undef VECTOR_BITS
#undef KILN_FUSED
#undef PRODUCT_ROWS
#undef PRODUCT_GROUPS
#undef TILE_ROWS
#undef TILE_GROUPS
#undef PASS_GROUPS
#undef IN_REGISTER

#if defined(__x86_64__)

#define KILN_SUFFIX _avx2
#define VECTOR_BITS 256
#define KILN_FUSED 1
#define PRODUCT_ROWS 6
#define PRODUCT_GROUPS 1
#define TILE_ROWS 6
#define TILE_GROUPS 1
#define PASS_GROUPS 1
#define IN_REGISTER(x)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include KILN_BODY
#pragma clang attribute pop
#undef KILN_SUFFIX
#undef VECTOR_BITS
#undef KILN_FUSED
#undef PRODUCT_ROWS
#undef PRODUCT_GROUPS
#undef TILE_ROWS
#undef TILE_GROUPS
#undef PASS_GROUPS
#undef IN_REGISTER

#define KILN_SUFFIX _avx512
#define VECTOR_BITS 512
#define KILN_FUSED 1
#define PRODUCT_ROWS 12
#define PRODUCT_GROUPS 2
#define TILE_ROWS 8
#define TILE_GROUPS 2
#define PASS_GROUPS 2
#define IN_REGISTER(x) __asm__("" : "+v"(x))
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq"))), \
    apply_to = function)
#include KILN_BODY
#pragma clang attribute pop
#undef KILN_SUFFIX
#undef VECTOR_BITS
#undef KILN_FUSED
#undef PRODUCT_ROWS
#undef PRODUCT_GROUPS
#undef TILE_ROWS
#undef TILE_GROUPS
#undef PASS_GROUPS
#undef IN_REGISTER

#define KILN_DISPATCH(type, name, parameters, arguments) \
  type kiln_##name parameters { \
    switch (set) { \
    case KILN_AVX512_VBMI2: \
    case KILN_AVX512_VNNI: \
    case KILN_AVX512: \
      return name##_avx512 arguments; \
    case KILN_AVX2: \
      return name##_avx2 arguments; \
    default: \
      return name##_portable arguments; \
    } \
  }

#else

#define KILN_DISPATCH(type, name, parameters, arguments) \
  type kiln_##name parameters { \
    (void)set; \
    return name##_portable arguments; \
  }

#endif
