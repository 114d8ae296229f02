// SPDX-License-Identifier: Apache-2.0

// Included by quantize.c once for each instruction set, with VARIANT and ROUND defined.

/// Sixteen elements, or what is left of them and zeros.
INLINE floats VARIANT(load)(const float *values, ptrdiff_t left) {
  floats result = 0;
  memcpy(&result, values, (size_t)(left < 16 ? left : 16) * 4);
  return result;
}

/// Quotients to codes, which are whole numbers.
INLINE floats VARIANT(round_to_codes)(floats quotients, int bits) {
  floats low = LEAST_CODE(bits), high = LARGEST_CODE(bits);
  quotients = quotients < low ? low : quotients;
  quotients = quotients > high ? high : quotients;
  return ROUND(quotients);
}

INLINE double VARIANT(lane_sum)(doubles lanes) {
  doubles8 eight = lanes.lo + lanes.hi;
  doubles4 four = eight.lo + eight.hi;
  return (four.x + four.z) + (four.y + four.w);
}

/// The bits of the largest magnitude; those of an infinity or a NaN if there is one.
INLINE uint32_t VARIANT(largest_magnitude)(const float *values, ptrdiff_t length) {
  ints largest = 0;
  for (ptrdiff_t i = 0; i < length; i += 16) {
    floats group = VARIANT(load)(values + i, length - i);
    ints magnitudes;
    memcpy(&magnitudes, &group, sizeof group);
    magnitudes &= 0x7FFFFFFF;
    largest = __builtin_elementwise_max(largest, magnitudes);
  }
  return (uint32_t)__builtin_reduce_max(largest);
}

/// Writes sixteen codes one behind the other: pairs of them side by side, then pairs of pairs, then
/// eight, which are `bits` bytes.
INLINE void VARIANT(pack_stream)(ints codes, int bits, uint8_t *target) {
  words fields = __builtin_convertvector(codes, words);
  words8 pairs = fields.even | (fields.odd << (uint32_t)bits);
  words4 fours = pairs.even | (pairs.odd << (uint32_t)(2 * bits));
  uint64_t first = fours.x | (uint64_t)fours.y << (4 * bits);
  uint64_t second = fours.z | (uint64_t)fours.w << (4 * bits);
  memcpy(target, &first, (size_t)bits);
  memcpy(target + bits, &second, (size_t)bits);
}

/// Writes the codes of a group of finite elements.
///
/// Returns the squared error and the squared norm in `sums`.
INLINE void VARIANT(encode)(const float *values, ptrdiff_t length, int bits, float scale,
                            uint8_t *codes, double sums[2]) {
  doubles errors = 0, norms = 0;
  for (ptrdiff_t i = 0; i < length; i += 16) {
    ptrdiff_t left = length - i;
    floats group = VARIANT(load)(values + i, left);
    floats rounded = VARIANT(round_to_codes)(group / scale, bits);
    doubles residuals = __builtin_convertvector(group - rounded * scale, doubles);
    doubles wide = __builtin_convertvector(group, doubles);
    errors += residuals * residuals;
    norms += wide * wide;
    if (!codes) continue;
    ints shifted = __builtin_convertvector(rounded, ints) + CODE_OFFSET(bits);
    if (bits == 5 || bits == 6) {
      // Groups have whole vectors here.
      VARIANT(pack_stream)(shifted, bits, codes + i * bits / 8);
      continue;
    }
    bytes unsigned_codes = __builtin_convertvector(shifted, bytes);
    if (bits == 8) {
      memcpy(codes + i, &unsigned_codes, (size_t)(left < 16 ? left : 16));
    } else {
      bytes8 even = unsigned_codes.even, odd = unsigned_codes.odd;
      bytes8 pairs = even | (odd << 4);
      memcpy(codes + i / 2, &pairs, (size_t)(left < 16 ? left / 2 : 8));
    }
  }
  sums[0] = VARIANT(lane_sum)(errors);
  sums[1] = VARIANT(lane_sum)(norms);
}

/// Keeps in each lane the larger of `best` and `values`, of equal ones `best`, and its scale.
INLINE void VARIANT(consider)(floats values, floats scales, floats *best, floats *best_scales) {
  ints better = values > *best;
  *best = better ? values : *best;
  *best_scales = better ? scales : *best_scales;
}

