// SPDX-License-Identifier: Apache-2.0

// Adding and subtracting 1.5 * 2^23 rounds half to even. Macros, because functions that take such
// vectors have another calling convention on each instruction set.
#define ROUNDED(x) (((x) + 12582912.0f) - 12582912.0f)
#define CLAMPED(x, bits) \
  __builtin_elementwise_min( \
      __builtin_elementwise_max((x), ALL(LEAST_CODE(bits))), ALL(LARGEST_CODE(bits)))
#define CODES(quotients, bits) ROUNDED(CLAMPED(quotients, bits))

/// Rounds finite numbers to BF16, half to even, in place.
static inline __attribute__((always_inline)) void NAME(round_to_bf16)(float16 *numbers) {
  typedef uint32_t words __attribute__((ext_vector_type(16)));
  words bits;
  memcpy(&bits, numbers, sizeof bits);
  bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000u;
  memcpy(numbers, &bits, sizeof bits);
}

/// Sums of importance * value * code and of importance * code^2 for the codes of some scales.
static inline __attribute__((always_inline)) void NAME(panel_moments)(
    const float *values, const float *importance, size_t columns, int bits,
    const float16 *scales, float16 *products, float16 *squares) {
  const float16 inverses = 1.0f / *scales;
  float16 product_sum = ALL(0), square_sum = ALL(0);
  for (size_t column = 0; column < columns; column++) {
    const float16 value = LOAD(values + column * LANES);
    const float16 codes = CODES(value * inverses, bits);
    const float16 weighted = codes * importance[column];
    product_sum += weighted * value;
    square_sum += weighted * codes;
  }
  *products = product_sum;
  *squares = square_sum;
}

/// Keeps of `scales`, rounded to BF16, those that take more from the weighted sum of squares.
static inline __attribute__((always_inline)) void NAME(consider_scales)(
    const float *values, const float *importance, size_t columns, int bits, float16 *scales,
    float16 *best_gain, float16 *best_scales) {
  NAME(round_to_bf16)(scales);
  // A scale that vanished in BF16 would divide by 0.
  const int16lanes vanished = *scales == ALL(0);
  *scales = vanished ? *best_scales : *scales;
  float16 products, squares;
  NAME(panel_moments)(values, importance, columns, bits, scales, &products, &squares);
  const float16 gain = *scales * (products + products - *scales * squares);
  const int16lanes better = gain > *best_gain;
  *best_gain = better ? gain : *best_gain;
  *best_scales = better ? *scales : *best_scales;
}

static void NAME(panel_scales)(
    const float *values, const float *importance, size_t columns, int bits, float *scales) {
  float16 largest = ALL(0), signed_largest = ALL(0);
  for (size_t column = 0; column < columns; column++) {
    const float16 value = LOAD(values + column * LANES);
    const float16 magnitude = __builtin_elementwise_abs(value);
    const int16lanes larger = magnitude > largest;
    largest = larger ? magnitude : largest;
    signed_largest = larger ? value : signed_largest;
  }
  float16 nearest = largest / HALF_WIDTH(bits);
  NAME(round_to_bf16)(&nearest);
  const int16lanes empty = nearest == ALL(0);
  nearest = empty ? ALL(EMPTY_SCALE) : nearest;
  float16 best_scales = nearest, best_gain = ALL(-__builtin_inff()), tried = nearest;
  NAME(consider_scales)
  (values, importance, columns, bits, &tried, &best_gain, &best_scales);

  // The sign that gives the element of largest magnitude the longer half of the range comes first.
  const int16lanes positive = signed_largest > ALL(0);
  const float16 base = positive ? -nearest : nearest;
  const float low = LEAST_TRIED(bits), high = LARGEST_TRIED(bits);
  float16 coarse_gain = ALL(-1), coarse_scales = base;
  for (int sign = 0; sign < 2; sign++) {
    for (int step = 0; step < TRIED_SCALES; step++) {
      const float factor = low + (high - low) * ((float)step + 0.5f) / TRIED_SCALES;
      const float16 scale = base * (sign ? -factor : factor);
      float16 products, squares;
      NAME(panel_moments)(values, importance, columns, bits, &scale, &products, &squares);
      // What these codes take with their own best scale, which is products / squares.
      const int16lanes some = squares > ALL(0);
      const float16 gain = some ? products * products / squares : ALL(-1);
      const int16lanes better = gain > coarse_gain;
      coarse_gain = better ? gain : coarse_gain;
      coarse_scales = better ? products / squares : coarse_scales;
    }
  }
  // That scale and its neighbours in BF16, each judged by the codes that follow from it.
  NAME(round_to_bf16)(&coarse_scales);
  for (int step = -2; step <= 2; step++) {
    tried = coarse_scales * (1.0f + (float)step * 0.0078125f);
    NAME(consider_scales)
    (values, importance, columns, bits, &tried, &best_gain, &best_scales);
  }
  STORE(scales, best_scales);
}

