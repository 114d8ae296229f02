// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import TensorCore

/// What a JSON document of two checkpoints says differently, whatever its order and spacing.
struct DocumentComparison {
  /// Differences of one kind.
  struct Differences {
    /// The first of them.
    private(set) var listed: [String] = []
    /// How many more there are: a hostile document could fill the memory with them.
    private(set) var unlistedCount = 0

    /// Differences that are listed before the rest is only counted.
    private static let maximumListed = 20

    var isEmpty: Bool { listed.isEmpty }

    /// A line for each that is listed, and one that counts the others.
    var lines: [String] {
      listed + (unlistedCount > 0 ? ["\(unlistedCount) more differences"] : [])
    }

    fileprivate mutating func append(_ text: @autoclosure () -> String) {
      if listed.count < Self.maximumListed { listed.append(text()) } else { unlistedCount += 1 }
    }
  }

  /// Keys that both have, with other values.
  private(set) var shared = Differences()
  /// Keys that one of them has.
  private(set) var oneSided = Differences()
  /// Keys about the files rather than the model, which the tensors or nothing at all depend on.
  private(set) var layout = Differences()

  /// Whether both say the same.
  var isIdentical: Bool { shared.isEmpty && oneSided.isEmpty && layout.isEmpty }

  /// The element type is that of the tensors, which are compared themselves; the others are marks of the
  /// program that wrote the file.
  private static let layoutKeys: Set<ExactString> = [
    "dtype", "torch_dtype", "transformers_version", "_name_or_path",
  ]

  /// Compares a document that both have.
  ///
  /// - Returns: nil if one of them is too large or no JSON, so that only bytes can be compared.
  init?(_ name: String, _ left: Checkpoint, _ right: Checkpoint) {
    func parsed(_ checkpoint: Checkpoint) -> JSONValue? {
      guard let bytes = try? checkpoint.contents(of: name) else { return nil }
      return try? JSONValue(parsing: bytes, file: checkpoint.displayName(of: name))
    }
    guard let left = parsed(left), let right = parsed(right) else { return nil }
    compare(left, right, path: "")
  }

  private mutating func compare(_ left: JSONValue, _ right: JSONValue, path: String) {
    switch (left, right) {
    case (.object(let leftMembers), .object(let rightMembers)):
      compare(leftMembers, rightMembers, path: path)
    case (.array(let leftElements), .array(let rightElements))
    where leftElements.count == rightElements.count:
      for (index, pair) in zip(leftElements, rightElements).enumerated() {
        compare(pair.0, pair.1, path: "\(path)[\(index)]")
      }
    case (.integer(let integer), .number(let number)), (.number(let number), .integer(let integer)):
      if Double(integer) == number { return }
      fallthrough
    default:
      if left != right { shared.append(Self.text(path, left, right)) }
    }
  }

  private mutating func compare(_ left: [JSONMember], _ right: [JSONMember], path: String) {
    let values = Dictionary(
      right.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
    let keys = Set(left.map(\.key))
    let prefix = path.isEmpty ? "" : path + "."
    for member in left {
      let place = prefix + member.key.text
      let other = values[member.key]
      if Self.layoutKeys.contains(member.key) {
        if other != member.value {
          layout.append(Self.text(place, member.value, other))
        }
      } else if let other {
        compare(member.value, other, path: place)
      } else {
        oneSided.append(Self.text(place, member.value, nil))
      }
    }
    for member in right where !keys.contains(member.key) {
      let place = prefix + member.key.text
      if Self.layoutKeys.contains(member.key) {
        layout.append(Self.text(place, nil, member.value))
      } else {
        oneSided.append(Self.text(place, nil, member.value))
      }
    }
  }

  private static func text(_ path: String, _ left: JSONValue?, _ right: JSONValue?) -> String {
    let values = (left.map(short) ?? "missing", right.map(short) ?? "nothing")
    return "\(path.isEmpty ? "the document" : "\"\(path)\"") is \(values.0), against \(values.1)"
  }

  /// A value as it fits a line.
  private static func short(_ value: JSONValue) -> String {
    let text = String(decoding: JSONWriter.compact(value), as: UTF8.self)
    return text.utf8.count <= 60 ? text : String(text.prefix(57)) + "..."
  }
}
