// SPDX-License-Identifier: Apache-2.0

import Inspection
import JSON
import Reports

/// Lists of findings: a damaged file can have thousands, of which people read the first.
enum FindingList {
  /// Lines of text that are shown before the rest is counted.
  private static let maximumShown = 20

  /// A line for each of the first things, and one that counts the rest.
  static func lines<Item>(_ items: [Item], line: (Item) -> Note) -> [Note] {
    let rest = items.count - maximumShown
    return items.prefix(maximumShown).map(line)
      + (rest > 0
        ? [Note("… and \(Quantities.grouped(rest)) more; --json lists all")] : [])
  }

  /// All of them, for programs.
  static func json(_ findings: [Verification.Finding]) -> JSONValue {
    .array(
      findings.map { ["subject": .string($0.subject), "problem": .string($0.problem)] })
  }
}
