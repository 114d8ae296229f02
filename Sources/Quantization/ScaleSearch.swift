// SPDX-License-Identifier: Apache-2.0

internal import Kernels
internal import TensorCore

/// The scale of a group with the smallest squared error, or very nearly so.
///
/// The error as a function of the scale has many minima, because every element jumps from code to
/// code. For a fixed set of codes q, however, the best scale is known: s = sum(w q) / sum(q^2),
/// and it takes sum(w q)^2 / sum(q^2) from the sum of w^2. So for 4 bits a coarse row of scales is
/// tried, each judged by what its codes would give with their own best scale, and then the
/// sixteen BF16 scales around the best scale of the winner, each judged by itself. The more codes there
/// are, the nearer is the best scale to that of the largest element, and the less do minima differ: for more than
/// 4 bits every BF16 scale in a narrow range is tried.
///
/// A negative scale lets the code -8 stand for the largest positive element. The sign that does
/// this for the element of largest magnitude is nearly always best; long groups try both.
///
/// Sixteen scales are tried at once, one in each lane, and the elements come one after the other.
/// Order of float32 operations: sums over 128 elements at a time, added up in order; no fused
/// multiply-add. The vector kernels do the same and give the same bits.
struct ScaleSearch: Sendable {
  /// Elements that are summed before the sum is added to that of the elements before.
  static let blockLength = 128
  /// Adding and subtracting it rounds a float32 of small magnitude half to even.
  static let roundingShift: Float = 12_582_912
  /// Exponents of the largest magnitude for which all scales around it are normal BF16 numbers.
  static let exponents = -100...100

  let range: CodeRange
  /// For 4 bits, the coarse scales in units of the round-to-nearest scale; those with a minus have
  /// the less promising sign.
  let coarseFactors: [Float]
  /// For more bits, the smallest and the largest scale to try, in the same unit.
  let fineFactors: ClosedRange<Float>

  init(range: CodeRange, groupLength: Int) {
    self.range = range
    // The longer a group, the further its largest element lies outside the bulk, and the more
    // it pays to clip it.
    switch groupLength {
    case ...48: coarseFactors = Self.factors(from: 0.78, to: 1.25, count: 16)
    case ...96: coarseFactors = Self.factors(from: 0.72, to: 1.15, count: 16)
    case ...192:
      let factors = Self.factors(from: 0.66, to: 1.06, count: 16)
      coarseFactors = factors + factors.map { -$0 }
    default:
      // Rows may have elements that lie very far outside.
      let factors =
        Self.factors(from: 0.16, to: 0.4, count: 16) + Self.factors(from: 0.4, to: 1, count: 16)
      coarseFactors = factors + factors.map { -$0 }
    }
    fineFactors = Self.fineFactors(bits: range.bits, groupLength: groupLength)
  }

  private static func fineFactors(bits: Int, groupLength: Int) -> ClosedRange<Float> {
    switch (bits, groupLength) {
    case (5, ...48): 0.9...1.26
    case (5, ...96): 0.88...1.15
    case (5, ...192): 0.86...1.08
    case (5, _): 0.66...1
    case (6, ...48): 0.94...1.25
    case (6, ...96): 0.94...1.18
    case (6, ...192): 0.93...1.1
    case (6, _): 0.82...1.02
    case (_, ...96): 0.96...1.25
    case (_, ...192): 0.96...1.1
    default: 0.9...1.02
    }
  }

  /// The same for the vector kernel.
  var parameters: GroupQuantizer.Search {
    GroupQuantizer.Search(coarseFactors: coarseFactors, fineFactors: fineFactors)
  }

  private static func factors(from low: Float, to high: Float, count: Int) -> [Float] {
    (0..<count).map { low + (high - low) * (Float($0) + 0.5) / Float(count) }
  }

  /// Searches.
  ///
  /// - Parameters:
  ///   - elements: The group, all finite.
  ///   - largestMagnitude: The largest magnitude in it.
  /// - Returns: nil if the magnitudes are so extreme that scales around them are not all normal
  ///   BF16 numbers; there is nothing to be gained in such groups.
  func scale(_ elements: [Float], largestMagnitude: Float) -> BFloat16? {
    let exponent = Int(largestMagnitude.bitPattern >> 23) - 127
    guard Self.exponents.contains(exponent) else { return nil }
    // Times a power of two, which is exact: squares of what follows neither vanish nor overflow.
    let unit = Float(bitPattern: UInt32(127 - exponent) << 23)
    let values = elements.map { $0 * unit }
    let magnitude = largestMagnitude * unit
    let largestIsPositive = values.contains(magnitude) && !values.contains(-magnitude)
    let base = (largestIsPositive ? -magnitude : magnitude) / range.halfWidth
    let best = range.bits == 4 ? searchCoarseToFine(values, base) : searchAll(values, base)
    // Back by the same power of two.
    return BFloat16(best * Float(bitPattern: UInt32(127 + exponent) << 23))
  }

