// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TensorCore

/// Whether a file of an older folder holds weights in either form, which the new ones replace: beside
/// these they would make a folder of two models.
func isWeights(_ name: String) -> Bool {
  [".kiln", ".safetensors", ".safetensors.index.json"].contains { name.hasSuffix($0) }
}

/// Where a packed model goes: one file, or the files of a folder.
struct PackingTarget {
  private enum Kind {
    case file(OutputFile)
    case folder(OutputFolder)
  }

  private let kind: Kind
  /// The name that the output will have once links are followed; its journal is beside it.
  let place: FilePath
  /// Whether an earlier run counts.
  let isResuming: Bool

  /// Creates the output under a hidden name.
  ///
  /// - Parameters:
  ///   - path: The final name.
  ///   - isFolder: Whether it is a folder.
  ///   - replacing: Whether what has that name may be replaced.
  ///   - resuming: Whether an earlier run counts.
  ///   - byteCount: How much will be written at most.
  ///   - fileNames: What a folder will hold.
  ///   - replacesWeights: Whether other weights of an older folder go; shards that are made one after the
  ///     other must not remove each other.
  /// - Throws: `FileError`.
  init(
    _ path: FilePath, isFolder: Bool, replacing: Bool, resuming: Bool, byteCount: Int,
    fileNames: [String], replacesWeights: Bool
  ) throws {
    isResuming = resuming
    if isFolder {
      let folder = try OutputFolder(
        path, replacing: replacing, byteCount: byteCount, resuming: resuming,
        superseded: { replacesWeights && isWeights($0) })
      if resuming { try folder.removeFiles(except: Set(fileNames)) }
      kind = .folder(folder)
      place = folder.target
    } else {
      kind = .file(
        try OutputFile(path, replacing: replacing, byteCount: byteCount, resuming: resuming))
      place = path
    }
  }

  /// The name that the output has until it is complete.
  var hiddenPath: FilePath {
    switch kind {
    case .file(let file): file.hiddenPath
    case .folder(let folder): folder.hiddenPath
    }
  }

  /// A file that an earlier run completed; nil if there is none.
  func completed(_ name: String) -> MappedFile? {
    guard isResuming, case .folder(let folder) = kind else { return nil }
    return folder.existing(named: name)
  }

  /// The file to write; in a folder, one of that name.
  ///
  /// - Throws: `FileError`.
  func output(_ name: String) throws -> OutputFile {
    switch kind {
    case .file(let file): return file
    case .folder(let folder):
      if isResuming { folder.removeFile(named: name) }
      return try folder.file(named: name)
    }
  }

  /// Gives a folder its name; a file has it already.
  ///
  /// - Throws: `FileError`.
  func commit() throws {
    if case .folder(let folder) = kind { try folder.commit() }
  }
}
