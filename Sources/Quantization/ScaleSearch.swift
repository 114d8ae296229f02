// SPDX-License-Identifier: Apache-2.0

internal import TensorCore

/// The scale of a group with the smallest squared error, or nearly so.
///
/// The error as a function of the scale has many minima, because every element jumps from code to
/// code. For a fixed set of codes q, however, the best scale is known: s = sum(w q) / sum(q^2),
/// and it removes sum(w q)^2 / sum(q^2) from the sum of w^2. So for 4 bits a coarse row of scales
/// is tried, each judged by what its codes would give with their own best scale; the winner is
/// rounded to BF16, gives new codes, and so on. For 8 bits BF16 is coarser than the minima
/// are wide, and every BF16 scale in a narrow range is tried.
///
/// A negative scale lets the code -8 stand for the largest positive element. The sign that does
/// this for the element of largest magnitude is nearly always best; long groups try both.
///
/// The order of float32 operations is fixed (16 lanes, no fused multiply-add): the vector kernels
/// give the same bits.
struct ScaleSearch {
  /// Where to look, in units of the round-to-nearest scale.
  struct Span: Equatable {
    /// Smallest factor.
    let low: Float
    /// Largest factor.
    let high: Float
    /// Number of coarse scales, for 4 bits.
    let steps: Int
    /// Whether both signs are tried.
    let tryBothSigns: Bool
  }

  /// Adding and subtracting it rounds a float32 of small magnitude half to even.
  static let roundingShift: Float = 12_582_912

  let range: CodeRange
  let span: Span

  init(range: CodeRange, groupLength: Int) {
    self.range = range
    // The longer a group, the further its largest element lies outside the bulk, and the more
    // it pays to clip it.
    switch (range.bits, groupLength) {
    case (4, ...32): span = Span(low: 0.78, high: 1.25, steps: 20, tryBothSigns: false)
    case (4, ...64): span = Span(low: 0.72, high: 1.15, steps: 20, tryBothSigns: false)
    case (4, ...128): span = Span(low: 0.66, high: 1.06, steps: 16, tryBothSigns: true)
    case (4, _): span = Span(low: 0.3, high: 1.0, steps: 32, tryBothSigns: true)
    case (_, ...64): span = Span(low: 0.96, high: 1.25, steps: 0, tryBothSigns: false)
    case (_, ...128): span = Span(low: 0.96, high: 1.1, steps: 0, tryBothSigns: false)
    case (_, _): span = Span(low: 0.9, high: 1.02, steps: 0, tryBothSigns: false)
    }
  }

  /// Searches.
  ///
  /// - Parameters:
  ///   - vectors: The elements, all finite, zeros after the last.
  ///   - largestMagnitude: The largest magnitude among them.
  /// - Returns: nil if the magnitudes are so extreme that scales around them are not all normal
  ///   BF16 numbers; there is nothing to be gained in such groups.
  func scale(_ vectors: [SIMD16<Float>], largestMagnitude: Float) -> BFloat16? {
    let exponent = Int(largestMagnitude.bitPattern >> 23) - 127
    guard (-100...100).contains(exponent) else { return nil }
    // Times a power of two, which is exact: squares of what follows neither vanish nor overflow.
    let unit = Float(bitPattern: UInt32(127 - exponent) << 23)
    let values = vectors.map { $0 * unit }
    let magnitude = largestMagnitude * unit
    let base = magnitude / range.halfWidth
    let highest = values.reduce(0) { Swift.max($0, $1.max()) }
    let sign: Float = highest == magnitude && values.allSatisfy({ $0.min() > -magnitude }) ? -1 : 1
    let best = range.bits == 4 ? searchByFit(values, base, sign) : searchAll(values, base, sign)
    // Back by the same power of two.
    return BFloat16(best * Float(bitPattern: UInt32(127 + exponent) << 23))
  }

  private func searchByFit(_ values: [SIMD16<Float>], _ base: Float, _ sign: Float) -> Float {
    var bestFit: Float = -1
    var best = base * sign
    let step = (span.high - span.low) / Float(span.steps)
    for index in 0..<span.steps * (span.tryBothSigns ? 2 : 1) {
      let factor = span.low + step * (Float(index % span.steps) + 0.5)
      let scale = base * factor * (index < span.steps ? sign : -sign)
      let (product, square) = moments(values, scale)
      let fit = product * product / square
      if fit > bestFit {
        bestFit = fit
        best = product / square
      }
    }
    var bestGain = -Float.infinity
    var scale = BFloat16(best).floatValue
    for _ in 0..<3 {
      let (product, square) = moments(values, scale)
      // What the scale takes from the sum of squares.
      let gain = scale * (2 * product - scale * square)
      if gain > bestGain {
        bestGain = gain
        best = scale
      }
      scale = BFloat16(product / square).floatValue
    }
    return best
  }

  /// Sums of value * code and of code^2, where the codes follow from the scale.
  private func moments(
    _ values: [SIMD16<Float>], _ scale: Float
  ) -> (product: Float, square: Float) {
    let inverse = 1 / scale
    var products = SIMD16<Float>.zero
    var squares = SIMD16<Float>.zero
    for value in values {
      let codes = rounded(value * inverse)
      products += value * codes
      squares += codes * codes
    }
    return (products.laneSum, squares.laneSum)
  }

  private func searchAll(_ values: [SIMD16<Float>], _ base: Float, _ sign: Float) -> Float {
    var leastError = Float.infinity
    var best = base * sign
    let first = BFloat16(base * span.low).bitPattern
    for bits in first...Swift.max(first, BFloat16(base * span.high).bitPattern) {
      let scale = BFloat16(bitPattern: bits).floatValue * sign
      let inverse = 1 / scale
      var errors = SIMD16<Float>.zero
      for value in values {
        let residual = value - rounded(value * inverse) * scale
        errors += residual * residual
      }
      let error = errors.laneSum
      if error < leastError {
        leastError = error
        best = scale
      }
    }
    return best
  }

  private func rounded(_ quotients: SIMD16<Float>) -> SIMD16<Float> {
    let low = SIMD16(repeating: range.minimum)
    let high = SIMD16(repeating: range.maximum)
    var clamped = quotients.replacing(with: low, where: quotients .< low)
    clamped.replace(with: high, where: clamped .> high)
    return (clamped + Self.roundingShift) - Self.roundingShift
  }
}

extension SIMD16 where Scalar: FloatingPoint {
  /// The sum of all lanes, halves first: lane i with lane i + 8, then i + 4, and so on.
  var laneSum: Scalar {
    let eight = lowHalf + highHalf
    let four = eight.lowHalf + eight.highHalf
    let two = four.lowHalf + four.highHalf
    return two.x + two.y
  }
}
