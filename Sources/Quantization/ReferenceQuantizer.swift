// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Quantizes one group after the other, written to be read; `quantizeRows` gives the same bits.
///
/// Layout of what it writes: `Formats/Kiln.md`. Codes are offset-binary and one behind the other, from the lowest
/// bit of the first byte on.
package struct ReferenceQuantizer: Sendable {
  let range: CodeRange
  let method: RoundingMethod
  let groupLength: Int
  private let search: ScaleSearch

  /// A quantizer for groups of one length.
  ///
  /// - Parameters:
  ///   - bits: 4, 5, 6 or 8.
  ///   - method: How scales are chosen.
  ///   - groupLength: Elements that share a scale; their codes fill bytes.
  package init(bits: Int, method: RoundingMethod, groupLength: Int) {
    range = CodeRange(bits: bits)
    self.method = method
    self.groupLength = groupLength
    search = ScaleSearch(range: range, groupLength: groupLength)
  }

  /// Quantizes all groups of `values`.
  ///
  /// - Parameters:
  ///   - values: A whole number of groups.
  ///   - codes: Receives the codes.
  ///   - scales: Receives one scale a group.
  /// - Returns: Errors and odd elements, summed in the order of the groups.
  package func quantize(
    _ values: Span<Float>, codes: inout MutableSpan<UInt8>, scales: inout MutableSpan<BFloat16>
  ) -> QuantizationStatistics {
    var statistics = QuantizationStatistics()
    for group in 0..<scales.count {
      scales[group] = quantizeGroup(
        values, start: group * groupLength, codes: &codes, statistics: &statistics)
    }
    return statistics
  }

  private func quantizeGroup(
    _ values: Span<Float>, start: Int, codes: inout MutableSpan<UInt8>,
    statistics: inout QuantizationStatistics
  ) -> BFloat16 {
    // What is not finite neither chooses the scale nor counts as an error.
    var finite: [Float] = []
    finite.reserveCapacity(groupLength)
    var largest: Float = 0
    for index in start..<start + groupLength {
      let value = values[index]
      if value.isNaN { statistics.nanCount += 1 }
      if value.isInfinite { statistics.infinityCount += 1 }
      finite.append(value.isFinite ? value : 0)
      if value.isFinite { largest = max(largest, abs(value)) }
    }

    var scale = range.nearestScale(largestMagnitude: largest)
    var error = squaredError(finite, scale: scale.floatValue)
    if method != .roundToNearest, let found = search.scale(finite, largestMagnitude: largest) {
      let foundError = squaredError(finite, scale: found.floatValue)
      if foundError < error {
        scale = found
        error = foundError
      }
    }
    statistics.squaredError += error
    statistics.squaredNorm += laneSum(finite) { $0 }
    statistics.elementCount += groupLength
    write(values, start: start, scale: scale.floatValue, codes: &codes)
    return scale
  }

  private func squaredError(_ elements: [Float], scale: Float) -> Double {
    // The product of a code and a BF16 number is exact in float32.
    laneSum(elements) { $0 - Float(range.code($0, scale: scale)) * scale }
  }

  /// The sum of the squares of `term` over the elements, in sixteen lanes: element i is added to
  /// lane i modulo 16, then lane i + 8 to lane i, then i + 4, and so on.
  private func laneSum(_ elements: [Float], _ term: (Float) -> Float) -> Double {
    var lanes = SIMD16<Double>.zero
    for (index, element) in elements.enumerated() {
      let value = Double(term(element))
      lanes[index % 16] += value * value
    }
    let eight = lanes.lowHalf + lanes.highHalf
    let four = eight.lowHalf + eight.highHalf
    let two = four.lowHalf + four.highHalf
    return two.x + two.y
  }

  private func write(
    _ values: Span<Float>, start: Int, scale: Float, codes: inout MutableSpan<UInt8>
  ) {
    for index in start..<start + groupLength {
      let code = UInt8(truncatingIfNeeded: range.code(values[index], scale: scale) + range.offset)
      for bit in 0..<range.bits {
        let place = index * range.bits + bit
        let mask: UInt8 = 1 << (place % 8)
        if code >> bit & 1 == 1 { codes[place / 8] |= mask } else { codes[place / 8] &= ~mask }
      }
    }
  }
}
