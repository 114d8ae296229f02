// SPDX-License-Identifier: Apache-2.0

package import JSON
import TensorCore

/// What a command has to say, apart from how it is shown.
///
/// The terminal, JSON, CSV and Markdown all render this one value, so that a figure cannot be one thing in
/// text and another in a document.
package struct Report: Sendable, Equatable {
  /// A part of a report, in the order in which it is read.
  package enum Block: Sendable, Equatable {
    /// Labels with their values; in JSON an object of that key, or members of the document.
    case facts([Fact], key: String? = nil)
    case table(ReportTable)
    /// Lines of text.
    case notes([Note])
    /// Members of the JSON document that no text shows.
    case fields([JSONMember])
  }

  /// The parts.
  package private(set) var blocks: [Block]

  /// Makes a report of its parts.
  package init(_ blocks: [Block] = []) {
    self.blocks = blocks
  }

  /// Adds a part at the end.
  package mutating func append(_ block: Block) {
    blocks.append(block)
  }

  /// Adds lines of text at the end, if there are any.
  package mutating func append(notes: [Note]) {
    if !notes.isEmpty { blocks.append(.notes(notes)) }
  }

  /// Adds all parts of another one.
  package mutating func append(_ other: Report) {
    blocks += other.blocks
  }

  /// All tables, in order.
  var tables: [ReportTable] {
    blocks.compactMap { if case .table(let table) = $0 { table } else { nil } }
  }
}

/// One label and its value, with the figures of the value for programs.
package struct Fact: Sendable, Equatable {
  /// What the value is; empty for what goes on from the line above.
  package let label: String
  /// The value, for people.
  package let text: String
  /// The value, for programs.
  package let fields: [JSONMember]
  /// What it means.
  package let tone: Tone

  /// Makes a fact.
  ///
  /// - Parameters:
  ///   - label: What the value is.
  ///   - text: The value.
  ///   - fields: Its figures: members of the JSON document.
  ///   - tone: What it means.
  package init(
    _ label: String, _ text: String, _ fields: KeyValuePairs<String, JSONValue> = [:],
    tone: Tone = .plain
  ) {
    self.init(label, text, members: [JSONMember](fields), tone: tone)
  }

  /// Makes a fact whose figures have keys that are computed.
  package init(_ label: String, _ text: String, members: [JSONMember], tone: Tone = .plain) {
    self.label = label
    self.text = text
    self.fields = members
    self.tone = tone
  }
}

/// One line of text, with the figures that it states.
package struct Note: Sendable, Equatable {
  /// The line.
  package let text: String
  /// The figures for programs.
  package let fields: [JSONMember]
  /// What it means.
  package let tone: Tone

  /// Makes a line.
  ///
  /// - Parameters:
  ///   - text: The line.
  ///   - fields: Its figures: members of the JSON document.
  ///   - tone: What it means.
  package init(
    _ text: String, _ fields: KeyValuePairs<String, JSONValue> = [:], tone: Tone = .plain
  ) {
    self.text = text
    self.fields = [JSONMember](fields)
    self.tone = tone
  }
}

extension [JSONMember] {
  /// Members in the order of a literal.
  package init(_ fields: KeyValuePairs<String, JSONValue>) {
    self = fields.map { JSONMember(key: ExactString($0.key), value: $0.value) }
  }
}
