// SPDX-License-Identifier: Apache-2.0

import Safetensors
import SystemPackage
import TensorCore

/// The files of a checkpoint that are not tensors, and what else is in the folder.
struct AuxiliaryFiles {
  private(set) var files: [AuxiliaryFile] = []
  /// What a conversion will not carry along, one line each.
  private(set) var leftOut: [String] = []

  /// The files that Kiln itself reads.
  private static let known = ["config.json", "tiktoken.model", "tokenizer_config.json"]
  /// Those and what else says how the model is used.
  private static let descriptions = known + ["generation_config.json"]
  /// Weights in other formats, which a conversion does not carry along.
  private static let weightSuffixes = [
    ".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".ckpt",
    ".gguf", ".ggml", ".kiln", ".onnx", ".h5", ".msgpack", ".npz",
  ]
  /// Names in a line, before the rest is only counted.
  private static let maximumListed = 5

  /// Whether a name is that of weights, in whatever format.
  static func isWeights(_ name: String) -> Bool {
    !name.hasPrefix(".") && weightSuffixes.contains(where: name.hasSuffix)
  }

  /// Everything at the top of a checkpoint folder that is a file but not weights, and not hidden.
  ///
  /// A link that leaves the folder is not followed: its file would be copied into outputs, and must not
  /// smuggle a private file of this machine along. A file that Kiln needs is then missing.
  init(ofFolder folder: FilePath, entries: [String]) throws {
    var folders: [String] = []
    var weights: [String] = []
    for name in entries where !name.hasPrefix(".") {
      guard !Self.isWeights(name) else {
        // Tensors that Kiln could read are the concern of `FolderTensors`.
        if ![".safetensors", ".safetensors.index.json", ".kiln"].contains(where: name.hasSuffix) {
          weights.append(name)
        }
        continue
      }
      if FileKind(of: folder.appending(argument: name)) == .directory, !Self.known.contains(name) {
        folders.append(name)
      } else {
        try add(name, of: folder)
      }
    }
    if !folders.isEmpty {
      leftOut.append("\(folder): folders are not carried along: \(Self.listed(folders))")
    }
    if !weights.isEmpty {
      leftOut.append(
        "\(folder): weights in other formats are not carried along: \(Self.listed(weights))")
    }
  }

  /// The files that belong to a safetensors file which is opened by its own path.
  ///
  /// Those of its folder, if it is the only set of tensors there and has a configuration: it is the
  /// checkpoint then, by another name. Otherwise the configuration and the tokenizer alone.
  init(besideFile path: FilePath) throws {
    let folder = path.removingLastComponent()
    let place = folder.string.isEmpty ? FilePath(".") : folder
    let entries = (try? FolderListing.entries(of: place)) ?? []
    if FileKind(of: place.appending("config.json")) == .regular, FolderTensors(entries).isOnlySet,
      !Self.known.contains(where: { Self.leadsOut($0, of: place) })
    {
      self = try AuxiliaryFiles(ofFolder: place, entries: entries)
      return
    }
    for name in Self.descriptions where FileKind(of: folder.appending(name)) == .regular {
      let file = try MappedFile(folder.appending(name))
      files.append(
        AuxiliaryFile(name: name, region: MappedRegion(file: file, range: 0..<file.byteCount)))
    }
    let others = entries.filter { name in
      !name.hasPrefix(".") && !Self.isWeights(name) && !Self.descriptions.contains(name)
        && name != path.lastComponent?.string
    }
    if !files.isEmpty, !others.isEmpty {
      leftOut.append(
        "\(path): with one file of several, only configuration and tokenizer are carried along, not"
          + " \(Self.listed(others)); give the folder for all")
    }
  }

  private static func leadsOut(_ name: String, of folder: FilePath) -> Bool {
    if case .outside = FolderBoundary(of: name, in: folder) { true } else { false }
  }

  private mutating func add(_ name: String, of folder: FilePath) throws {
    // Files travel under their names inside a packed file, whose header is UTF-8.
    guard !ByteText.hasStandIns(name) else {
      leftOut.append("\(folder): the name of \"\(name)\" is not UTF-8; it is left out")
      return
    }
    let path = folder.appending(name)
    let isKnown = Self.known.contains(name)
    switch FolderBoundary(of: name, in: folder) {
    case .outside(let target):
      guard !isKnown else { throw CheckpointError.linkOutside(path, target: target) }
      leftOut.append("\(path): is a link to \(target), outside the folder, and is left out")
      return
    case .missing where FileKind.isDanglingLink(path):
      guard !isKnown else { throw FileError.danglingLink(path) }
      leftOut.append("\(path): is a link to a file that is not there, and is left out")
      return
    case .inside, .missing: break
    }
    guard isKnown || FileKind(of: path) == .regular else {
      leftOut.append(
        "\(path): is \(FileKind(of: path)?.description ?? "gone"), and is left out")
      return
    }
    let file = try MappedFile(path)
    guard isKnown || file.byteCount <= Checkpoint.maximumFileByteCount else {
      leftOut.append("\(path): \(file.byteCount) bytes, too large to be carried along")
      return
    }
    files.append(
      AuxiliaryFile(name: name, region: MappedRegion(file: file, range: 0..<file.byteCount)))
  }

  private static func listed(_ names: [String]) -> String {
    names.prefix(maximumListed).joined(separator: ", ")
      + (names.count > maximumListed ? " and \(names.count - maximumListed) more" : "")
  }
}
