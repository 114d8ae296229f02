// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Evaluation
import Glibc
import KimiLinear
import SystemPackage
import TensorCore
import Tokenization

/// Why a text cannot be used.
enum TextError: KilnError, Equatable {
  /// Too few tokens to score any.
  case tooShort(String, tokens: Int, needed: Int)
  /// A list of ids holds something else.
  case notAnID(String, found: String)
  /// A model cannot say how likely a token is.
  case notFinite(model: String, ScoredToken, cause: NonFiniteCause)
  /// The same while a text is generated, after the token at a position.
  case notFiniteLogits(model: String, position: Int, cause: NonFiniteCause)

  var category: ErrorCategory { .badData }

  var description: String {
    switch self {
    case .tooShort(let file, let tokens, let needed):
      "\(file): \(tokens) token\(tokens == 1 ? "" : "s"), expected at least \(needed)"
    case .notAnID(let file, let found):
      "\(file): \"\(found)\" is not a token id"
    case .notFinite(let model, let token, let cause):
      "\(model): the probability of token \(token.position) in window \(token.window) is not a number:"
        + " \(cause)"
    case .notFiniteLogits(let model, let position, let cause):
      "\(model): logits after token \(position) are not numbers: \(cause)"
    }
  }
}

/// Why what a model computes is not a number.
enum NonFiniteCause: Equatable, CustomStringConvertible {
  /// Weights that it runs through.
  case weights(NonFiniteWeights)
  /// The weights are finite.
  case activations
  /// There are no weights to look at: the results were saved.
  case savedResults

  /// Looks at the weights of a model.
  ///
  /// - Parameters:
  ///   - source: The model; nil for results that were saved.
  ///   - tokens: The tokens that it was run on.
  ///   - workers: Threads.
  /// - Throws: What is wrong with a compressed block.
  init(of source: CheckedCheckpoint?, tokens: [Int], workers: Workers) throws {
    guard let source else {
      self = .savedResults
      return
    }
    self =
      try NonFiniteWeights(in: source, embedding: tokens, workers: workers).map { .weights($0) }
      ?? .activations
  }

  var description: String {
    switch self {
    case .weights(let weights): weights.description
    case .activations: "all weights are finite, and activations are too large for float32"
    case .savedResults: "its saved results are NaN or infinite"
    }
  }
}

/// The text that a command works on.
enum InputText {
  /// Largest text that is read, in bytes.
  private static let maximumByteCount = 1 << 31

  /// The name that stands for standard input.
  static let standardInput: FilePath = "-"

  /// Reads a regular file, or standard input for `-`.
  ///
  /// - Throws: `FileError`.
  static func read(_ path: FilePath) throws -> [UInt8] {
    if path == standardInput { return try readStandardInput() }
    let file = try MappedFile(path)
    guard file.byteCount <= maximumByteCount else {
      throw FileError.tooLarge(file.path, size: file.byteCount, limit: maximumByteCount)
    }
    let bytes = file.bytes.copy()
    try ForeignContent.check(bytes, file.path, as: .text)
    return bytes
  }

  private static func readStandardInput() throws -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe Glibc.read(STDIN_FILENO, $0.baseAddress, $0.count)
      }
      guard count >= 0 else {
        if errno == EINTR { continue }
        throw FileError.system("standard input", operation: "read", Errno(rawValue: errno))
      }
      if count == 0 { return bytes }
      bytes.append(contentsOf: buffer[..<count])
      guard bytes.count <= maximumByteCount else {
        throw FileError.tooLarge("standard input", size: bytes.count, limit: maximumByteCount)
      }
    }
  }
}

extension Checkpoint {
  /// The tokenizer of a checkpoint.
  ///
  /// - Parameter vocabularySize: Rows of the embedding, if known: larger ids are an error.
  /// - Returns: The tokenizer.
  /// - Throws: `CheckpointError.missingFile` or what the tokenizer's files do wrong.
  func tokenizer(vocabularySize: Int?) throws -> Tokenizer {
    try Tokenizer(
      model: contents(of: "tiktoken.model"), modelFile: displayName(of: "tiktoken.model"),
      configuration: contentsIfPresent(of: "tokenizer_config.json"),
      configurationFile: displayName(of: "tokenizer_config.json"), vocabularySize: vocabularySize)
  }
}

extension CheckedCheckpoint {
  /// The tokenizer, whose ids are known to have rows in the embedding.
  func tokenizer() throws -> Tokenizer {
    try checkpoint.tokenizer(vocabularySize: configuration.vocabularySize)
  }
}
