// SPDX-License-Identifier: Apache-2.0
//
// Attention of one token over cached latents. A block of 16 rows is read once from memory: all heads
// take their scores from it, then add it to their weighted sums while it is in the cache. Adding a block and
// taking scores from the next one alternate in small parts, so that memory is never idle for long.

#include "exponential_body.h"
#include "fused.h"

/// Two vectors of sums into one: the halves of `a` added, then those of `b`. Four times this turns 16
/// vectors into one that has the sum of each, lane i added to lane i + 8, then 4, 2, 1.
#define ADD_HALVES(a, b) \
  (__builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) + \
   __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#define ADD_QUARTERS(a, b) \
  (__builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) + \
   __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31))
#define ADD_EIGHTHS(a, b) \
  (__builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) + \
   __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31))
#define ADD_PAIRS(a, b) \
  (__builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) + \
   __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31))

/// Scores of 4 heads with 4 rows: lane 4 * head + row. With `ahead` rows of the next block are asked for.
INLINE float16 NAME(scores)(
    const int ahead, const float *queries, const float *rows, size_t width) {
  float16 total[TILE * TILE];
  UNROLL for (int i = 0; i < TILE * TILE; i++) total[i] = ALL(0);
#if VECTOR_BITS == 512
  for (size_t c = 0; c < width; c += LANES) {
    float16 row[TILE];
    UNROLL for (int t = 0; t < TILE; t++) {
      row[t] = LOAD(rows + (size_t)t * width + c);
      if (ahead) PREFETCH(rows + (KILN_LATENT_BLOCK + (size_t)t) * width + c);
    }
    UNROLL for (int h = 0; h < TILE; h++) {
      const float16 query = LOAD(queries + (size_t)h * width + c);
      UNROLL for (int t = 0; t < TILE; t++) {
        total[h * TILE + t] = MULTIPLY_ADD(query, row[t], total[h * TILE + t]);
      }
    }
  }
#else
  // With fewer registers one head at a time; the sums are the same.
  UNROLL for (int h = 0; h < TILE; h++) {
    for (size_t c = 0; c < width; c += LANES) {
      const float16 query = LOAD(queries + (size_t)h * width + c);
      UNROLL for (int t = 0; t < TILE; t++) {
        if (ahead && h == 0) PREFETCH(rows + (KILN_LATENT_BLOCK + (size_t)t) * width + c);
        total[h * TILE + t] =
            MULTIPLY_ADD(query, LOAD(rows + (size_t)t * width + c), total[h * TILE + t]);
      }
    }
  }
#endif
  float16 halves[8], quarters[4], eighths[2];
  UNROLL for (int i = 0; i < 8; i++) halves[i] = ADD_HALVES(total[2 * i], total[2 * i + 1]);
  UNROLL for (int i = 0; i < 4; i++) quarters[i] = ADD_QUARTERS(halves[2 * i], halves[2 * i + 1]);
  UNROLL for (int i = 0; i < 2; i++) eighths[i] = ADD_EIGHTHS(quarters[2 * i], quarters[2 * i + 1]);
  return ADD_PAIRS(eighths[0], eighths[1]);
}

/// Adds 16 rows, weighted, to the sums of `heads` heads, `groups` vectors of columns at a time.
INLINE void NAME(add_weighted)(
    const int heads, const int groups, const float *weights, const float *rows, size_t width,
    float *sums, size_t sum_stride) {
  float16 total[TILE][TILE];
  UNROLL for (int h = 0; h < heads; h++) {
    UNROLL for (int g = 0; g < groups; g++) {
      total[h][g] = LOAD(sums + (size_t)h * sum_stride + g * LANES);
    }
  }
  for (size_t t = 0; t < KILN_LATENT_BLOCK; t++) {
    float16 row[TILE];
    UNROLL for (int g = 0; g < groups; g++) row[g] = LOAD(rows + t * width + g * LANES);
    UNROLL for (int h = 0; h < heads; h++) {
      const float16 weight = ALL(weights[h * KILN_LATENT_BLOCK + t]);
      UNROLL for (int g = 0; g < groups; g++) {
        total[h][g] = MULTIPLY_ADD(weight, row[g], total[h][g]);
      }
    }
  }
  UNROLL for (int h = 0; h < heads; h++) {
    UNROLL for (int g = 0; g < groups; g++) {
      STORE(sums + (size_t)h * sum_stride + g * LANES, total[h][g]);
    }
  }
}

