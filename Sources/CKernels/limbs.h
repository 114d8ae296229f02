// SPDX-License-Identifier: Apache-2.0
//
// Products of integer codes with a vector in integers, for processors with AVX-512 VNNI: see limbs.c.
#ifndef KILN_LIMBS_H
#define KILN_LIMBS_H

#include "decoding.h"

/// Bytes of codes that are worked on at a time, whatever the encoding: 16 dwords.
#define BLOCK_BYTES 64
/// Elements of the longest block, that of four bits.
#define LONGEST_BLOCK (2 * BLOCK_BYTES)

/// Splits a vector into limbs for matrices of an encoding, KILN_INT4 or KILN_INT8; as many floats as
/// `kiln_arranged_count` gives.
void kiln_arrange_limbs(enum kiln_encoding encoding, const float *x, size_t n, float *arranged);
/// As `kiln_matrix_vector`, for integer codes and a vector in limbs; KILN_AVX512_VNNI or wider.
void kiln_multiply_limbs(
    enum kiln_instruction_set set, const struct kiln_matrix *matrix, size_t first, size_t count,
    const float *arranged, float *y);

#endif
