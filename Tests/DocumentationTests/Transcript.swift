// SPDX-License-Identifier: Apache-2.0

/// Commands as a page shows them, each with what it is said to print.
struct Transcript {
  /// One command.
  struct Step: Equatable {
    let command: String
    /// The lines that follow it; nil where the page shows none.
    let output: [String]?
  }

  let steps: [Step]

  /// A block in which commands begin with `$ `, and everything else is output.
  init(console lines: [String]) {
    var steps: [(command: String, output: [String])] = []
    for line in lines {
      if line.hasPrefix("$ ") {
        steps.append((String(line.dropFirst(2)), []))
      } else if let last = steps.indices.last, steps[last].command.hasSuffix("\\") {
        steps[last].command = steps[last].command.dropLast() + line
      } else if let last = steps.indices.last {
        steps[last].output.append(line)
      }
    }
    self.steps = steps.map { step in
      var output = step.output
      while output.last?.allSatisfy(\.isWhitespace) == true { output.removeLast() }
      return Step(command: step.command, output: output.isEmpty ? nil : output)
    }
  }

  /// A block of commands alone, one a line unless a backslash continues it.
  init(script lines: [String]) {
    var commands: [String] = []
    var isContinued = false
    for line in lines where !line.allSatisfy(\.isWhitespace) && !line.hasPrefix("#") {
      if isContinued, let last = commands.indices.last {
        commands[last] = commands[last].dropLast() + line
      } else {
        commands.append(line)
      }
      isContinued = line.hasSuffix("\\")
    }
    steps = commands.map { Step(command: $0, output: nil) }
  }
}

/// Whether a text is what a page shows, in which `…` stands for anything that is not shown.
///
/// A line of `…` alone stands for any number of lines, `…` within a line for any text. Runs of spaces are equal. Numbers
/// with a fraction may differ by two units of the last digit that is shown: the last bits of float32 sums depend on the
/// instructions of the processor (`Docs/Numerics.md`).
struct ShownOutput {
  let lines: [String]

  /// The first line of a text that does not match, or nil if all of it does.
  func mismatch(with found: [String]) -> String? {
    var reached = 0
    return matches(lines[...], found[...], from: 0, reached: &reached)
      ? nil
      : reached < found.count ? "found \"\(found[reached])\"" : "ends after \(found.count) lines"
  }

  private func matches(
    _ shown: ArraySlice<String>, _ found: ArraySlice<String>, from place: Int, reached: inout Int
  ) -> Bool {
    guard let first = shown.first else {
      reached = max(reached, place)
      return found.isEmpty
    }
    if first == "…" {
      let rest = shown.dropFirst()
      return (0...found.count).contains { count in
        matches(rest, found.dropFirst(count), from: place + count, reached: &reached)
      }
    }
    reached = max(reached, place)
    guard let line = found.first, Self.matches(first, line) else { return false }
    return matches(shown.dropFirst(), found.dropFirst(), from: place + 1, reached: &reached)
  }

  /// Whether a line is what is shown.
  static func matches(_ shown: String, _ found: String) -> Bool {
    matches(parts(shown)[...], parts(found)[...])
  }

  /// A number, a space, or another character of a line.
  private enum Part: Equatable {
    case number(String)
    case character(Character)
  }

  private static func parts(_ line: String) -> [Part] {
    var parts: [Part] = []
    var rest = Substring(line)
    while let first = rest.first {
      if let match = rest.prefixMatch(of: /[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:e-?[0-9]+)?/) {
        parts.append(.number(String(match.output)))
        rest = rest[match.range.upperBound...]
      } else {
        let part = Part.character(first.isWhitespace ? " " : first)
        if part != .character(" ") || parts.last != part { parts.append(part) }
        rest.removeFirst()
      }
    }
    while parts.last == .character(" ") { parts.removeLast() }
    return parts
  }

  private static func matches(_ shown: ArraySlice<Part>, _ found: ArraySlice<Part>) -> Bool {
    guard let first = shown.first else { return found.isEmpty }
    if first == .character("…") {
      return (0...found.count).contains { matches(shown.dropFirst(), found.dropFirst($0)) }
    }
    guard let part = found.first else { return false }
    let isSame =
      if case .number(let left) = first, case .number(let right) = part {
        isClose(left, right)
      } else {
        first == part
      }
    return isSame && matches(shown.dropFirst(), found.dropFirst())
  }

  private static func isClose(_ shown: String, _ found: String) -> Bool {
    let (left, right) = (shown.replacing(",", with: ""), found.replacing(",", with: ""))
    guard let point = left.firstIndex(of: "."), let shown = Double(left), let found = Double(right)
    else { return left == right }
    let end = left.firstIndex(of: "e") ?? left.endIndex
    let exponent = Int(left[end...].dropFirst()) ?? 0
    var unit = 1.0
    for _ in 0..<left.distance(from: point, to: end) - 1 { unit /= 10 }
    for _ in 0..<abs(exponent) { unit = exponent < 0 ? unit / 10 : unit * 10 }
    return abs(shown - found) <= 2.01 * unit
  }
}
