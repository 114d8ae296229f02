// SPDX-License-Identifier: Apache-2.0

/// Numbers as people write them, without a formatting library.
extension Double {
  /// Fixed-point notation, rounded to nearest: `1.5.decimalText(decimals: 3)` is `1.500`.
  ///
  /// - Parameter decimals: Digits behind the point, 0...15.
  /// - Returns: `NaN`, `inf` or `-inf` for what is not finite; `description` from 10^15 on, where
  ///   not all whole numbers have a double.
  public func decimalText(decimals: Int) -> String {
    guard isFinite else { return isNaN ? "NaN" : self < 0 ? "-inf" : "inf" }
    guard magnitude < 1e15 else { return description }
    var factor = 1.0
    for _ in 0..<decimals { factor *= 10 }
    // The part behind the point is exact by itself; in a product with the whole it would not be.
    var whole = magnitude.rounded(.towardZero)
    let scaled = (magnitude - whole) * factor
    var fraction = scaled.rounded()
    // A product just below a half may have been rounded to it.
    if fraction - scaled == 0.5, (-scaled).addingProduct(magnitude - whole, factor) < 0 {
      fraction -= 1
    }
    if fraction >= factor { (whole, fraction) = (whole + 1, 0) }
    guard let wholeDigits = Int(exactly: whole), let fractionDigits = Int(exactly: fraction) else {
      return description
    }
    let sign = self < 0 && (whole > 0 || fraction > 0) ? "-" : ""
    guard decimals > 0 else { return "\(sign)\(wholeDigits)" }
    let digits = String(fractionDigits)
    let padding = String(repeating: "0", count: decimals - digits.count)
    return "\(sign)\(wholeDigits).\(padding)\(digits)"
  }
}
