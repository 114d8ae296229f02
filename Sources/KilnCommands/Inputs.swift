// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KimiLinear
import SystemPackage
import TensorCore

/// What commands that write check before they start.
enum Inputs {
  /// Program and version, as packed files name them.
  static let producer = "kiln \(Kiln.version)"

  /// Refuses a checkpoint whose tokenizer is broken: it would be found out much later.
  ///
  /// A checkpoint without one can be converted all the same, with a warning.
  static func checkTokenizer(_ checked: CheckedCheckpoint, _ common: CommonOptions) throws {
    guard checked.checkpoint.hasFile("tiktoken.model") else {
      common.warn([
        "\(checked.checkpoint.path): has no tiktoken.model; perplexity and tokenize will not work"
      ])
      return
    }
    _ = try checked.tokenizer()
  }

  /// Refuses an output that is one of the inputs, whatever name it goes by.
  static func checkOutput(_ output: FilePath, isNot checkpoint: Checkpoint) throws {
    guard let identity = FileIdentity(of: output) else { return }
    let inputs = checkpoint.dataFiles.map(\.identity) + checkpoint.files.map(\.region.file.identity)
    guard !inputs.contains(identity), identity != FileIdentity(of: checkpoint.path) else {
      throw FileError.outputIsInput(output)
    }
  }
}