/// Turns 16 scores of a head into exp(score - m) and brings what it has summed to the new m.
static void NAME(weigh)(
    float *scores, size_t count, float *maximum, float *sum, float *weighted, size_t rank) {
  float largest = *maximum;
  for (size_t t = 0; t < count; t++) largest = scores[t] > largest ? scores[t] : largest;
  if (largest > *maximum) {
    // exp(-infinity) is 0: before the first block there is nothing to keep.
    const float factor = NAME(exp_element)(*maximum - largest);
    *sum *= factor;
    for (size_t c = 0; c < rank; c++) weighted[c] *= factor;
    *maximum = largest;
  }
  for (size_t t = 0; t < KILN_LATENT_BLOCK; t++) {
    scores[t] = NAME(exp_element)(scores[t] - largest);
  }
  for (size_t t = count; t < KILN_LATENT_BLOCK; t++) scores[t] = 0;
  float terms[KILN_LATENT_BLOCK];
  memcpy(terms, scores, sizeof terms);
  for (int half = KILN_LATENT_BLOCK / 2; half > 0; half /= 2) {
    for (int t = 0; t < half; t++) terms[t] = terms[t] + terms[t + half];
  }
  *sum += terms[0];
}

/// Scores of all heads with 4 rows of a block, those from `t` on: `scores` is [heads, 16].
static inline void NAME(score_rows)(
    const struct kiln_latent_segment *segment, const float *block, size_t t, float *scores) {
  const size_t width = segment->width;
  const float *rows = block + t * width;
  for (size_t h = 0; h < segment->heads; h += TILE) {
    const float *queries = segment->queries + h * width;
    float tile[TILE * TILE];
    STORE(
        tile, h == 0 ? NAME(scores)(1, queries, rows, width)
                     : NAME(scores)(0, queries, rows, width));
    for (size_t i = 0; i < TILE; i++) {
      memcpy(scores + (h + i) * KILN_LATENT_BLOCK + t, tile + i * TILE, TILE * sizeof(float));
    }
  }
}

/// Adds some columns of a block, weighted, to the sums of all heads.
static inline void NAME(add_columns)(
    const struct kiln_latent_segment *segment, const float *block, size_t rank, size_t from,
    size_t to, const float *weights) {
  const size_t width = segment->width;
  for (size_t h = 0; h < segment->heads; h += TILE) {
    const float *of_heads = weights + h * KILN_LATENT_BLOCK;
    float *sums = segment->weighted + h * rank;
    size_t c = from;
#if VECTOR_BITS == 512
    for (; c + 4 * LANES <= to; c += 4 * LANES) {
      NAME(add_weighted)(TILE, 4, of_heads, block + c, width, sums + c, rank);
    }
#endif
    for (; c < to; c += LANES) {
      NAME(add_weighted)(TILE, 1, of_heads, block + c, width, sums + c, rank);
    }
  }
}

static void NAME(latent_attend)(const struct kiln_latent_segment *segment, float *workspace) {
  enum { PARTS = KILN_LATENT_BLOCK / TILE };
  const size_t heads = segment->heads;
  const size_t rank = (segment->rank + LANES - 1) / LANES * LANES;
  float *scores = workspace, *next = workspace + heads * KILN_LATENT_BLOCK;
  for (size_t h = 0; h < heads; h++) {
    segment->maxima[h] = -__builtin_inff();
    segment->sums[h] = 0;
  }
  memset(segment->weighted, 0, heads * rank * sizeof(float));
  for (size_t part = 0; part < PARTS && segment->rows > 0; part++) {
    NAME(score_rows)(segment, segment->cache, part * TILE, scores);
  }
  for (size_t first = 0; first < segment->rows; first += KILN_LATENT_BLOCK) {
    const float *block = segment->cache + first * segment->width;
    const size_t left = segment->rows - first;
    for (size_t h = 0; h < heads; h++) {
      NAME(weigh)(
          scores + h * KILN_LATENT_BLOCK, left < KILN_LATENT_BLOCK ? left : KILN_LATENT_BLOCK,
          segment->maxima + h, segment->sums + h, segment->weighted + h * rank, rank);
    }
    for (size_t part = 0; part < PARTS; part++) {
      if (left > KILN_LATENT_BLOCK) {
        NAME(score_rows)(
            segment, block + KILN_LATENT_BLOCK * segment->width, part * TILE, next);
      }
      NAME(add_columns)(
          segment, block, rank, rank / LANES * part / PARTS * LANES,
          rank / LANES * (part + 1) / PARTS * LANES, scores);
    }
    float *done = scores;
    scores = next;
    next = done;
  }
}

#undef ADD_HALVES
#undef ADD_QUARTERS
#undef ADD_EIGHTHS
#undef ADD_PAIRS
