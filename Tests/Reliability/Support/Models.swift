// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TensorCore
import TestSupport

/// The checkpoints that experiments start from: small ones, so that thousands of runs take minutes.
struct Models: Sendable {
  /// A complete checkpoint of three layers with a tokenizer, some 300 KB.
  static let tiny = TinyCheckpoint("tiny") { $0.vocabularySize = 520 }
  /// A text for it.
  static let text = String(
    repeating: "The kiln burns hot; der Ofen brennt. 12345 \u{2014} 陶\n", count: 4)

  /// The small checkpoint as a folder.
  let folder: FilePath
  /// The same in three shards.
  let shards: FilePath
  /// The same with the names of transformers.
  let fused: FilePath
  /// The folder as a packed file.
  let packed: FilePath
  /// The folder in 4 bits.
  let quantized: FilePath
  /// The folder as a packed file with compressed tensors.
  let compressed: FilePath
  /// The fused folder as a packed file: with assemblies.
  let assembled: FilePath
  /// The text in a file.
  let textFile: FilePath

  init(kiln: String, folder scratch: TemporaryFolder) throws {
    folder = try Self.write(Self.tiny, to: scratch, as: "models/tiny")
    var other = Self.tiny
    other.shardCount = 3
    shards = try Self.write(other, to: scratch, as: "models/shards")
    fused = try Self.write(Self.tiny.inDialect(.transformers), to: scratch, as: "models/fused")
    textFile = try scratch.write(Self.text, as: "models/text.txt")
    let models = scratch.path.appending("models")
    packed = models.appending("packed.kiln")
    quantized = models.appending("quantized.kiln")
    compressed = models.appending("compressed.kiln")
    assembled = models.appending("assembled.kiln")
    for arguments in [
      ["convert", folder.string, packed.string],
      ["quantize", folder.string, quantized.string, "--scheme", "int4-g32"],
      ["convert", folder.string, compressed.string, "--compress", "zstd"],
      ["convert", fused.string, assembled.string],
    ] {
      let outcome = try ToolProcess(kiln, arguments).wait()
      guard outcome.status == 0 else {
        throw ExperimentError("kiln \(arguments.joined(separator: " ")): \(outcome.errors)")
      }
    }
  }

  /// The files of a checkpoint, with a tokenizer that knows every byte.
  static func files(_ checkpoint: TinyCheckpoint = tiny) -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for file in checkpoint.files() { files[file.name] = file.bytes }
    files["tiktoken.model"] = Array((vocabulary.joined(separator: "\n") + "\n").utf8)
    files["tokenizer_config.json"] = Array(tokenizerConfiguration.utf8)
    return files
  }

  /// Lines of `tiktoken.model`: all bytes and a few longer tokens, 260 in all.
  static let vocabulary: [String] = {
    let tokens = (0...255).map { [UInt8($0)] } + ["ki", "ln", "kiln", "en"].map { Array($0.utf8) }
    return tokens.enumerated().map { "\(Data($0.element).base64EncodedString()) \($0.offset)" }
  }()

  /// `tokenizer_config.json`: the first of the 256 special tokens has a name.
  static let tokenizerConfiguration = """
    {"added_tokens_decoder": {"260": {"content": "[BOS]", "special": true}}, "bos_token": "[BOS]"}
    """

  /// Writes a checkpoint with its tokenizer.
  @discardableResult
  static func write(
    _ checkpoint: TinyCheckpoint, to scratch: TemporaryFolder, as name: String
  ) throws -> FilePath {
    for (file, bytes) in files(checkpoint) { try scratch.write(bytes, as: "\(name)/\(file)") }
    return scratch.path.appending(name)
  }
}
