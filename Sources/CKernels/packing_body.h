// SPDX-License-Identifier: Apache-2.0
//
// Operands of products in the order in which the micro-kernel reads them: blocks of 16 rows and 16
// columns are loaded row by row, turned over in registers and stored column by column.

#include "bit_stream_body.h"
#include "transpose_body.h"

// Strips ------------------------------------------------------------------------------------------

static void NAME(pack_strip)(
    const float *const *rows, size_t count, size_t inner, float *strip) {
  size_t k = 0;
  for (; k + LANES <= inner; k += LANES) {
    float16 block[LANES];
    UNROLL for (int r = 0; r < LANES; r++) {
      block[r] = r < PRODUCT_ROWS && (size_t)r < count ? LOAD(rows[r] + k) : ALL(0);
    }
    NAME(transpose)(block);
    // Each store writes past its column; the next one puts that right, but not behind the end.
    UNROLL for (int c = 0; c < LANES; c++) {
      float *column = strip + (k + c) * PRODUCT_ROWS;
      if ((inner - k - c) * PRODUCT_ROWS >= LANES) {
        STORE(column, block[c]);
      } else {
        memcpy(column, &block[c], PRODUCT_ROWS * sizeof(float));
      }
    }
  }
  for (; k < inner; k++) {
    for (size_t r = 0; r < PRODUCT_ROWS; r++) {
      strip[k * PRODUCT_ROWS + r] = r < count ? rows[r][k] : 0.0f;
    }
  }
}

// Panels ------------------------------------------------------------------------------------------