/// y[column] -= sum over j of x[j] * matrix[j][column] for the columns `from ..< to`.
static inline __attribute__((always_inline)) void NAME(subtract_range)(
    float *y, const float *x, size_t count, const float *matrix, size_t width, size_t from,
    size_t to) {
  size_t column = from;
  for (; column + 4 <= to; column += 4) {
    float *place = y + column * LANES;
    float16 a = LOAD(place), b = LOAD(place + LANES);
    float16 c = LOAD(place + 2 * LANES), d = LOAD(place + 3 * LANES);
    for (size_t j = 0; j < count; j++) {
      const float16 factor = LOAD(x + j * LANES);
      const float *row = matrix + j * width + column;
      a -= factor * row[0];
      b -= factor * row[1];
      c -= factor * row[2];
      d -= factor * row[3];
    }
    STORE(place, a);
    STORE(place + LANES, b);
    STORE(place + 2 * LANES, c);
    STORE(place + 3 * LANES, d);
  }
  for (; column < to; column++) {
    float16 a = LOAD(y + column * LANES);
    for (size_t j = 0; j < count; j++) a -= LOAD(x + j * LANES) * matrix[j * width + column];
    STORE(y + column * LANES, a);
  }
}

static void NAME(panel_subtract)(
    float *y, const float *x, size_t count, const float *matrix, size_t width) {
  NAME(subtract_range)(y, x, count, matrix, width, 0, width);
}

static void NAME(panel_feedback)(
    float *values, const float *factor, size_t width, size_t first, size_t columns, int bits,
    const float *scales, float *codes, float *errors) {
  const float16 scale = LOAD(scales);
  for (size_t j = 0; j < columns; j++) {
    const size_t column = first + j;
    const float *row = factor + column * width;
    const float16 value = LOAD(values + column * LANES);
    const float16 code = CODES(value / scale, bits);
    const float16 error = (value - code * scale) / row[column];
    STORE(codes + column * LANES, code);
    STORE(errors + j * LANES, error);
    for (size_t k = column + 1; k < first + columns; k++) {
      STORE(values + k * LANES, LOAD(values + k * LANES) - error * row[k]);
    }
  }
  NAME(subtract_range)
  (values, errors, columns, factor + first * width, width, first + columns, width);
}

/// The best scale of a group for its codes: the step s' - s = (q . g) / (q H q).
static inline __attribute__((always_inline)) void NAME(better_scale)(
    const float *gradient, const float *matrix, size_t width, size_t group, const float *codes,
    float16 *scale) {
  float16 products = ALL(0), squares = ALL(0);
  for (size_t j = 0; j < group; j++) {
    const float16 code = LOAD(codes + j * LANES);
    products += code * LOAD(gradient + j * LANES);
    float16 sum = ALL(0);
    for (size_t k = 0; k < group; k++) sum += LOAD(codes + k * LANES) * matrix[j * width + k];
    squares += code * sum;
  }
  const int16lanes some = squares > ALL(0);
  float16 better = some ? *scale + products / squares : *scale;
  NAME(round_to_bf16)(&better);
  const float16 step = better - *scale;
  // Rounding to BF16 may have taken back what the step would have gained.
  const float16 gain = step * (products + products - step * squares);
  const int16lanes use = (gain > ALL(0)) & (better != ALL(0));
  *scale = use ? better : *scale;
}

static void NAME(panel_descend)(
    float *gradient, const float *matrix, size_t width, size_t group, int bits, float *codes,
    float *scales, float *steps) {
  float *local = steps + group * LANES;
  for (size_t first = 0; first < width; first += group) {
    const float *block = matrix + first * width + first;
    float *group_codes = codes + first * LANES;
    float *group_scales = scales + first / group * LANES;
    const float16 old_scale = LOAD(group_scales);
    float16 scale = old_scale;
    NAME(better_scale)
    (gradient + first * LANES, block, width, group, group_codes, &scale);
    STORE(group_scales, scale);
    memcpy(local, gradient + first * LANES, group * LANES * sizeof(float));
    for (size_t j = 0; j < group; j++) {
      const float16 code = LOAD(group_codes + j * LANES);
      STORE(steps + j * LANES, code * scale - code * old_scale);
    }
    NAME(subtract_range)(local, steps, group, block, width, 0, group);
    for (size_t j = 0; j < group; j++) {
      const float *row = block + j * width;
      const float16 code = LOAD(group_codes + j * LANES);
      const float16 value = code * scale;
      const float16 wanted = value + LOAD(local + j * LANES) / row[j];
      const float16 better = CODES(wanted / scale, bits);
      const float16 step = better * scale - value;
      STORE(group_codes + j * LANES, better);
      STORE(steps + j * LANES, LOAD(steps + j * LANES) + step);
      for (size_t k = j + 1; k < group; k++) {
        STORE(local + k * LANES, LOAD(local + k * LANES) - step * row[k]);
      }
    }
    NAME(subtract_range)(gradient, steps, group, matrix + first * width, width, 0, width);
  }
}

#undef ROUNDED
#undef CLAMPED
#undef CODES
