// SPDX-License-Identifier: Apache-2.0

import JSON
import KilnFormat
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// A packed file with any tensors and bytes, whose checksums are right.
struct ScratchPackedFile {
  static let blockByteCount = KilnHeader.blockByteCount

  var files: [(name: String, bytes: [UInt8])] = []
  private var tensors: [(name: String, encoding: String, shape: [Int], bytes: [UInt8])] = []

  mutating func add(_ name: String, _ encoding: String, _ shape: [Int], _ bytes: [UInt8]) {
    tensors.append((name, encoding, shape, bytes))
  }

  /// Writes it as `x.kiln`, or under another name.
  func write(to folder: TemporaryFolder, as name: String = "x.kiln") throws -> FilePath {
    let entries = try tensors.map { tensor in
      KilnLayout.Tensor(
        name: ExactString(tensor.name),
        encoding: try #require(TensorEncoding(name: tensor.encoding)),
        shape: try #require(TensorShape(tensor.shape)), sourceDType: .bf16, continuesRun: false)
    }
    let layout = try #require(
      KilnLayout(
        producer: "test", source: KilnHeader.Source(format: "kiln", tensorCount: 0, byteCount: 0),
        recipe: .null,
        files: files.map { KilnLayout.File(name: $0.name, byteCount: $0.bytes.count) },
        tensors: entries, assemblies: []))
    let path = folder.path.appending(name)
    let writer = KilnWriter(layout, to: try OutputFile(path, replacing: true))
    for bytes in files.map(\.bytes) + tensors.map(\.bytes) {
      unsafe try writer.write(bytes.span.bytes)
    }
    try writer.commit()
    return path
  }
}
