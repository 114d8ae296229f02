// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TensorCore

/// Finds the files of a checkpoint that are not tensors.
enum AuxiliaryFiles {
  /// The files that Kiln itself reads.
  private static let known = ["config.json", "tiktoken.model", "tokenizer_config.json"]
  /// Weights in other formats, which a conversion does not carry along.
  private static let weightSuffixes = [
    ".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".gguf",
    ".kiln", ".onnx", ".h5", ".msgpack",
  ]

  /// Everything at the top of a checkpoint folder that is a file but not weights.
  ///
  /// A link that leaves the folder is not followed: its file would be copied into outputs, and must not
  /// smuggle a private file of this machine along. A file that Kiln needs is then missing.
  static func ofFolder(
    _ folder: FilePath, entries: [String], warnings: inout [String]
  ) throws -> [AuxiliaryFile] {
    var files: [AuxiliaryFile] = []
    for name in entries
    where !name.hasPrefix(".") && !weightSuffixes.contains(where: name.hasSuffix) {
      // Files travel under their names inside a packed file, whose header is UTF-8.
      guard !ByteText.hasStandIns(name) else {
        warnings.append("\(folder): the name of \"\(name)\" is not UTF-8; it is left out")
        continue
      }
      let path = folder.appending(name)
      if case .outside(let target) = FolderBoundary(of: name, in: folder) {
        guard !known.contains(name) else {
          throw CheckpointError.linkOutside(path, target: target)
        }
        warnings.append("\(path): is a link to \(target), outside the folder, and is left out")
        continue
      }
      guard known.contains(name) || FileKind(of: path) == .regular else { continue }
      let file = try MappedFile(path)
      guard known.contains(name) || file.byteCount <= Checkpoint.maximumFileByteCount else {
        warnings.append("\(path): \(file.byteCount) bytes, too large to be carried along")
        continue
      }
      files.append(
        AuxiliaryFile(name: name, region: MappedRegion(file: file, range: 0..<file.byteCount)))
    }
    return files
  }

  /// Configuration and tokenizer in the folder of a safetensors file, as far as they are there.
  static func besideFile(_ path: FilePath) throws -> [AuxiliaryFile] {
    try known.compactMap { name in
      let path = path.removingLastComponent().appending(name)
      guard FileKind(of: path) == .regular else { return nil }
      let file = try MappedFile(path)
      return AuxiliaryFile(name: name, region: MappedRegion(file: file, range: 0..<file.byteCount))
    }
  }
}