  private func searchCoarseToFine(_ values: [Float], _ base: Float) -> Float {
    var coarse = Best(scale: base)
    for first in stride(from: 0, to: coarseFactors.count, by: 16) {
      let scales = SIMD16(coarseFactors[first..<first + 16]) * base
      let (products, squares) = moments(values, scales)
      coarse.consider(products * products / squares, products / squares)
    }
    var fine = Best(scale: base)
    let scales = Self.consecutive(from: BFloat16(coarse.scale).bitPattern &- 8)
    let (products, squares) = moments(values, scales)
    // What a scale takes from the sum of squares if it is used as it is.
    fine.consider(scales * (products + products - scales * squares), scales)
    return fine.scale
  }

  /// Sums of value * code and of code^2, where the codes follow from the scale of the lane.
  private func moments(
    _ values: [Float], _ scales: SIMD16<Float>
  ) -> (products: SIMD16<Float>, squares: SIMD16<Float>) {
    let inverses = 1 / scales
    var products = SIMD16<Float>.zero
    var squares = SIMD16<Float>.zero
    for start in stride(from: 0, to: values.count, by: Self.blockLength) {
      var blockProducts = SIMD16<Float>.zero
      var blockSquares = SIMD16<Float>.zero
      for value in values[start..<min(start + Self.blockLength, values.count)] {
        let codes = rounded(inverses * value)
        blockProducts += codes * value
        blockSquares += codes * codes
      }
      products += blockProducts
      squares += blockSquares
    }
    return (products, squares)
  }

  private func searchAll(_ values: [Float], _ base: Float) -> Float {
    var best = Best(scale: base)
    var first = BFloat16(base * fineFactors.lowerBound).bitPattern
    let last = BFloat16(base * fineFactors.upperBound).bitPattern
    while first <= last {
      let scales = Self.consecutive(from: first)
      let inverses = 1 / scales
      var errors = SIMD16<Float>.zero
      for start in stride(from: 0, to: values.count, by: Self.blockLength) {
        var blockErrors = SIMD16<Float>.zero
        for value in values[start..<min(start + Self.blockLength, values.count)] {
          let residuals = value - rounded(inverses * value) * scales
          blockErrors += residuals * residuals
        }
        errors += blockErrors
      }
      best.consider(-errors, scales)
      first += 16
    }
    return best.scale
  }

  /// Sixteen BF16 numbers that follow each other in magnitude.
  private static func consecutive(from bits: UInt16) -> SIMD16<Float> {
    var scales = SIMD16<Float>.zero
    for lane in 0..<16 {
      scales[lane] = BFloat16(bitPattern: bits &+ UInt16(lane)).floatValue
    }
    return scales
  }

  private func rounded(_ quotients: SIMD16<Float>) -> SIMD16<Float> {
    let low = SIMD16(repeating: range.minimum)
    let high = SIMD16(repeating: range.maximum)
    var clamped = quotients.replacing(with: low, where: quotients .< low)
    clamped.replace(with: high, where: clamped .> high)
    return (clamped + Self.roundingShift) - Self.roundingShift
  }

  /// The largest value so far in each lane, and the scale that it belongs to.
  private struct Best {
    private var values = SIMD16(repeating: -Float.infinity)
    private var scales: SIMD16<Float>

    init(scale: Float) {
      scales = SIMD16(repeating: scale)
    }

    mutating func consider(_ newValues: SIMD16<Float>, _ newScales: SIMD16<Float>) {
      let better = newValues .> values
      values.replace(with: newValues, where: better)
      scales.replace(with: newScales, where: better)
    }

    /// The scale of the largest lane.
    ///
    /// Of equal ones it is not always the first: lane i + 8 replaces lane i where it is larger,
    /// then i + 4, and so on.
    var scale: Float {
      var (values, scales) = (values, scales)
      for distance in [8, 4, 2, 1] {
        for lane in 0..<distance where values[lane + distance] > values[lane] {
          values[lane] = values[lane + distance]
          scales[lane] = scales[lane + distance]
        }
      }
      return scales[0]
    }
  }
}
