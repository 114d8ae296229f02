// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KimiLinear
import Safetensors
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

  /// Refuses an output that is one of the inputs, whatever name it goes by, or a folder that holds
  /// one: replacing it would remove what is in it.
  ///
  /// - Parameters:
  ///   - output: Where the output goes.
  ///   - checkpoint: The checkpoint that is read.
  ///   - others: What else the command reads: a recipe, a text.
  /// - Throws: `FileError.outputIsInput`.
  static func checkOutput(
    _ output: FilePath, isNot checkpoint: Checkpoint, or others: [FilePath] = []
  ) throws {
    guard let identity = FileIdentity(of: output) else { return }
    let index = checkpoint.path.appending(SafetensorsIndex.fileName)
    let inputs = Set(
      checkpoint.dataFiles.map(\.identity) + checkpoint.files.map(\.region.file.identity)
        + ([checkpoint.path, index] + others).compactMap { FileIdentity(of: $0) })
    var touched = [identity]
    if FileKind(of: output) == .directory {
      touched += try FolderListing.entries(of: output).compactMap {
        FileIdentity(of: output.appending($0))
      }
    }
    guard inputs.isDisjoint(with: touched) else { throw FileError.outputIsInput(output) }
  }
}