/// The scale of the lane with the largest value: the upper half replaces the lower where it is
/// larger, and so on down to one lane.
INLINE float VARIANT(scale_of_best)(floats best, floats scales) {
  floats8 best8 = best.lo, scales8 = scales.lo;
  ints8 better8 = best.hi > best8;
  best8 = better8 ? best.hi : best8;
  scales8 = better8 ? scales.hi : scales8;
  floats4 best4 = best8.lo, scales4 = scales8.lo;
  ints4 better4 = best8.hi > best4;
  best4 = better4 ? best8.hi : best4;
  scales4 = better4 ? scales8.hi : scales4;
  float first = best4.z > best4.x ? best4.z : best4.x;
  float first_scale = best4.z > best4.x ? scales4.z : scales4.x;
  float second = best4.w > best4.y ? best4.w : best4.y;
  float second_scale = best4.w > best4.y ? scales4.w : scales4.y;
  return second > first ? second_scale : first_scale;
}

/// Sixteen BF16 numbers that follow each other in magnitude.
INLINE floats VARIANT(consecutive)(uint32_t first) {
  words lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  words bits = (lanes + first) << 16;
  floats scales;
  memcpy(&scales, &bits, sizeof scales);
  return scales;
}

/// Sums of element * code and of code^2 for one scale in each lane.
INLINE void VARIANT(moments)(const float *values, ptrdiff_t length, floats scales, int bits,
                             floats *products, floats *squares) {
  floats inverses = 1.0f / scales;
  *products = 0;
  *squares = 0;
  for (ptrdiff_t start = 0; start < length; start += BLOCK) {
    ptrdiff_t end = length - start < BLOCK ? length : start + BLOCK;
    floats block_products = 0, block_squares = 0;
    for (ptrdiff_t i = start; i < end; i++) {
      floats value = values[i];
      floats codes = VARIANT(round_to_codes)(inverses * value, bits);
      block_products += codes * value;
      block_squares += codes * codes;
    }
    *products += block_products;
    *squares += block_squares;
  }
}

INLINE float VARIANT(search_coarse_to_fine)(const float *values, ptrdiff_t length, float base,
                                            const kiln_group_quantization *how) {
  floats best = -__builtin_inff(), best_scales = base, products, squares;
  for (ptrdiff_t first = 0; first < how->coarse_count; first += 16) {
    floats scales = VARIANT(load)(how->coarse_factors + first, 16) * base;
    VARIANT(moments)(values, length, scales, 4, &products, &squares);
    VARIANT(consider)(products * products / squares, products / squares, &best, &best_scales);
  }
  floats scales = VARIANT(consecutive)(bf16_of(VARIANT(scale_of_best)(best, best_scales)) - 8);
  VARIANT(moments)(values, length, scales, 4, &products, &squares);
  return VARIANT(scale_of_best)(scales * (products + products - scales * squares), scales);
}

INLINE float VARIANT(search_all)(const float *values, ptrdiff_t length, int bits, float base,
                                 const kiln_group_quantization *how) {
  floats best = -__builtin_inff(), best_scales = base;
  uint32_t last = bf16_of(base * how->fine_high);
  for (uint32_t first = bf16_of(base * how->fine_low); first <= last; first += 16) {
    floats scales = VARIANT(consecutive)(first), inverses = 1.0f / scales, errors = 0;
    for (ptrdiff_t start = 0; start < length; start += BLOCK) {
      ptrdiff_t end = length - start < BLOCK ? length : start + BLOCK;
      floats block_errors = 0;
      for (ptrdiff_t i = start; i < end; i++) {
        floats value = values[i];
        floats residuals = value - VARIANT(round_to_codes)(inverses * value, bits) * scales;
        block_errors += residuals * residuals;
      }
      errors += block_errors;
    }
    VARIANT(consider)(-errors, scales, &best, &best_scales);
  }
  return VARIANT(scale_of_best)(best, best_scales);
}

/// The scale that the search finds for a group of finite elements; 0 if it does not look.
INLINE float VARIANT(search)(const float *values, ptrdiff_t length, uint32_t largest, int bits,
                             const kiln_group_quantization *how, float *scratch) {
  int exponent = (int)(largest >> 23) - 127;
  if (exponent < -100 || exponent > 100) return 0;
  float unit = float_of((uint32_t)(127 - exponent) << 23);
  ints positive = 0, negative = 0;
  for (ptrdiff_t i = 0; i < length; i += 16) {
    floats group = VARIANT(load)(values + i, length - i);
    positive |= group == float_of(largest);
    negative |= group == -float_of(largest);
    group *= unit;
    memcpy(scratch + i, &group, sizeof group);
  }
  float magnitude = float_of(largest) * unit;
  int largest_is_positive =
      __builtin_reduce_or(positive) != 0 && __builtin_reduce_or(negative) == 0;
  float base = (largest_is_positive ? -magnitude : magnitude) / HALF_WIDTH(bits);
  float best = bits == 4 ? VARIANT(search_coarse_to_fine)(scratch, length, base, how)
                         : VARIANT(search_all)(scratch, length, bits, base, how);
  return float_of(bf16_of(best * float_of((uint32_t)(127 + exponent) << 23)) << 16);
}

