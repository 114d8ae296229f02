// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KimiLinear
import Safetensors
import SystemPackage
import TensorCore
import Tokenization

/// What commands that write check before they start.
enum Inputs {
  /// Program and version, as packed files name them.
  static let producer = "kiln \(Kiln.version)"

  /// Opens the checkpoint that an output will be made from, and checks whatever can be checked before
  /// the work.
  ///
  /// - Parameters:
  ///   - source: The checkpoint.
  ///   - output: Where the output goes.
  ///   - others: What else the command reads.
  ///   - willRun: Whether the model will be run: then what speaks against that is an error, else a warning.
  ///   - carriesFiles: Whether the files of the checkpoint will be in the output.
  ///   - head: Which matrix is the head; nil for what the configuration says.
  ///   - common: Where warnings go.
  /// - Returns: The checkpoint.
  /// - Throws: What is wrong with the checkpoint, its tokenizer, or the place of the output.
  static func open(
    _ source: FilePath, for output: FilePath, reading others: [FilePath] = [],
    willRun: Bool = false, carriesFiles: Bool = true, head: HeadOptions? = nil,
    _ common: CommonOptions
  ) throws -> CheckedCheckpoint {
    let checkpoint = try Checkpoint(source, workers: common.workers)
    let checked = try CheckedCheckpoint(checkpoint, head: head?.head)
    common.warn(
      checkpoint.warnings + checked.unknownWarnings + (head?.warnings(for: [checked]) ?? []))
    if carriesFiles { common.warn(checkpoint.leftOut + checkpoint.foreignFileWarnings) }
    if willRun {
      try checked.checkRunnable(workers: common.workers)
    } else {
      common.warn(try checked.obstacleWarnings(workers: common.workers))
    }
    try checkTokenizer(checked, common)
    try checkOutput(output, isNot: checkpoint, or: others)
    return checked
  }

  /// Refuses a checkpoint whose tokenizer is broken: it would be found out much later.
  ///
  /// A checkpoint without one, or with one that has more ids than the model has rows, can be converted all the
  /// same, with a warning.
  private static func checkTokenizer(_ checked: CheckedCheckpoint, _ common: CommonOptions) throws {
    guard checked.checkpoint.hasFile("tiktoken.model") else {
      common.warn([
        "\(checked.checkpoint.path): has no tiktoken.model; perplexity and tokenize will not work"
      ])
      return
    }
    do {
      _ = try checked.tokenizer()
    } catch let error as TokenizerError where error.isMismatchWithModel {
      common.warn(["\(error); perplexity and generate will not work"])
    }
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
    let index = checkpoint.path.appending(SafetensorsIndex.fileName)
    let inputs = Set(
      checkpoint.dataFiles.map(\.identity) + checkpoint.files.compactMap(\.region.file?.identity)
        + ([checkpoint.path, index] + others).compactMap { FileIdentity(of: $0) })
    // The hidden names are cleared before the work, the final one after it.
    for path in [output] + OutputFile.hiddenPaths(for: output) {
      guard let identity = FileIdentity(of: path) else { continue }
      var touched = [identity]
      if FileKind(of: path) == .directory {
        touched += try FolderListing.entries(of: path).compactMap {
          FileIdentity(of: path.appending(argument: $0))
        }
      }
      guard inputs.isDisjoint(with: touched) else { throw FileError.outputIsInput(output) }
    }
  }
}
