// SPDX-License-Identifier: Apache-2.0
//
// The order of every sum: element i goes to lane i mod 64 for whole runs of 64, the rest to lane
// i mod 16 of the first sixteen. Lanes are added as 16-lane vectors, (0 + 1) + (2 + 3), and those
// by halves: lane i to lane i + 8, then 4, 2, 1.

static inline float NAME(add_lanes)(const float16 *total) {
  const float16 sum = (total[0] + total[1]) + (total[2] + total[3]);
  float lanes[LANES];
  STORE(lanes, sum);
  for (int width = LANES / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; i++) lanes[i] = lanes[i] + lanes[i + width];
  }
  return lanes[0];
}

static inline float NAME(dot)(const float *x, const float *y, size_t n) {
  float16 total[4] = {ALL(0), ALL(0), ALL(0), ALL(0)};
  size_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    UNROLL for (int part = 0; part < 4; part++) {
      total[part] += LOAD(x + i + part * LANES) * LOAD(y + i + part * LANES);
    }
  }
  for (; i + LANES <= n; i += LANES) total[0] += LOAD(x + i) * LOAD(y + i);
  if (i < n) {
    float left[LANES] = {0}, right[LANES] = {0};
    memcpy(left, x + i, (n - i) * sizeof(float));
    memcpy(right, y + i, (n - i) * sizeof(float));
    total[0] += LOAD(left) * LOAD(right);
  }
  return NAME(add_lanes)(total);
}
