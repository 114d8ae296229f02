// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import Evaluation
import Inspection
import JSON
import KimiLinear
import SystemPackage
import TensorCore

/// What `inspect` found under a path: as much of it as can be understood.
///
/// What is foreign or has no configuration is shown by its tensors. What is malformed or incomplete is shown as
/// well, and the command fails with what is wrong.
struct InspectedCheckpoint {
  /// What kind of thing it is.
  enum Content {
    /// A model of the family.
    case model(CheckedCheckpoint)
    case savedBase(BaseDescription)
    case savedCalibration(CalibrationDescription)
    /// Tensors without an architecture that Kiln knows.
    case tensors
  }

  let checkpoint: Checkpoint
  let content: Content
  /// `config.json`, if there is one that can be parsed.
  let configuration: JSONValue?
  /// Why there is no architecture although that is no fault, one line each.
  let notes: [String]
  /// What is wrong with it.
  let problem: (any KilnError)?

  /// Opens what is there.
  ///
  /// - Throws: What `PartialCheckpoint` says if nothing can be shown.
  init(_ path: FilePath, workers: Workers) throws {
    let partial = try PartialCheckpoint(path, workers: workers)
    checkpoint = partial.checkpoint
    configuration = try? checkpoint.configuration().value
    do {
      content = try Self.content(of: checkpoint)
      (notes, problem) = ([], partial.problem)
    } catch let error as any KilnError {
      guard error.category != .inputOutput else { throw error }
      content = .tensors
      if let problem = partial.problem {
        (notes, self.problem) = ([], problem)
      } else if Self.isFault(error, of: checkpoint, configuration) {
        (notes, problem) = ([], error)
      } else {
        // That a lone file of tensors has no configuration is not worth a warning.
        let isBare = checkpoint.kind == .safetensors && !checkpoint.hasFile("config.json")
        notes = isBare ? [] : ["\(error.description); shown by tensors alone"]
        problem = nil
      }
    }
  }

  /// Whether an error is a fault of the checkpoint, rather than that it is foreign or one part of several.
  private static func isFault(
    _ error: any KilnError, of checkpoint: Checkpoint, _ configuration: JSONValue?
  ) -> Bool {
    if isForeign(configuration) { return false }
    if let shards = ShardCount(checkpoint), shards.present < shards.total { return false }
    // Without a configuration there is nothing that tensors could contradict.
    guard checkpoint.hasFile("config.json") || checkpoint.isWithoutModel else { return false }
    // A lone file of tensors need not be all of what the configuration next to it describes.
    return !(checkpoint.kind == .safetensors && error is ModelError)
  }

  private static func content(of checkpoint: Checkpoint) throws -> Content {
    if checkpoint.isSavedBase { return .savedBase(try BaseDescription(in: checkpoint)) }
    if checkpoint.isSavedCalibration {
      return .savedCalibration(try CalibrationDescription(in: checkpoint))
    }
    return .model(try CheckedCheckpoint(checkpoint))
  }

  /// Whether a configuration is that of another family, or of weights that another tool has quantized.
  private static func isForeign(_ configuration: JSONValue?) -> Bool {
    guard let configuration else { return false }
    if QuantizationNote(configuration) != nil { return true }
    guard case .string(let type)? = configuration["model_type"] else { return false }
    return type != "kimi_linear"
  }

  // MARK: - Tensors

  /// The tensors with their roles, in the order of the checkpoint; of a model under released names.
  var tensors: [(stored: StoredTensor, role: TensorRole?)] {
    if case .model(let checked) = content {
      return checked.tensors.tensors.map { ($0, checked.role(of: $0.name)) }
    }
    let roles = InferredRoles(checkpoint.storedTensors.map(\.name))
    let isOfFamily =
      configuration?["model_type"].map { $0 == "kimi_linear" } ?? roles.hasLinearLayer
    return checkpoint.storedTensors.map { stored in
      let role = roles.role(of: stored.name)
      return (stored, isOfFamily && role != .other ? role : nil)
    }
  }
}
