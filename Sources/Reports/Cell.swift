// SPDX-License-Identifier: Apache-2.0

package import JSON
import TensorCore

/// What a value or a line means to its reader; a renderer chooses colors for it.
package enum Tone: Sendable, Equatable {
  case plain
  /// A check that passed.
  case good
  /// Worth a look: a warning, or the worst value of a column.
  case warning
  /// Wrong: an error, a value that is not finite.
  case bad
}

/// How a number is written for people; programs always get all of its digits.
package enum NumberStyle: Sendable, Equatable {
  /// Four significant digits.
  case significant
  /// Digits after the point.
  case fixed(decimals: Int)
  /// A share of 1 in percent.
  case percent(decimals: Int)
  /// A multiple of a unit, such as 1e9 for GFLOP/s.
  case multiple(of: Double, decimals: Int)
}

/// One typed value of a table: what it is, for programs, and how it reads, for people.
package struct Cell: Sendable, Equatable {
  /// What a cell holds.
  package enum Value: Sendable, Equatable {
    /// Nothing was measured, or nothing applies.
    case missing
    case text(String)
    /// A number of things.
    case count(Int)
    /// A number of bytes.
    case bytes(Int)
    case number(Double, NumberStyle)
    /// Counts of equal bins, shown as bars.
    case histogram([Int])
    /// A value with a structure, and its words.
    case structured(JSONValue, text: String)
  }

  /// What it holds.
  package let value: Value
  /// What it means.
  package internal(set) var tone: Tone

  /// Makes a cell of a value.
  package init(_ value: Value, tone: Tone = .plain) {
    self.value = value
    self.tone = tone
  }

  /// Nothing.
  package static let missing = Cell(.missing)

  /// Text; nil is missing.
  package static func text(_ text: String?, tone: Tone = .plain) -> Cell {
    Cell(text.map { .text($0) } ?? .missing, tone: tone)
  }

  /// A number of things; nil is missing.
  package static func count(_ count: Int?, tone: Tone = .plain) -> Cell {
    Cell(count.map { .count($0) } ?? .missing, tone: tone)
  }

  /// A number of things that should be none of: marked as bad where it is not 0.
  package static func faults(_ count: Int?) -> Cell {
    .count(count, tone: count ?? 0 > 0 ? .bad : .plain)
  }

  /// A number of bytes.
  package static func bytes(_ count: Int?, tone: Tone = .plain) -> Cell {
    Cell(count.map { .bytes($0) } ?? .missing, tone: tone)
  }

  /// A number; nil is missing, which is not the same as NaN.
  package static func number(
    _ value: Double?, _ style: NumberStyle = .significant, tone: Tone = .plain
  ) -> Cell {
    Cell(value.map { .number($0, style) } ?? .missing, tone: tone)
  }

  /// A share of 1, shown in percent.
  package static func share(_ value: Double?, decimals: Int = 1, tone: Tone = .plain) -> Cell {
    .number(value, .percent(decimals: decimals), tone: tone)
  }

  /// A value with a structure, such as a shape.
  package static func structured(_ json: JSONValue, text: String, tone: Tone = .plain) -> Cell {
    Cell(.structured(json, text: text), tone: tone)
  }

  /// The value for programs, with all digits.
  package var json: JSONValue {
    switch value {
    case .missing: .null
    case .text(let text): .string(text)
    case .count(let count), .bytes(let count): .integer(count)
    case .number(let number, _): .number(number)
    case .histogram(let counts): .array(counts.map { .integer($0) })
    case .structured(let json, _): json
    }
  }

  /// The value as the key of its row.
  var name: String {
    if case .text(let text) = value { text } else { text }
  }

  /// The value for people, on one line; empty where it is missing.
  var text: String {
    switch value {
    case .missing: ""
    case .text(let text), .structured(_, let text): text.asOneLine
    case .count(let count): Quantities.grouped(count)
    case .bytes(let count): Quantities.bytes(count)
    case .number(let number, let style): style.text(of: number)
    case .histogram(let counts): Histogram.bars(counts)
    }
  }

  /// The number that is compared for the largest of a column; nil for what is no finite number.
  var magnitude: Double? {
    switch value {
    case .count(let count), .bytes(let count): Double(count.magnitude)
    case .number(let number, _) where number.isFinite: number.magnitude
    default: nil
    }
  }

  /// Whether it is a number that is not finite.
  var isNotFinite: Bool {
    if case .number(let number, _) = value { !number.isFinite } else { false }
  }
}

extension NumberStyle {
  /// The number as people read it.
  func text(of number: Double) -> String {
    switch self {
    case .significant: Quantities.significant(number)
    case .fixed(let decimals): number.decimalText(decimals: decimals)
    case .percent(let decimals): (number * 100).decimalText(decimals: decimals) + " %"
    case .multiple(let unit, let decimals): (number / unit).decimalText(decimals: decimals)
    }
  }
}
