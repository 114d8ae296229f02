// SPDX-License-Identifier: Apache-2.0
//
// A block of 64 bytes of stored weights as planes of 16 floats: plane p has the p-th element of each
// of the 16 dwords (of half floats: the p-th sixteen). Codes are exact; scales are not applied.

typedef uint32_t NAME(words) __attribute__((ext_vector_type(16)));
typedef uint32_t NAME(words_unaligned) __attribute__((ext_vector_type(16), aligned(1), may_alias));
typedef uint16_t NAME(halves) __attribute__((ext_vector_type(32)));
typedef uint16_t NAME(four_halves) __attribute__((ext_vector_type(4)));

#define WORDS(number) ((NAME(words))(number))
#define AS_FLOATS(vector) __builtin_bit_cast(float16, (vector))
/// The bits from `shift` on, as many as `mask` has, minus `zero`: they are put below the leading one
/// of a number so large that its last place is 1, so the difference is exact. Shift + bits <= 23.
#define FIELD(q, mask, shift, zero) \
  (AS_FLOATS(((q) & WORDS((uint32_t)(mask) << (shift))) | WORDS((uint32_t)(150 - (shift)) << 23)) - \
   ALL((float)(1 << (23 - (shift))) + (zero)))

INLINE size_t NAME(planes)(enum kiln_encoding encoding) {
  return encoding == KILN_INT4 ? 8 : encoding == KILN_INT8 ? 4 : encoding == KILN_F32 ? 1 : 2;
}

INLINE float16 NAME(int4_plane)(NAME(words) q, const int plane) {
#if VECTOR_BITS == 512
  // A look-up in a register takes the low four bits of each dword as they are.
  const __m512 table =
      _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
  const __m512i index = __builtin_bit_cast(__m512i, q >> WORDS((uint32_t)(4 * plane)));
  return __builtin_bit_cast(float16, _mm512_permutexvar_ps(index, table));
#else
  const NAME(words) half = plane < 4 ? q : q >> WORDS(16);
  switch (plane % 4) {
  case 0: return FIELD(half, 15, 0, 8);
  case 1: return FIELD(half, 15, 4, 8);
  case 2: return FIELD(half, 15, 8, 8);
  default: return FIELD(half, 15, 12, 8);
  }
#endif
}

INLINE float16 NAME(f16_plane)(const uint8_t *block, const int plane) {
#if VECTOR_BITS > 128
  typedef _Float16 halves16 __attribute__((ext_vector_type(16), aligned(1), may_alias));
  return __builtin_convertvector(*(const halves16 *)(block + 32 * plane), float16);
#else
  typedef uint16_t bits16 __attribute__((ext_vector_type(16), aligned(1), may_alias));
  const NAME(words) half =
      __builtin_convertvector(*(const bits16 *)(block + 32 * plane), NAME(words));
  // The fields where float32 has them, then times 2^112 for the other bias: exact, subnormals
  // included. Infinity and NaN have an exponent that this does not reach.
  const NAME(words) magnitude = (half & WORDS(0x7FFF)) << WORDS(13);
  const NAME(words) finite =
      __builtin_bit_cast(NAME(words), AS_FLOATS(magnitude) * ALL(0x1p112f));
  const NAME(words) special =
      __builtin_bit_cast(NAME(words), magnitude >= WORDS(0x7C00u << 13)) & WORDS(255u << 23);
  return AS_FLOATS(finite | special | ((half & WORDS(0x8000)) << WORDS(16)));
#endif
}

INLINE float16 NAME(plane)(
    const enum kiln_encoding encoding, const uint8_t *block, const int plane) {
  const NAME(words) q = *(const NAME(words_unaligned) *)block;
  switch (encoding) {
  case KILN_INT4: return NAME(int4_plane)(q, plane);
  case KILN_INT8: {
    const NAME(words) half = plane < 2 ? q : q >> WORDS(16);
    return plane % 2 == 0 ? FIELD(half, 255, 0, 128) : FIELD(half, 255, 8, 128);
  }
  case KILN_BF16: return AS_FLOATS(plane == 0 ? q << WORDS(16) : q & WORDS(0xFFFF0000u));
  case KILN_F16: return NAME(f16_plane)(block, plane);
  default: return AS_FLOATS(q);
  }
}

/// The scales of a block for the dwords that they belong to; `groups` of them, 1, 2 or 4.
INLINE float16 NAME(scale_lanes)(const int groups, const uint8_t *scales) {
  NAME(four_halves) s = (NAME(four_halves))(0);
  memcpy(&s, scales, (size_t)groups * 2);
  NAME(halves) wide;
  if (groups == 4) {
    wide = __builtin_shufflevector(
        s, (NAME(four_halves))(0), 4, 0, 4, 0, 4, 0, 4, 0, 4, 1, 4, 1, 4, 1, 4, 1, 4, 2, 4, 2, 4, 2,
        4, 2, 4, 3, 4, 3, 4, 3, 4, 3);
  } else if (groups == 2) {
    wide = __builtin_shufflevector(
        s, (NAME(four_halves))(0), 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 1, 4, 1, 4, 1,
        4, 1, 4, 1, 4, 1, 4, 1, 4, 1);
  } else {
    return ALL(__builtin_bit_cast(float, (uint32_t)s.x << 16));
  }
  return AS_FLOATS(wide);
}

/// Where the rows of a matrix are, and which scales belong to a block of one.
struct NAME(layout) {
  size_t length, row_bytes, row_groups, whole_blocks, rest;
};

INLINE struct NAME(layout) NAME(layout_of)(
    const struct kiln_matrix *matrix, const enum kiln_encoding encoding) {
  const size_t length = block_length(encoding);
  return (struct NAME(layout)){
      .length = length,
      .row_bytes = row_byte_count(matrix),
      .row_groups = matrix->group ? matrix->columns / matrix->group : 0,
      .whole_blocks = matrix->columns / length,
      .rest = matrix->columns % length,
  };
}
