// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import KimiLinear
import TensorCore

/// Where the configuration, the tokenizer and the other files of two checkpoints differ.
struct FileComparison {
  /// Differences of what the model is: one for each key of a document, each file of the tokenizer.
  private(set) var findings: [Verification.Finding] = []
  /// Differences that do not make another model: keys about the file, line ends, other files.
  private(set) var notes: [Verification.Finding] = []
  /// Whether configuration and tokenizer say the same in every key.
  var isIdentical: Bool { reworded.isEmpty }
  /// Documents that say the same model in other keys or values.
  private(set) var reworded: [String] = []
  /// Whether both checkpoints have a configuration.
  let comparesConfiguration: Bool
  /// Whether both checkpoints have the files of a tokenizer.
  let comparesTokenizer: Bool

  private let left: Checkpoint
  private let right: Checkpoint
  private static let configuration = "config.json"

  init(_ left: Checkpoint, _ right: Checkpoint) {
    (self.left, self.right) = (left, right)
    let names = Set((left.files + right.files).map(\.name)).sorted()
    let ofTokenizer = names.filter(Self.isOfTokenizer)
    comparesConfiguration = [left, right].allSatisfy { $0.hasFile(Self.configuration) }
    comparesTokenizer =
      !ofTokenizer.isEmpty
      && ofTokenizer.allSatisfy { name in left.hasFile(name) && right.hasFile(name) }
    for name in names where name == Self.configuration || Self.isOfTokenizer(name) {
      compare(name)
    }
    if !names.contains(Self.configuration) {
      note(Self.configuration, "not compared: neither checkpoint has one")
    }
    noteOthers(names.filter { $0 != Self.configuration && !Self.isOfTokenizer($0) })
  }

  private static func isOfTokenizer(_ name: String) -> Bool {
    name.hasPrefix("tiktoken") || name.hasPrefix("tokeniz") || name == "special_tokens_map.json"
      || ["added_tokens.json", "vocab.json", "vocab.txt", "merges.txt"].contains(name)
  }

  // MARK: - What makes a model

  private mutating func compare(_ name: String) {
    guard let leftFile = left.file(name), let rightFile = right.file(name) else {
      let lacking = left.file(name) == nil ? left : right
      // A lone file of tensors may lie in a folder of its own.
      if lacking.kind == .safetensors {
        note(name, "not compared: \(lacking.path) has none")
      } else {
        find(name, "is not in \(lacking.path)")
      }
      return
    }
    if leftFile.region.bytes.equals(rightFile.region.bytes) { return }
    if name.hasSuffix(".json"), let documents = DocumentComparison(name, left, right) {
      take(documents, of: name)
    } else if let lines = leftFile.lines, lines == rightFile.lines {
      note(name, "differs in line ends alone")
    } else {
      find(name, "has other bytes")
    }
  }

  private mutating func take(_ documents: DocumentComparison, of name: String) {
    if !documents.isIdentical { reworded.append(name) }
    let isOtherDialect = name == Self.configuration && haveSameConfiguration
    for problem in documents.shared.lines { find(name, problem) }
    for problem in documents.oneSided.lines {
      if isOtherDialect { note(name, problem) } else { find(name, problem) }
    }
    for problem in documents.layout.lines { note(name, "\(problem): says how it is stored") }
  }

  /// Whether one configuration is written for transformers and the other as it was released, and both
  /// describe the same architecture, as far as Kiln knows their keys.
  private var haveSameConfiguration: Bool {
    guard let left = try? left.configuration(), let right = try? right.configuration(),
      left["layer_types"].isPresent != right["layer_types"].isPresent,
      [left, right].allSatisfy({ (try? UnknownKeys($0).consequential.isEmpty) == true }),
      let leftModel = try? ModelConfiguration(left), let rightModel = try? ModelConfiguration(right)
    else { return false }
    return leftModel == rightModel
  }

  // MARK: - What does not

  private mutating func noteOthers(_ names: [String]) {
    let differing = names.filter { name in
      guard let left = left.file(name), let right = right.file(name) else {
        return true
      }
      return !left.region.bytes.equals(right.region.bytes)
    }
    guard let first = differing.first else { return }
    let rest = differing.count == 1 ? "" : " and \(differing.count - 1) other files"
    note(first + rest, "differ or are on one side only; not part of the verdict")
  }

  private mutating func find(_ subject: String, _ problem: String) {
    findings.append(Verification.Finding(subject: subject, problem: problem))
  }

  private mutating func note(_ subject: String, _ problem: String) {
    notes.append(Verification.Finding(subject: subject, problem: problem))
  }
}

extension Checkpoint {
  fileprivate func file(_ name: String) -> AuxiliaryFile? {
    files.first { $0.name == name }
  }
}

extension AuxiliaryFile {
  /// Its lines without what ends them, and without empty ones; nil for a document, where line ends may be data.
  fileprivate var lines: [ArraySlice<UInt8>]? {
    guard name.hasSuffix(".model") || name.hasSuffix(".txt"),
      region.byteCount <= Checkpoint.maximumParsedByteCount
    else { return nil }
    return region.bytes.copy().split(separator: UInt8(ascii: "\n")).compactMap { line in
      let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      return line.isEmpty ? nil : line
    }
  }
}