/// Quantizes a group of finite elements; returns its scale.
INLINE uint32_t VARIANT(quantize_finite)(const float *values, ptrdiff_t length, uint32_t largest,
                                         int bits, const kiln_group_quantization *how,
                                         float *scratch, uint8_t *codes,
                                         kiln_quantization_sums *total) {
  uint32_t nearest = nearest_scale(float_of(largest), bits);
  uint32_t scale = nearest;
  double sums[2];
  float found = how->search ? VARIANT(search)(values, length, largest, bits, how, scratch) : 0;
  if (found != 0) {
    double nearest_sums[2];
    VARIANT(encode)(values, length, bits, float_of(nearest << 16), 0, nearest_sums);
    VARIANT(encode)(values, length, bits, found, codes, sums);
    scale = bits_of(found) >> 16;
    if (!(sums[0] < nearest_sums[0])) scale = nearest;
  }
  if (scale == nearest) {
    VARIANT(encode)(values, length, bits, float_of(nearest << 16), codes, sums);
  }
  total->squared_error += sums[0];
  total->squared_norm += sums[1];
  return scale;
}

/// Quantizes a group with elements that are not finite: NaN is 0, an infinity the extreme code of
/// its sign, and neither counts for the scale and the error.
static uint32_t VARIANT(quantize_odd)(const float *values, ptrdiff_t length, int bits,
                                      const kiln_group_quantization *how, float *scratch,
                                      uint8_t *codes, kiln_quantization_sums *total) {
  float *finite = scratch + (length + 15) / 16 * 16;
  for (ptrdiff_t i = 0; i < length; i++) {
    uint32_t magnitude = bits_of(values[i]) & 0x7FFFFFFF;
    finite[i] = magnitude < 0x7F800000 ? values[i] : 0.0f;
    total->nan_count += magnitude > 0x7F800000;
    total->infinity_count += magnitude == 0x7F800000;
  }
  uint32_t largest = VARIANT(largest_magnitude)(finite, length);
  uint32_t scale =
      VARIANT(quantize_finite)(finite, length, largest, bits, how, scratch, codes, total);
  for (ptrdiff_t i = 0; i < length; i++) {
    if ((bits_of(values[i]) & 0x7FFFFFFF) != 0x7F800000) continue;
    // The lowest code is 0 and the highest has all bits set; a negative scale exchanges them.
    int highest = (bits_of(values[i]) >> 31) == (scale >> 15);
    for (ptrdiff_t place = i * bits; place < (i + 1) * bits; place++) {
      uint8_t bit = (uint8_t)(1 << place % 8);
      codes[place / 8] = (uint8_t)(highest ? codes[place / 8] | bit : codes[place / 8] & ~bit);
    }
  }
  return scale;
}

INLINE void VARIANT(quantize_all)(const kiln_group_quantization *how, ptrdiff_t length, int bits,
                                  const float *values, ptrdiff_t groups, float *scratch,
                                  uint8_t *codes, uint16_t *scales,
                                  kiln_quantization_sums *sums) {
  for (ptrdiff_t group = 0; group < groups; group++) {
    uint32_t largest = VARIANT(largest_magnitude)(values, length);
    scales[group] = (uint16_t)(
        largest < 0x7F800000
            ? VARIANT(quantize_finite)(values, length, largest, bits, how, scratch, codes, sums)
            : VARIANT(quantize_odd)(values, length, bits, how, scratch, codes, sums));
    values += length;
    codes += length * bits / 8;
  }
}

static void VARIANT(quantize_groups)(const kiln_group_quantization *how, const float *values,
                                     ptrdiff_t groups, float *scratch, uint8_t *codes,
                                     uint16_t *scales, kiln_quantization_sums *sums) {
  ptrdiff_t length = how->group_length;
  // Constants that the compiler can build on: short groups are unrolled completely.
#define QUANTIZE(bits) \
  if (length == 32) { \
    VARIANT(quantize_all)(how, 32, bits, values, groups, scratch, codes, scales, sums); \
  } else { \
    VARIANT(quantize_all)(how, length, bits, values, groups, scratch, codes, scales, sums); \
  }
  switch (how->bits) {
  case 4: QUANTIZE(4) break;
  case 5: QUANTIZE(5) break;
  case 6: QUANTIZE(6) break;
  default: QUANTIZE(8)
  }
#undef QUANTIZE
}
