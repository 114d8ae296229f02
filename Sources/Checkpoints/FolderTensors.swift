// SPDX-License-Identifier: Apache-2.0

import Safetensors
import SystemPackage
import TensorCore

/// Which files of a folder hold the tensors of its checkpoint, and which are no part of it.
///
/// Folders collect what was there before: the single file of an export beside new shards, shards of
/// another division, adapters, packed copies. Exactly one set is taken, by rules that do not
/// depend on what the files hold, and every other one is reported.
struct FolderTensors {
  /// Where the tensors are.
  enum Choice: Equatable {
    /// In the shards that `model.safetensors.index.json` names.
    case index
    /// In one safetensors file.
    case file(String)
    /// In packed files.
    case packed([String])
    /// In safetensors files whose division nothing tells.
    case missingIndex(count: Int)
    /// In no file that Kiln reads.
    case nothing
  }

  let choice: Choice
  private let entries: [String]

  /// - Parameter entries: The names in the folder.
  init(_ entries: [String]) {
    self.entries = entries
    let files = entries.filter(Self.isTensors)
    let models = files.filter { !$0.hasPrefix("adapter_") }
    let packed = entries.filter(Self.isPacked)
    if entries.contains(SafetensorsIndex.fileName) {
      choice = .index
    } else if files.contains("model.safetensors") {
      choice = .file("model.safetensors")
    } else if models.count == 1, !models[0].contains("-of-") {
      choice = .file(models[0])
    } else if !models.isEmpty {
      choice = .missingIndex(count: models.count)
    } else if !packed.isEmpty {
      choice = .packed(packed)
    } else if files.count == 1 {
      choice = .file(files[0])
    } else {
      choice = .nothing
    }
  }

  /// Whether there is one set of tensors and nothing else that could be one: then a file of it is the checkpoint.
  var isOnlySet: Bool {
    switch choice {
    case .file: entries.filter { Self.isTensors($0) || Self.isPacked($0) }.count == 1
    case .packed(let names): names.count == 1
    case .index, .missingIndex, .nothing: false
    }
  }

  /// A warning about tensors that are no part of the checkpoint.
  ///
  /// - Parameters:
  ///   - folder: Where they are.
  ///   - shards: The files that the index names.
  /// - Returns: No line, or one.
  func leftOut(in folder: FilePath, shards: [ExactString] = []) -> [String] {
    let used: Set<ExactString>
    let reason: String
    switch choice {
    case .index:
      used = Set(shards + [ExactString(SafetensorsIndex.fileName)])
      reason = "not named in \(SafetensorsIndex.fileName)"
    case .file(let name):
      used = [ExactString(name)]
      reason = "\(name) holds the tensors"
    case .packed(let names):
      used = Set(names.map { ExactString($0) })
      reason = "the .kiln files hold the tensors"
    case .missingIndex, .nothing: return []
    }
    let others = entries.filter { name in
      (Self.isTensors(name) || Self.isPacked(name) || Self.isIndex(name))
        && !used.contains(ExactString(name))
    }
    guard let first = others.first else { return [] }
    let listed =
      others.count == 1
      ? "\(first) is"
      : others.prefix(3).joined(separator: ", ")
        + (others.count > 3 ? " and \(others.count - 3) more are" : " are")
    return ["\(folder): \(listed) left out: \(reason)"]
  }

  private static func isTensors(_ name: String) -> Bool {
    name.hasSuffix(".safetensors") && !name.hasPrefix(".")
  }

  private static func isIndex(_ name: String) -> Bool {
    name.hasSuffix(".safetensors.index.json") && !name.hasPrefix(".")
  }

  private static func isPacked(_ name: String) -> Bool {
    name.hasSuffix(".kiln") && !name.hasPrefix(".")
  }

  // MARK: - Nothing to read

  /// Endings of files that a program is still writing, or has given up on.
  private static let unfinishedSuffixes = [
    ".incomplete", ".part", ".partial", ".crdownload", ".download", ".aria2",
  ]
  /// Files that are looked at to see what is there instead.
  private static let maximumLookedAt = 64

  /// What is in a folder without tensors that Kiln reads.
  ///
  /// - Parameter folder: The folder.
  /// - Returns: Why it is no checkpoint.
  func problem(of folder: FilePath) -> CheckpointError {
    if let name = entries.first(where: { name in
      Self.unfinishedSuffixes.contains(where: name.hasSuffix)
    }) {
      return .unfinished(folder, name: name)
    }
    for name in entries.prefix(Self.maximumLookedAt) where AuxiliaryFiles.isWeights(name) {
      let path = folder.appending(argument: name)
      guard case .inside = FolderBoundary(of: name, in: folder), FileKind(of: path) == .regular,
        let file = try? MappedFile(path), let content = ForeignContent(file.bytes)
      else { continue }
      return .foreignWeights(folder, name: name, content)
    }
    return .unrecognized(folder)
  }
}
