// SPDX-License-Identifier: Apache-2.0

/// Numbers as people write them, without a formatting library.
extension Double {
  /// Fixed-point notation, rounded to nearest: `1.5.decimalText(decimals: 3)` is `1.500`.
  ///
  /// - Parameter decimals: Digits behind the point, 0...15.
  /// - Returns: `NaN`, `inf` or `-inf` for what is not finite; scientific notation beyond 10^15.
  public func decimalText(decimals: Int) -> String {
    guard isFinite else { return isNaN ? "NaN" : self < 0 ? "-inf" : "inf" }
    var factor = 1.0
    for _ in 0..<decimals { factor *= 10 }
    let scaled = (magnitude * factor).rounded()
    guard magnitude < 1e15, scaled < 1e18, let whole = Int(exactly: scaled),
      let divisor = Int(exactly: factor)
    else { return description }
    let sign = self < 0 && whole > 0 ? "-" : ""
    guard decimals > 0 else { return "\(sign)\(whole)" }
    let fraction = String(whole % divisor)
    let padding = String(repeating: "0", count: decimals - fraction.count)
    return "\(sign)\(whole / divisor).\(padding)\(fraction)"
  }
}
