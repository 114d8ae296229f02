// SPDX-License-Identifier: Apache-2.0

internal import TensorCore

/// Quantizes one group of a row after the other, written to be read.
///
/// Layout of what it writes: `Formats/Kiln.md`. Codes are offset-binary; at 4 bits element 2j is
/// in the low half of byte j and element 2j + 1 in the high half.
struct ReferenceQuantizer {
  let range: CodeRange
  let method: RoundingMethod
  let groupLength: Int
  private let search: ScaleSearch

  init(bits: Int, method: RoundingMethod, groupLength: Int) {
    range = CodeRange(bits: bits)
    self.method = method
    self.groupLength = groupLength
    search = ScaleSearch(range: range, groupLength: groupLength)
  }

  /// Quantizes the group that begins at element `start` and writes its codes.
  func quantizeGroup(
    _ values: Span<Float>, start: Int, codes: inout MutableSpan<UInt8>,
    statistics: inout QuantizationStatistics
  ) -> BFloat16 {
    var vectors: [SIMD16<Float>] = []
    vectors.reserveCapacity((groupLength + 15) / 16)
    var largest: Float = 0
    for first in stride(from: 0, to: groupLength, by: 16) {
      var vector = SIMD16<Float>.zero
      for lane in 0..<min(16, groupLength - first) {
        let value = values[start + first + lane]
        if value.isNaN {
          statistics.nanCount += 1
        } else if value.isInfinite {
          statistics.infinityCount += 1
        } else {
          vector[lane] = value
          largest = max(largest, abs(value))
        }
      }
      vectors.append(vector)
    }

    var scale = range.nearestScale(largestMagnitude: largest)
    var error = squaredError(vectors, scale: scale.floatValue)
    if method == .search, let found = search.scale(vectors, largestMagnitude: largest) {
      let foundError = squaredError(vectors, scale: found.floatValue)
      if foundError < error {
        scale = found
        error = foundError
      }
    }
    statistics.squaredError += error
    statistics.squaredNorm += squaredNorm(vectors)
    statistics.elementCount += groupLength
    write(values, start: start, scale: scale.floatValue, codes: &codes)
    return scale
  }

  private func squaredError(_ vectors: [SIMD16<Float>], scale: Float) -> Double {
    var sums = SIMD16<Double>.zero
    for vector in vectors {
      for lane in 0..<16 {
        // The product of a code and a BF16 is exact in float32.
        let residual = vector[lane] - Float(range.code(vector[lane], scale: scale)) * scale
        sums[lane] += Double(residual) * Double(residual)
      }
    }
    return sums.laneSum
  }

  private func squaredNorm(_ vectors: [SIMD16<Float>]) -> Double {
    var sums = SIMD16<Double>.zero
    for vector in vectors {
      for lane in 0..<16 { sums[lane] += Double(vector[lane]) * Double(vector[lane]) }
    }
    return sums.laneSum
  }

  private func write(
    _ values: Span<Float>, start: Int, scale: Float, codes: inout MutableSpan<UInt8>
  ) {
    for index in start..<start + groupLength {
      let code = UInt8(truncatingIfNeeded: range.code(values[index], scale: scale) + range.offset)
      if range.bits == 8 {
        codes[index] = code
      } else if index % 2 == 0 {
        codes[index / 2] = code
      } else {
        codes[index / 2] |= code << 4
      }
    }
  }
}