/// Sixteen stored elements as float32; the values of `widening_body.h`, to the last bit.
static inline __attribute__((always_inline)) void NAME(widen_lanes)(
    const enum kiln_weight_type type, const uint8_t *source, float scale, float16 *lanes) {
  if (type == KILN_WEIGHT_F32) {
    memcpy(lanes, source, sizeof *lanes);
  } else if (type == KILN_WEIGHT_BF16) {
    ushort16 halves;
    memcpy(&halves, source, sizeof halves);
    *lanes = (float16)(__builtin_convertvector(halves, uint16lanes) << 16);
  } else if (type == KILN_WEIGHT_F16) {
    ushort16 halves;
    memcpy(&halves, source, sizeof halves);
    const uint16lanes bits = __builtin_convertvector(halves, uint16lanes);
    const uint16lanes magnitude = (bits & 0x7FFF) << 13;
    const uint16lanes exponent = magnitude & (0x7C00u << 13);
    const uint16lanes infinite = (uint16lanes)(exponent == (0x7C00u << 13));
    const uint16lanes normal = magnitude + ((127 - 15) << 23) + (infinite & ((128 - 16) << 23));
    const uint16lanes leading_one = (uint16lanes)(113u << 23);
    const float16 difference = (float16)(magnitude + leading_one) - (float16)leading_one;
    const uint16lanes small = (uint16lanes)(exponent == 0);
    *lanes = (float16)((((uint16lanes)difference & small) | (normal & ~small)) |
                       ((bits & 0x8000) << 16));
  } else if (type == KILN_WEIGHT_INT8) {
    uchar16 codes;
    memcpy(&codes, source, sizeof codes);
    const int16lanes numbers = __builtin_convertvector(codes, int16lanes) - 128;
    *lanes = __builtin_convertvector(numbers, float16) * ALL(scale);
  } else if (type == KILN_WEIGHT_INT6 || type == KILN_WEIGHT_INT5) {
    int16lanes numbers;
    NAME(unpack_codes)(type == KILN_WEIGHT_INT6 ? 6 : 5, source, &numbers);
    *lanes = __builtin_convertvector(numbers, float16) * ALL(scale);
  } else {
    uchar8 pairs;
    memcpy(&pairs, source, sizeof pairs);
    const uchar16 twice = __builtin_shufflevector(
        pairs, pairs, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const int16lanes shift = {0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4};
    const int16lanes numbers =
        ((__builtin_convertvector(twice, int16lanes) >> shift) & 15) - 8;
    *lanes = __builtin_convertvector(numbers, float16) * ALL(scale);
  }
}

/// Bits of an element.
static inline __attribute__((always_inline)) size_t NAME(weight_bits)(
    const enum kiln_weight_type type) {
  switch (type) {
  case KILN_WEIGHT_F32: return 32;
  case KILN_WEIGHT_INT8: return 8;
  case KILN_WEIGHT_INT6: return 6;
  case KILN_WEIGHT_INT5: return 5;
  case KILN_WEIGHT_INT4: return 4;
  default: return 16;
  }
}

static inline __attribute__((always_inline)) float NAME(weight_scale)(
    const enum kiln_weight_type type, const struct kiln_weight_rows *weights, size_t row,
    size_t k) {
  if (type < KILN_WEIGHT_INT8) return 1;
  uint16_t half;
  memcpy(&half, weights->scales + row * weights->scale_row_bytes + k / weights->group * 2, 2);
  const uint32_t bits = (uint32_t)half << 16;
  float scale;
  memcpy(&scale, &bits, sizeof scale);
  return scale;
}

/// Elements in one word of 32 bits; 0 for those that cross words, and for F16, which takes other steps.
static inline __attribute__((always_inline)) size_t NAME(weights_per_word)(
    const enum kiln_weight_type type) {
  const size_t bits = NAME(weight_bits)(type);
  return type == KILN_WEIGHT_F16 || 32 % bits > 0 ? 0 : 32 / bits;
}

/// The element with the given index of each of sixteen words, scaled; the values of `widen_lanes`.
static inline __attribute__((always_inline)) void NAME(widen_part)(
    const enum kiln_weight_type type, const uint16lanes *words, size_t index,
    const float16 *scales, float16 *lanes) {
  if (type == KILN_WEIGHT_F32) {
    *lanes = (float16)*words;
  } else if (type == KILN_WEIGHT_BF16) {
    *lanes = (float16)(index == 0 ? *words << 16 : *words & 0xFFFF0000u);
  } else {
    const uint32_t bits = type == KILN_WEIGHT_INT8 ? 8 : 4, half = 1u << (bits - 1);
    const uint16lanes codes = (*words >> (uint32_t)(index * bits)) & (2 * half - 1);
    *lanes = __builtin_convertvector((int16lanes)codes - (int32_t)half, float16) * *scales;
  }
}

/// Scales of `rows` rows at one place of each, for the lanes of words.
static inline __attribute__((always_inline)) void NAME(row_scales)(
    const enum kiln_weight_type type, const struct kiln_weight_rows *weights, size_t first,
    size_t rows, size_t k, float16 *scales) {
  float numbers[LANES] = {0};
  for (size_t r = 0; r < rows; r++) {
    numbers[r] = NAME(weight_scale)(type, weights, first + r, k);
  }
  memcpy(scales, numbers, sizeof *scales);
}

/// Sixteen words of up to sixteen rows from `first` on, in columns: words are turned over, and their
/// elements widened afterwards, so that small elements take fewer exchanges.
static inline __attribute__((always_inline)) void NAME(pack_words)(
    const enum kiln_weight_type type, const struct kiln_weight_rows *weights, size_t first,
    size_t rows, size_t k, float *panel) {
  enum { WIDTH = PRODUCT_GROUPS * LANES };
  const size_t bits = NAME(weight_bits)(type), per_word = NAME(weights_per_word)(type);
  float16 block[LANES];
  UNROLL for (int r = 0; r < LANES; r++) {
    if ((size_t)r >= rows) {
      block[r] = ALL(0);
      continue;
    }
    const uint8_t *source =
        weights->elements + (first + (size_t)r) * weights->row_bytes + k * bits / 8;
    memcpy(&block[r], source, sizeof block[r]);
    // Sixteen rows are as many short streams, which no prefetcher of the hardware follows: each line
    // asks for the one at the same place of the next sixteen rows.
    PREFETCH(source + LANES * weights->row_bytes);
  }
  NAME(transpose)(block);
  float16 scales = ALL(1);
  UNROLL for (size_t word = 0; word < LANES; word++) {
    const uint16lanes words = (uint16lanes)block[word];
    UNROLL for (size_t i = 0; i < per_word; i++) {
      const size_t place = k + word * per_word + i;
      // A group has a multiple of 16 elements, or the whole row.
      if (type >= KILN_WEIGHT_INT8 && (word * per_word + i) % 16 == 0 &&
          ((word == 0 && i == 0) || place % weights->group == 0)) {
        NAME(row_scales)(type, weights, first, rows, place, &scales);
      }
      float16 lanes;
      NAME(widen_part)(type, &words, i, &scales, &lanes);
      STORE(panel + place * WIDTH, lanes);
    }
  }
}

/// Panels of one type: the type is a constant, so that nothing is chosen inside the loops.
static inline __attribute__((always_inline)) void NAME(pack_panel_of)(
    const enum kiln_weight_type type, const struct kiln_weight_rows *weights, size_t rows,
    size_t inner, float *panel) {
  enum { WIDTH = PRODUCT_GROUPS * LANES };
  const size_t bits = NAME(weight_bits)(type), step = LANES * NAME(weights_per_word)(type);
  for (size_t first = 0; first < WIDTH; first += LANES) {
    const size_t left = rows > first ? rows - first : 0;
    const size_t count = left < LANES ? left : LANES;
    size_t start = 0;
    for (; step > 0 && start + step <= inner; start += step) {
      if (count == LANES) {
        NAME(pack_words)(type, weights, first, LANES, start, panel + first);
      } else {
        NAME(pack_words)(type, weights, first, count, start, panel + first);
      }
    }
    for (size_t k = start; k < inner; k += LANES) {
      const size_t length = inner - k < LANES ? inner - k : LANES;
      float16 block[LANES];
      UNROLL for (int r = 0; r < LANES; r++) {
        const size_t row = first + (size_t)r;
        if ((size_t)r >= count) {
          block[r] = ALL(0);
          continue;
        }
        const uint8_t *source = weights->elements + row * weights->row_bytes + k * bits / 8;
        const float scale = NAME(weight_scale)(type, weights, row, k);
        if (length == LANES) {
          NAME(widen_lanes)(type, source, scale, &block[r]);
        } else {
          uint8_t rest[LANES * sizeof(float)] = {0};
          memcpy(rest, source, length * bits / 8);
          NAME(widen_lanes)(type, rest, scale, &block[r]);
        }
      }
      NAME(transpose)(block);
      if (length == LANES) {
        UNROLL for (int c = 0; c < LANES; c++) STORE(panel + (k + c) * WIDTH + first, block[c]);
      } else {
        for (size_t c = 0; c < length; c++) STORE(panel + (k + c) * WIDTH + first, block[c]);
      }
    }
  }
}

#define KILN_PACK_PANEL(name, type) \
  static __attribute__((noinline)) void NAME(name)( \
      const struct kiln_weight_rows *weights, size_t rows, size_t inner, float *panel) { \
    NAME(pack_panel_of)(type, weights, rows, inner, panel); \
  }
KILN_PACK_PANEL(pack_panel_f32, KILN_WEIGHT_F32)
KILN_PACK_PANEL(pack_panel_bf16, KILN_WEIGHT_BF16)
KILN_PACK_PANEL(pack_panel_f16, KILN_WEIGHT_F16)
KILN_PACK_PANEL(pack_panel_int8, KILN_WEIGHT_INT8)
KILN_PACK_PANEL(pack_panel_int6, KILN_WEIGHT_INT6)
KILN_PACK_PANEL(pack_panel_int5, KILN_WEIGHT_INT5)
KILN_PACK_PANEL(pack_panel_int4, KILN_WEIGHT_INT4)
#undef KILN_PACK_PANEL

static void NAME(pack_panel)(
    const struct kiln_weight_rows *weights, size_t rows, size_t inner, float *panel) {
  switch (weights->type) {
  case KILN_WEIGHT_F32: NAME(pack_panel_f32)(weights, rows, inner, panel); break;
  case KILN_WEIGHT_BF16: NAME(pack_panel_bf16)(weights, rows, inner, panel); break;
  case KILN_WEIGHT_F16: NAME(pack_panel_f16)(weights, rows, inner, panel); break;
  case KILN_WEIGHT_INT8: NAME(pack_panel_int8)(weights, rows, inner, panel); break;
  case KILN_WEIGHT_INT6: NAME(pack_panel_int6)(weights, rows, inner, panel); break;
  case KILN_WEIGHT_INT5: NAME(pack_panel_int5)(weights, rows, inner, panel); break;
  case KILN_WEIGHT_INT4: NAME(pack_panel_int4)(weights, rows, inner, panel); break;
  }
}
