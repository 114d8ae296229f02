// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import TensorCore

/// Where the configuration and the tokenizer of two checkpoints differ.
struct FileComparison {
  /// Differences, one for each key of `config.json` and each file of the tokenizer.
  private(set) var findings: [Verification.Finding] = []

  /// Differences of one document that are listed, before the rest is only counted.
  private static let maximumListed = 20

  init(_ left: Checkpoint, _ right: Checkpoint) {
    let configuration = "config.json"
    let names = Set((left.files + right.files).map(\.name)).filter {
      $0 == configuration || Self.isOfTokenizer($0)
    }
    for name in names.sorted() {
      guard let leftFile = left.file(name), let rightFile = right.file(name) else {
        let lacking = left.file(name) == nil ? left : right
        // Beside a lone file of tensors there need not be anything.
        if lacking.kind != .safetensors {
          findings.append(
            Verification.Finding(subject: name, problem: "is not in \(lacking.path)"))
        }
        continue
      }
      if leftFile.region.bytes.equals(rightFile.region.bytes) { continue }
      let problems =
        name == configuration ? Self.configurationProblems(left, right) : ["has other bytes"]
      findings += problems.map { Verification.Finding(subject: name, problem: $0) }
    }
  }

  private static func isOfTokenizer(_ name: String) -> Bool {
    name.hasPrefix("tiktoken") || name.hasPrefix("tokeniz") || name == "special_tokens_map.json"
      || name == "added_tokens.json"
  }

  /// What the two documents say differently, whatever their order and spacing.
  private static func configurationProblems(_ left: Checkpoint, _ right: Checkpoint) -> [String] {
    do {
      // Where tensors are stored in other types, the type that is named for them is another one, too.
      let isStoredAlike =
        Set(left.storedTensors.map(\.encoding)) == Set(right.storedTensors.map(\.encoding))
      let (left, right) = (try left.configuration(), try right.configuration())
      var differences = Differences(ignored: isStoredAlike ? [] : ["dtype", "torch_dtype"])
      compare(left.value ?? .null, right.value ?? .null, path: "", into: &differences)
      return differences.listed
        + (differences.unlisted == 0 ? [] : ["\(differences.unlisted) more differences"])
    } catch {
      return ["\(error)"]
    }
  }

  /// What two documents say differently; a hostile one could fill the memory with it.
  private struct Differences {
    /// Keys whose values need not agree, in whatever object.
    let ignored: Set<ExactString>
    var listed: [String] = []
    var unlisted = 0

    mutating func append(_ difference: @autoclosure () -> String) {
      if listed.count < maximumListed { listed.append(difference()) } else { unlisted += 1 }
    }
  }

  private static func compare(
    _ left: JSONValue, _ right: JSONValue, path: String, into problems: inout Differences
  ) {
    switch (left, right) {
    case (.object(let leftMembers), .object(let rightMembers)):
      let values = Dictionary(
        rightMembers.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
      let keys = Set(leftMembers.map(\.key))
      let prefix = path.isEmpty ? "" : path + "."
      for member in leftMembers where !problems.ignored.contains(member.key) {
        let place = prefix + member.key.text
        guard let other = values[member.key] else {
          problems.append("\"\(place)\" is \(short(member.value)), against nothing")
          continue
        }
        compare(member.value, other, path: place, into: &problems)
      }
      for member in rightMembers
      where !keys.contains(member.key) && !problems.ignored.contains(member.key) {
        problems.append(
          "\"\(prefix + member.key.text)\" is missing, against \(short(member.value))")
      }
    case (.array(let leftElements), .array(let rightElements))
    where leftElements.count == rightElements.count:
      for (index, pair) in zip(leftElements, rightElements).enumerated() {
        compare(pair.0, pair.1, path: "\(path)[\(index)]", into: &problems)
      }
    case (.integer(let integer), .number(let number)), (.number(let number), .integer(let integer)):
      if Double(integer) == number { return }
      fallthrough
    default:
      if left != right {
        problems.append("\"\(path)\" is \(short(left)), against \(short(right))")
      }
    }
  }

  /// A value as it fits a line.
  private static func short(_ value: JSONValue) -> String {
    let text = String(decoding: JSONWriter.compact(value), as: UTF8.self)
    return text.utf8.count <= 60 ? text : String(text.prefix(57)) + "..."
  }
}

extension Checkpoint {
  fileprivate func file(_ name: String) -> AuxiliaryFile? {
    files.first { $0.name == name }
  }
}
