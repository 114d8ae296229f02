// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import JSON
import SystemPackage
package import TensorCore

/// Which matrix is the head of a model that has two for it.
package enum HeadChoice: String, CaseIterable, Sendable {
  /// The embedding, as `tie_word_embeddings` says.
  case tied
  /// `lm_head.weight`, which is there all the same.
  case stored
}

/// A checkpoint whose configuration is understood and whose tensors are all there.
///
/// That is enough to convert it. What speaks against running it is in `obstacles` and `hasAmbiguousHead`;
/// `checkRunnable` throws it.
package struct CheckedCheckpoint: Sendable {
  /// The open checkpoint.
  package let checkpoint: Checkpoint
  /// Its configuration.
  package let configuration: ModelConfiguration
  /// Its tensors under released names.
  package let tensors: ModelTensors
  /// Names of tensors that the configuration does not imply.
  package let unknownTensors: [ExactString]
  /// Keys of the configuration that Kiln does not know.
  package let unknownKeys: UnknownKeys
  /// Why the runtime will not run it, although it can be converted.
  package let obstacles: [ModelError]
  /// Whether there are two matrices of which one has to be chosen for the head, or was.
  package let hasTwoHeads: Bool
  private let head: HeadChoice?

  private static let headName: ExactString = "lm_head.weight"
  private static let embeddingName: ExactString = "model.embed_tokens.weight"

  /// Checks a checkpoint; no tensor is read.
  ///
  /// - Parameters:
  ///   - checkpoint: The checkpoint.
  ///   - head: Which matrix is the head; nil for what the configuration says.
  /// - Throws: What is missing or wrong in its configuration or its tensors.
  package init(_ checkpoint: Checkpoint, head: HeadChoice? = nil) throws {
    try checkpoint.checkIsModel()
    self.checkpoint = checkpoint
    self.head = head
    let model = checkpoint.path.string
    let tensors = try ModelTensors(checkpoint)
    guard !tensors.isAdapter else { throw CheckpointError.adapter(checkpoint.path) }
    let root = try checkpoint.configuration()
    let configuration = try ModelConfiguration(root)
    hasTwoHeads = configuration.tiesEmbeddings && tensors[Self.headName] != nil
    switch head {
    case .tied where !configuration.tiesEmbeddings && tensors[Self.headName] != nil:
      throw ModelError.headNotTied(model: model)
    case .some(let choice): self.configuration = configuration.with(choice)
    case nil: self.configuration = configuration
    }
    self.tensors = tensors
    let inventory = try TensorInventory(self.configuration).check(tensors, model: model)
    unknownTensors = inventory.unknown
    unknownKeys = try UnknownKeys(root)
    var obstacles = inventory.uncomputable
    if !unknownKeys.consequential.isEmpty {
      obstacles.insert(.unknownKeys(file: root.file, keys: unknownKeys.consequential), at: 0)
    }
    if let other = try Self.foreignArchitecture(root["architectures"]) {
      obstacles.insert(other, at: 0)
    }
    self.obstacles = obstacles
  }

  /// Why a model is not run whose class, as libraries name it, is another one: it may have the same tensors, and
  /// compute something else with them.
  private static func foreignArchitecture(_ field: JSONField) throws -> ModelError? {
    guard
      let other = try field.ifPresent?.array().first(where: { name in
        try name.string() != ModelConfiguration.knownArchitecture
      })
    else { return nil }
    return .unsupported(
      file: field.file, key: other.path, found: other.shortValue,
      supported: "\"\(ModelConfiguration.knownArchitecture)\"")
  }

  /// What a tensor does in the model.
  package func role(of name: ExactString) -> TensorRole {
    TensorRole(name: name, isLinearAttention: configuration.isLinearAttention(layer:))
  }

  /// Whether embeddings are tied although a head is there that has other values, and no one has been chosen.
  ///
  /// - Parameter workers: Threads.
  /// - Returns: Whether there is a choice to be made.
  /// - Throws: What is wrong with a compressed block.
  package func hasAmbiguousHead(workers: Workers) throws -> Bool {
    guard head == nil, configuration.tiesEmbeddings, let stored = tensors[Self.headName],
      let embedding = tensors[Self.embeddingName]
    else { return false }
    guard stored.shape.dimensions == embedding.shape.dimensions else { return true }
    let (left, right) = (try stored.load(workers: workers), try embedding.load(workers: workers))
    return !left.hasValues(of: right, workers: workers)
  }

  /// The head that is stored although it is the embedding, so that no more than one of them is the model's; nil
  /// where there is none, or where it is a matrix of its own.
  ///
  /// - Parameter workers: Threads.
  /// - Returns: Its name.
  /// - Throws: What is wrong with a compressed block.
  package func surplusHead(workers: Workers) throws -> ExactString? {
    guard configuration.tiesEmbeddings, tensors[Self.headName] != nil,
      try !hasAmbiguousHead(workers: workers)
    else { return nil }
    return Self.headName
  }

  /// Refuses what the runtime would compute wrongly, or not at all.
  ///
  /// - Parameter workers: Threads that unpack compressed tensors.
  /// - Throws: The first of `obstacles`, or `ModelError.ambiguousHead`.
  package func checkRunnable(workers: Workers) throws {
    if let first = obstacles.first { throw first }
    if try hasAmbiguousHead(workers: workers) {
      throw ModelError.ambiguousHead(model: checkpoint.path.string)
    }
  }
}

extension ModelTensors {
  /// Whether these are the low-rank updates of another model.
  fileprivate var isAdapter: Bool {
    self["model.embed_tokens.weight"] == nil
      && tensors.contains { tensor in
        [".lora_A.", ".lora_B.", ".lora_embedding_A", ".lora_magnitude_vector"]
          .contains(where: tensor.name.text.contains)
      }
  }
}
