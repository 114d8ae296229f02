// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import JSON
import KilnFormat
import SystemPackage
import TensorCore

/// What `base.json` says: which positions of which text the hidden states are for.
package struct BaseDescription: Equatable {
  static let version = 1
  static let fileName = Checkpoint.savedBaseFileName
  static let hiddenStates: ExactString = "hidden_states"
  static let head: ExactString = "lm_head.weight"
  /// Largest `base.json` that is parsed, in bytes.
  static let maximumByteCount = 1 << 16

  /// Tokens of the text.
  package let tokenCount: Int
  /// XXH3 of their ids.
  package let tokensChecksum: UInt64
  /// Tokens of a window.
  package let context: Int
  /// Tokens between the starts of two windows.
  package let stride: Int
  /// Which positions of a window are scored.
  package let scoring: TokenWindows.Scoring

  /// Describes a run.
  ///
  /// - Parameters:
  ///   - tokens: The text.
  ///   - windows: How it is cut.
  init(tokens: [Int], windows: TokenWindows) {
    tokenCount = tokens.count
    tokensChecksum = Checksum.of([UInt8](littleEndian: tokens.map { UInt32(clamping: $0) }))
    context = windows.context
    stride = windows.stride
    scoring = windows.scoring
  }

  /// Reads the `base.json` of a saved base.
  ///
  /// - Throws: `CheckpointError.missingFile`, `BaseError` or a JSON error.
  package init(in checkpoint: Checkpoint) throws {
    guard let file = checkpoint.files.first(where: { $0.name == Self.fileName }) else {
      throw CheckpointError.missingFile(checkpoint.path, name: Self.fileName)
    }
    guard file.region.byteCount <= Self.maximumByteCount else {
      throw BaseError.malformed(
        checkpoint.path,
        problem: "\(Self.fileName) has \(file.region.byteCount) bytes, expected at most"
          + " \(Self.maximumByteCount)")
    }
    try self.init(parsing: file.region.bytes.copy(), path: checkpoint.path)
  }

  /// Reads `base.json`.
  ///
  /// - Throws: `BaseError` or a JSON error.
  init(parsing text: [UInt8], path: FilePath) throws {
    let file = "\(path): \(Self.fileName)"
    let root = JSONField(file: file, root: try JSONValue(parsing: text, file: file))
    let version = try root["kiln_base"].integer(in: 1...Int.max)
    guard version == Self.version else {
      throw BaseError.version(path, found: version, supported: Self.version)
    }
    tokenCount = try root["tokens"].integer(in: 0...Int.max)
    guard let checksum = Checksum.parse(try root["tokens_checksum"].string()) else {
      throw root["tokens_checksum"].unexpected("16 hexadecimal digits")
    }
    tokensChecksum = checksum
    context = try root["context"].integer(in: 2...Int.max)
    stride = try root["stride"].integer(in: 1...context)
    guard let scoring = TokenWindows.Scoring(rawValue: try root["score"].string()) else {
      throw root["score"].unexpected("\"all\" or \"second-half\"")
    }
    self.scoring = scoring
  }

  /// `base.json`, keys in the order of the format page.
  var json: [UInt8] {
    JSONWriter.pretty([
      "kiln_base": .integer(Self.version),
      "tokens": .integer(tokenCount),
      "tokens_checksum": .string(Checksum.text(tokensChecksum)),
      "context": .integer(context),
      "stride": .integer(stride),
      "score": .string(scoring.rawValue),
    ])
  }

  /// Refuses a base that was saved for anything else than this run.
  ///
  /// - Throws: `BaseError.setting` or `.otherText`.
  func check(against run: BaseDescription, path: FilePath) throws(BaseError) {
    let settings: [(name: String, found: String, expected: String)] = [
      ("--context", "\(context)", "\(run.context)"),
      ("--stride", "\(stride)", "\(run.stride)"),
      ("--score", scoring.rawValue, run.scoring.rawValue),
      ("a number of tokens of", "\(tokenCount)", "\(run.tokenCount)"),
    ]
    for (name, found, expected) in settings where found != expected {
      throw .setting(path, name: name, found: found, expected: expected)
    }
    guard tokensChecksum == run.tokensChecksum else { throw .otherText(path) }
  }
}
