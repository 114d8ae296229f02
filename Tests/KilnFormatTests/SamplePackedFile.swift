// SPDX-License-Identifier: Apache-2.0

import JSON
import KilnFormat
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// The packed file that `Formats/Vectors/README.md` walks through, as the writer is asked for it.
struct SamplePackedFile {
  static let goldenPath = FilePath(#filePath)
    .removingLastComponent().removingLastComponent().removingLastComponent()
    .appending("Formats/Vectors/tiny-v1.kiln")

  /// The folder of the golden files.
  static let folder = goldenPath.removingLastComponent()

  /// The bytes of the golden file.
  static func golden() throws -> [UInt8] {
    let file = try MappedFile(goldenPath)
    return file.bytes.copy()
  }

  static let attention = "model.layers.0.self_attn"
  static let expert = "model.layers.1.block_sparse_moe.experts.0"

  /// Content of the entries: files first, then tensors.
  static let entries: [[UInt8]] = [
    Array("{\"model_type\":\"kimi_linear\"}\n".utf8),
    [],
    [0x80, 0x3F, 0x00, 0xC0, 0x00, 0x3F, 0xC1, 0x7F, 0x80, 0x7F, 0x00, 0x80],
    [0, 0, 0, 0x3F, 0, 0, 0xC0, 0xBF],
    [5, 0, 6, 0, 7, 0, 8, 0],
    [1, 0, 2, 0, 3, 0, 4, 0],
    [9, 0, 10, 0, 11, 0, 12, 0],
    [0x10, 0x87, 0xA9, 0xFE] + [UInt8](repeating: 0x88, count: 12) + [0x00, 0x3F],
    [0x00, 0x7F, 0x80, 0x81, 0xFF, 0x80, 0xBE],
    [],
  ]

  static func layout() throws -> KilnLayout {
    let bf16 = TensorEncoding.plain(.bf16)
    let tensors: [KilnLayout.Tensor] = try [
      ("model.embed_tokens.weight", bf16, [2, 3], .bf16),
      ("\(attention).A_log", .plain(.f32), [1, 1, 2, 1], .f32),
      ("\(attention).k_conv1d.weight", bf16, [2, 1, 2], .bf16),
      ("\(attention).q_conv1d.weight", bf16, [2, 1, 2], .bf16),
      ("\(attention).v_conv1d.weight", bf16, [2, 1, 2], .bf16),
      ("\(expert).w1.weight", .quantized(bits: 4, group: .size(32)), [1, 32], .bf16),
      ("\(expert).w3.weight", .quantized(bits: 8, group: .row), [1, 5], .bf16),
      ("zz.empty", .plain(.i64), [0, 7], .i64),
    ].map { (name: String, encoding: TensorEncoding, shape: [Int], dtype: DType) in
      KilnLayout.Tensor(
        name: ExactString(name), encoding: encoding, shape: try #require(TensorShape(shape)),
        sourceDType: dtype, continuesRun: name == "\(expert).w3.weight")
    }
    let fusedShape = try #require(TensorShape([6, 1, 2]))
    return try #require(
      KilnLayout(
        producer: "kiln test vector",
        source: KilnHeader.Source(format: "safetensors", tensorCount: 6, byteCount: 118),
        recipe: ["kiln_recipe": 1, "rules": [], "default": "source", "method": "search"],
        files: [
          KilnLayout.File(name: "config.json", byteCount: 29),
          KilnLayout.File(name: "notes.txt", byteCount: 0),
        ],
        tensors: tensors,
        assemblies: [
          KilnHeader.Assembly(
            name: "\(attention).conv1d.weight", dtype: .bf16,
            shape: fusedShape,
            parts: ["q", "k", "v"].map { "\(attention).\($0)_conv1d.weight" })
        ]))
  }

  /// Writes the sample in pieces of so many bytes.
  static func write(to path: FilePath, pieceByteCount: Int) throws {
    let layout = try layout()
    let writer = KilnWriter(layout, to: try OutputFile(path, replacing: false))
    for entry in entries {
      for start in stride(from: 0, to: entry.count, by: pieceByteCount) {
        let piece = Array(entry[start..<min(start + pieceByteCount, entry.count)])
        unsafe try writer.write(piece.span.bytes)
      }
    }
    try writer.commit()
  }
}

/// Packed files made by hand around any header, with checksums that match.
typealias RawKiln = RawPackedFile

extension RawKiln {
  /// The JSON text of the golden file's header, without its padding.
  static func goldenHeader() throws -> String {
    String(decoding: try SamplePackedFile.golden()[64..<64 + 1852], as: UTF8.self)
  }

  /// The golden file's data.
  static func goldenData() throws -> [UInt8] { Array(try SamplePackedFile.golden()[4096...]) }
}
