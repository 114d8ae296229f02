// SPDX-License-Identifier: Apache-2.0

#include "decoding.h"
#include "codes.h"
#include "lanes.h"
#include "limbs.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Every function that takes or returns a vector is inlined, so no calling convention is involved.
#pragma clang diagnostic ignored "-Wpsabi"
#define INLINE static inline __attribute__((always_inline))

/// Elements of a block, and how many of them one dword holds.
INLINE size_t block_length(enum kiln_encoding encoding) {
  return encoding == KILN_INT4 ? 128 : encoding == KILN_INT8 ? 64 : encoding == KILN_F32 ? 16 : 32;
}

INLINE size_t row_byte_count(const struct kiln_matrix *matrix) {
  return matrix->columns * BLOCK_BYTES / block_length(matrix->encoding);
}

/// Where element `lane`, `plane` of an arranged block comes from. Half floats are widened by
/// sixteens, so their order is kept.
INLINE size_t element_index(enum kiln_encoding encoding, size_t planes, size_t plane, size_t lane) {
  return encoding == KILN_F16 ? plane * LANES + lane : lane * planes + plane;
}

// Calls a function with the scales of a block as a constant: 1, 2 or 4 groups, or 0 where one scale
// holds for the row and is applied to its sum.
#define WITH_GROUPS_OF_INT4(function, matrix, ...) \
  do { \
    if (matrix->group == matrix->columns) function(matrix, KILN_INT4, 0, __VA_ARGS__); \
    else if (matrix->group == 32) function(matrix, KILN_INT4, 4, __VA_ARGS__); \
    else if (matrix->group == 64) function(matrix, KILN_INT4, 2, __VA_ARGS__); \
    else function(matrix, KILN_INT4, 1, __VA_ARGS__); \
  } while (0)
#define WITH_GROUPS_OF_INT8(function, matrix, ...) \
  do { \
    if (matrix->group == matrix->columns) function(matrix, KILN_INT8, 0, __VA_ARGS__); \
    else if (matrix->group == 32) function(matrix, KILN_INT8, 2, __VA_ARGS__); \
    else function(matrix, KILN_INT8, 1, __VA_ARGS__); \
  } while (0)

#define KILN_BODY "matrix_vector_body.h"
#include "variants.h"

size_t kiln_arranged_count(size_t n) {
  // Whole blocks of any encoding, in limbs with the scales of the lanes before them.
  return (n + LONGEST_BLOCK - 1) / LONGEST_BLOCK * LONGEST_BLOCK + LANES;
}

static KILN_DISPATCH(
    void, arrange_planes,
    (enum kiln_instruction_set set, enum kiln_encoding encoding, const float *x, size_t n,
     float *arranged),
    (encoding, x, n, arranged))
static KILN_DISPATCH(
    void, multiply_planes,
    (enum kiln_instruction_set set, const struct kiln_matrix *matrix, size_t first, size_t count,
     const float *arranged, float *y),
    (matrix, first, count, arranged, y))

/// Whether products are computed in integers.
INLINE int uses_limbs(enum kiln_instruction_set set, enum kiln_encoding encoding) {
  return set >= KILN_AVX512_VNNI && (encoding == KILN_INT4 || encoding == KILN_INT8);
}

void kiln_arrange(
    enum kiln_instruction_set set, enum kiln_encoding encoding, const float *x, size_t n,
    float *arranged) {
  if (uses_limbs(set, encoding)) kiln_arrange_limbs(encoding, x, n, arranged);
  else kiln_arrange_planes(set, encoding, x, n, arranged);
}

void kiln_matrix_vector(
    enum kiln_instruction_set set, const struct kiln_matrix *matrix, size_t first, size_t count,
    const float *arranged, float *y) {
  if (uses_limbs(set, matrix->encoding)) kiln_multiply_limbs(set, matrix, first, count, arranged, y);
  else kiln_multiply_planes(set, matrix, first, count, arranged, y);
}

KILN_DISPATCH(
    void, add_rows,
    (enum kiln_instruction_set set, const struct kiln_matrix *matrix, size_t first, size_t count,
     const float *x, float *y),
    (matrix, first, count, x, y))
