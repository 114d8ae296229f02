// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import TensorCore

/// A name for an output, and whether it says that the output is a folder.
struct OutputPath: Sendable {
  /// The name; `FilePath` knows no slash at the end.
  let path: FilePath
  /// Whether it was given with a slash at the end.
  let isMarkedAsFolder: Bool

  /// What is written under a name.
  enum Kind {
    /// One packed file: a model.
    case packedFile
    /// A folder of packed files or of a checkpoint.
    case folder
    /// What a command keeps for itself, in the packed format.
    case saved(String)
    /// A table.
    case table
  }

  /// Takes an argument of the command line.
  ///
  /// - Throws: A `ValidationError` for an empty name, which is often that of a variable that is not set.
  init(_ argument: String) throws {
    guard !argument.isEmpty else { throw ValidationError("the name of the output is empty") }
    path = FilePath(argument: argument)
    isMarkedAsFolder = argument.utf8.count > 1 && argument.hasSuffix("/")
  }

  /// Endings of formats that Kiln does not write under a name of the user's choice, and of texts.
  private static let otherFormats: Set<String> = [
    "safetensors", "gguf", "ggml", "bin", "pt", "pth", "ckpt", "onnx", "h5", "hdf5", "npz", "npy",
    "msgpack", "pkl", "zip", "tar", "gz", "tgz", "zst", "xz", "7z", "json", "jsonl", "yaml", "md",
  ]
  private static let texts: Set<String> = ["txt", "csv", "tsv", "log"]

  /// What commands keep for themselves.
  private static let saved: Set<String> = ["base", "calibration"]

  /// Refuses a name that says something else than what will be written.
  ///
  /// - Parameters:
  ///   - kind: What will be written.
  ///   - folderHint: What makes the command write a folder, if anything does.
  /// - Throws: `OutputNameError`.
  func check(as kind: Kind, folderHint: String? = nil) throws(OutputNameError) {
    let writesFolder = if case .folder = kind { true } else { false }
    // A folder in the place of a file is refused whether or not it may be replaced.
    guard writesFolder || !isMarkedAsFolder && FileKind(of: path) != .directory else {
      throw .folder(path, kind.description, hint: folderHint)
    }
    let ending = path.extension?.lowercased() ?? ""
    let isForeign = Self.otherFormats.contains(ending)
    let isWrong: Bool
    switch kind {
    case .packedFile:
      isWrong = isForeign || Self.texts.contains(ending) || Self.saved.contains(ending)
    case .folder: isWrong = isForeign || Self.texts.contains(ending)
    case .saved(let what):
      // A saved base is not called a calibration.
      let others = Self.saved.filter { !what.hasSuffix($0) }
      isWrong =
        isForeign || Self.texts.contains(ending) || ending == "kiln" || others.contains(ending)
    case .table: isWrong = isForeign || ending == "kiln" || Self.saved.contains(ending)
    }
    guard !isWrong else { throw .otherFormat(path, ending: ending, kind.description, kind.advice) }
  }
}

extension OutputPath.Kind {
  fileprivate var description: String {
    switch self {
    case .packedFile: "a .kiln file"
    case .folder: "a folder"
    case .saved(let what): "a \(what)"
    case .table: "a CSV table"
    }
  }

  fileprivate var advice: String {
    switch self {
    case .packedFile:
      "name it NAME.kiln; from a .kiln file, kiln convert writes a folder of safetensors"
    case .folder: "name a folder"
    case .saved(let what):
      "name it after its text, such as NAME.\(what.split(separator: " ").last ?? "")"
    case .table: "name it NAME.csv"
    }
  }
}

/// Why a name is not taken for an output.
enum OutputNameError: KilnError, Equatable {
  /// The ending is that of a format which will not be written.
  case otherFormat(FilePath, ending: String, _ written: String, _ advice: String)
  /// The name is that of a folder, and a file will be written.
  case folder(FilePath, _ written: String, hint: String?)

  var category: ErrorCategory { .cannotCreateOutput }

  var description: String {
    switch self {
    case .otherFormat(let path, let ending, let written, let advice):
      "\(path): the name says .\(ending), but \(written) would be written; \(advice)"
    case .folder(let path, let written, let hint):
      "\(path): is the name of a folder, but \(written) would be written; name a file"
        + (hint.map { ", or give \($0)" } ?? "")
    }
  }
}
