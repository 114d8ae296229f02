// SPDX-License-Identifier: Apache-2.0
//
// Kernels for one token at a time: products of stored weights with a vector, one step of Kimi delta
// attention, attention over a cache of latents.
//
// The order of every sum is fixed, so results depend neither on threads nor on how rows are cut
// into calls. Like products and exponentials these use fused multiply-adds where the processor
// has them: AVX2 and AVX-512 give the same bits, the portable form rounds once more per product. Products
// with integer codes have other last bits where there is VNNI, which sums them exactly but for a few
// roundings.
#ifndef KILN_DECODING_H
#define KILN_DECODING_H

#include "kernels.h"

// Matrix times vector --------------------------------------------------------------------------------

enum kiln_encoding {
  KILN_BF16 = 0,
  KILN_F16 = 1,
  KILN_F32 = 2,
  KILN_INT8 = 3,
  KILN_INT4 = 4,
  // Read as sixteen neighbours at a time: a vector is arranged for them as for KILN_F32.
  KILN_INT5 = 5,
  KILN_INT6 = 6
};

/// A stored matrix, row after row; codes as for `kiln_widen_int8` and `kiln_widen_int4`.
struct kiln_matrix {
  enum kiln_encoding encoding;
  size_t columns;
  /// Elements that share a scale: 32, 64, 128, or `columns` for any other; unused for plain elements.
  size_t group;
  /// Elements or codes of the first row.
  const uint8_t *codes;
  /// One BF16 for each group; unused for plain elements.
  const uint8_t *scales;
};

/// Floats that an arranged vector of `n` elements takes: whole blocks of every encoding.
size_t kiln_arranged_count(size_t n);
/// Brings a vector into the order in which kernels of an encoding and instruction set read it.
///
/// Weights are read as vectors of 16 dwords, each of which holds several consecutive elements; the
/// activations that meet the first element of every dword come first, then those of the second.
/// Filled up with zeros. With VNNI, vectors for integer codes are split into limbs: limbs.c.
void kiln_arrange(
    enum kiln_instruction_set set, enum kiln_encoding encoding, const float *x, size_t n,
    float *arranged);
/// y[i] = row (first + i) . x for `count` rows, `arranged` being x as `kiln_arrange` leaves it.
void kiln_matrix_vector(
    enum kiln_instruction_set set, const struct kiln_matrix *matrix, size_t first, size_t count,
    const float *arranged, float *y);
/// y = sum over i of x[i] * row (first + i), rows in ascending order; y has `columns` elements.
void kiln_add_rows(
    enum kiln_instruction_set set, const struct kiln_matrix *matrix, size_t first, size_t count,
    const float *x, float *y);

// Kimi delta attention ---------------------------------------------------------------------------------

/// One token of one head: the recurrence of kernels.h with half its passes over the state.
///
/// The head has one token, and a value dimension that is a multiple of 16. The workspace has room
/// for three times the key dimension.
void kiln_delta_step(
    enum kiln_instruction_set set, const struct kiln_delta_head *head, float *workspace);

// Attention over latents -------------------------------------------------------------------------------

/// Tokens that are worked on at a time; caches are readable up to a multiple of it.
#define KILN_LATENT_BLOCK 16

/// All heads of one query over some consecutive rows of a cache.
struct kiln_latent_segment {
  /// Heads, a multiple of 4; what is behind the real ones is computed for nothing.
  size_t heads;
  /// Floats of a row of the cache, and of a query; a multiple of 16, filled up with zeros.
  size_t width;
  /// The part of a row that is summed; rounded up to a multiple of 16.
  size_t rank;
  size_t rows;
  /// [heads, width], times the scale of the scores.
  const float *queries;
  /// [rows, width]; up to KILN_LATENT_BLOCK - 1 further rows are read, finite, and count nothing.
  const float *cache;
  /// Results for each head: largest score m, sum of exp(score - m), and [heads, rank rounded up] the
  /// sum of exp(score - m) times rows.
  float *maxima, *sums, *weighted;
};

/// Floats of scratch memory for a number of heads.
size_t kiln_latent_workspace(size_t heads);
void kiln_latent_attend(
    enum kiln_instruction_set set, const struct kiln_latent_segment *segment, float *workspace);

#endif
