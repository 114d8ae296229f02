// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// Numbers with units, as people read them.
package enum Quantities {
  /// `135.4 MB`; decimal units, as disks and file managers count.
  package static func bytes(_ count: Int) -> String {
    scaled(Double(count), units: ["B", "kB", "MB", "GB", "TB"])
  }

  /// `67.7 M`; a plain number below a thousand.
  package static func count(_ count: Int) -> String {
    scaled(Double(count), units: ["", "k", "M", "B", "T"])
  }

  /// `1 tensor`, `20,493 tensors`.
  package static func counted(_ count: Int, _ noun: String) -> String {
    "\(grouped(count)) \(noun)\(count == 1 ? "" : "s")"
  }

  /// `20,493`.
  package static func grouped(_ count: Int) -> String {
    var digits = Array(String(count.magnitude))
    var place = digits.count - 3
    while place > 0 {
      digits.insert(",", at: place)
      place -= 3
    }
    return (count < 0 ? "-" : "") + String(digits)
  }

  /// `3.2 %`.
  package static func percent(_ share: Double) -> String {
    (share * 100).decimalText(decimals: 1) + " %"
  }

  /// Four significant digits; scientific notation for what is very small or very large.
  ///
  /// Whole numbers below a million keep all of their digits.
  package static func significant(_ value: Double) -> String {
    guard value.isFinite else { return value.decimalText(decimals: 0) }
    if value == 0 { return "0" }
    var exponent = 0
    var mantissa = value.magnitude
    while mantissa >= 10 {
      mantissa /= 10
      exponent += 1
    }
    while mantissa < 1 {
      mantissa *= 10
      exponent -= 1
    }
    // 9.9996 is 10.00: what rounds up to a power of ten has its digit before the point.
    var digits = mantissa.decimalText(decimals: 3)
    if exponent < 0 || exponent > 5, digits.hasPrefix("10") {
      digits = "1.000"
      exponent += 1
    }
    guard (-4...5).contains(exponent), value.magnitude < 999_999.5 else {
      if exponent == 5 { (digits, exponent) = ("1.000", 6) }
      return (value < 0 ? "-" : "") + digits + "e\(exponent)"
    }
    let decimals = max(3 - exponent, 0)
    let text = value.decimalText(decimals: decimals)
    let count = text.drop { !("1"..."9").contains($0) }.count { $0 != "." }
    return decimals > 0 && count > 4 ? value.decimalText(decimals: decimals - 1) : text
  }

  /// `1:02:03` or `2:03`.
  package static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "?" }
    let whole = Int(seconds.rounded())
    func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let (hours, minutes) = (whole / 3600, whole / 60 % 60)
    return hours > 0
      ? "\(hours):\(padded(minutes)):\(padded(whole % 60))" : "\(minutes):\(padded(whole % 60))"
  }

  private static func scaled(_ value: Double, units: [String]) -> String {
    var value = value
    var unit = 0
    while value >= 999.95, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    let text = value.decimalText(decimals: unit == 0 ? 0 : 1)
    return units[unit].isEmpty ? text : "\(text) \(units[unit])"
  }
}
