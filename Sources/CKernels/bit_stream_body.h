// SPDX-License-Identifier: Apache-2.0
//
// Codes of 5 and 6 bits, which lie in a row one behind the other, the first bit of each behind the
// last of the one before. Sixteen of them take 2 * bits bytes, and each lies in two neighbouring ones.

/// Sixteen codes, from the bytes that hold them.
static inline __attribute__((always_inline)) void NAME(unpack_codes)(
    const int bits, const uint8_t *source, int16lanes *codes) {
  typedef uint8_t bytes16 __attribute__((ext_vector_type(16)));
  typedef uint8_t bytes32 __attribute__((ext_vector_type(32)));
  typedef uint16_t halves16 __attribute__((ext_vector_type(16)));
  bytes16 stream = (bytes16)(0);
  memcpy(&stream, source, 2 * (size_t)bits);
  bytes32 pairs;
  int16lanes shift;
  if (bits == 5) {
    pairs = __builtin_shufflevector(
        stream, stream, 0, 1, 0, 1, 1, 2, 1, 2, 2, 3, 3, 4, 3, 4, 4, 5, 5, 6, 5, 6, 6, 7, 6, 7, 7, 8,
        8, 9, 8, 9, 9, 10);
    shift = (int16lanes){0, 5, 2, 7, 4, 1, 6, 3, 0, 5, 2, 7, 4, 1, 6, 3};
  } else {
    pairs = __builtin_shufflevector(
        stream, stream, 0, 1, 0, 1, 1, 2, 2, 3, 3, 4, 3, 4, 4, 5, 5, 6, 6, 7, 6, 7, 7, 8, 8, 9, 9, 10,
        9, 10, 10, 11, 11, 12);
    shift = (int16lanes){0, 6, 4, 2, 0, 6, 4, 2, 0, 6, 4, 2, 0, 6, 4, 2};
  }
  halves16 windows;
  memcpy(&windows, &pairs, sizeof windows);
  *codes = ((__builtin_convertvector(windows, int16lanes) >> shift) & ((1 << bits) - 1)) -
           CODE_OFFSET(bits);
}
