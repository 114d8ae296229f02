// SPDX-License-Identifier: Apache-2.0
//
// x * y + z, rounded once where the processor has an instruction for it. For functions that promise no equal
// bits with the portable form; included once for each instruction set.

#undef MULTIPLY_ADD
#if KILN_FUSED
#define MULTIPLY_ADD(x, y, z) __builtin_elementwise_fma((x), (y), (z))
#else
#define MULTIPLY_ADD(x, y, z) ((x) * (y) + (z))
#endif
