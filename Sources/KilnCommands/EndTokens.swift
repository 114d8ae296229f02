// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import KimiLinear
import Tokenization

/// The tokens after which a generated text ends.
///
/// As in transformers, `eos_token_id` of `generation_config.json` takes the place of that of `config.json`:
/// chat models often have their end of turn there alone. Where neither has one, it is
/// `eos_token` of `tokenizer_config.json`, by name.
struct EndTokens {
  /// Their ids; none if no file names one.
  private(set) var ids: Set<Int> = []
  /// The file that names them.
  private(set) var file: String?
  /// What is odd about them.
  private(set) var warnings: [String] = []

  /// Reads them from the files of a checkpoint.
  ///
  /// - Throws: A JSON error that names the key, for what is neither an id of the vocabulary nor a list of such.
  init(_ checked: CheckedCheckpoint, _ tokenizer: Tokenizer) throws {
    let vocabularySize = checked.configuration.vocabularySize
    for name in ["generation_config.json", "config.json"] {
      guard let root = try checked.checkpoint.document(name) else { continue }
      if let ids = try Self.ids(root["eos_token_id"], vocabularySize: vocabularySize) {
        (self.ids, file) = (ids, name)
        return
      }
    }
    let name = "tokenizer_config.json"
    guard let root = try checked.checkpoint.document(name) else { return }
    let field = root["eos_token"]
    // A name, or a token with its properties.
    guard let token = try (field["content"].ifPresent ?? field.ifPresent)?.string() else { return }
    if let id = tokenizer.id(ofSpecial: token), id < vocabularySize {
      (ids, file) = ([id], name)
    } else {
      warnings = ["\(root.file): \"eos_token\" names no token; generation ends at --max-tokens"]
    }
  }

  /// An id, or a list of ids; nil where there is nothing.
  private static func ids(_ field: JSONField, vocabularySize: Int) throws -> Set<Int>? {
    guard field.isPresent else { return nil }
    let range = 0...max(vocabularySize - 1, 0)
    guard case .array = field.value else { return [try field.integer(in: range)] }
    return Set(try field.array().map { try $0.integer(in: range) })
  }
}

extension Checkpoint {
  /// A JSON document of the checkpoint; nil if there is none of that name.
  fileprivate func document(_ name: String) throws -> JSONField? {
    guard let bytes = try contentsIfPresent(of: name) else { return nil }
    let file = displayName(of: name)
    return JSONField(file: file, root: try JSONValue(parsing: bytes, file: file))
  }
}
