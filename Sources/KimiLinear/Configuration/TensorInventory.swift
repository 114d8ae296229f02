// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import TensorCore

/// Every tensor that a configuration implies, with its shape, under released names.
///
/// Source: the tensor table of the released checkpoints. Tensors are visited one by one and no
/// list is built: a hostile configuration may imply billions, and the first that is missing ends it.
package struct TensorInventory: Sendable {
  private let configuration: ModelConfiguration

  /// One expected tensor.
  package struct Entry: Sendable {
    /// Its name.
    package let name: ExactString
    /// Its dimensions.
    package let shape: [Int]
    /// Whether this is `A_log`, which is stored as `[1, 1, H, 1]` or `[H]`, and padded with zeros
    /// in some checkpoints.
    package let isPaddedVector: Bool
  }

  /// The tensors of a model.
  package init(_ configuration: ModelConfiguration) {
    self.configuration = configuration
  }

  /// Calls `visit` for each tensor, layer by layer.
  package func forEach(_ visit: (Entry) throws -> Void) rethrows {
    try withoutActuallyEscaping(visit) { visit in
      let walk = InventoryWalk(configuration: configuration, visit: visit)
      try walk.model()
    }
  }

  /// What a checkpoint has besides what is expected, or in another form.
  package struct Findings: Sendable {
    /// Names of tensors that the configuration does not imply.
    package fileprivate(set) var unknown: [ExactString] = []
    /// Tensors in floating-point types that are not computed with, as `ModelError.tensorType`; the first few.
    package fileprivate(set) var uncomputable: [ModelError] = []
  }

  /// Tensors of a type that is not computed with, which are listed.
  private static let maximumUncomputable = 8

  /// Checks that all tensors are there, with their shapes, as floating-point numbers.
  ///
  /// - Parameters:
  ///   - tensors: What the checkpoint has.
  ///   - model: Its name in errors.
  /// - Returns: What is no reason to refuse it.
  /// - Throws: `ModelError` that names the first tensor that is wrong.
  package func check(_ tensors: ModelTensors, model: String) throws -> Findings {
    var findings = Findings()
    var expectedCount = 0
    try forEach { entry in
      guard let stored = tensors[entry.name] else {
        throw ModelError.missingTensor(
          model: model, name: entry.name.text, shape: "\(entry.shape)")
      }
      expectedCount += 1
      let shape = stored.shape
      guard
        try shape.dimensions == entry.shape
          || entry.isPaddedVector && stored.isPadded(entry.shape[0])
      else {
        throw ModelError.tensorShape(
          model: model, name: entry.name.text, found: shape.description, expected: "\(entry.shape)")
      }
      if case .plain(let dtype) = stored.encoding, !dtype.isComputable {
        let error = ModelError.tensorType(
          model: model, name: entry.name.text, found: dtype.rawValue)
        // Weights of a wider or narrower type are weights; integers are something else.
        guard dtype.isFloatingPoint else { throw error }
        if findings.uncomputable.count < Self.maximumUncomputable {
          findings.uncomputable.append(error)
        }
      }
    }
    // What is expected is there, each under a name of its own; so equal numbers leave nothing over.
    guard tensors.tensors.count > expectedCount else { return findings }
    var expected = Set<ExactString>(minimumCapacity: expectedCount)
    forEach { expected.insert($0.name) }
    findings.unknown = tensors.tensors.map(\.name).filter { !expected.contains($0) }
    for name in findings.unknown {
      // A part of the architecture that the configuration does not ask for means that one of the two
      // is wrong. A head beside tied embeddings is customary.
      let role = TensorRole(name: name, isLinearAttention: configuration.isLinearAttention)
      guard role == .other || role == .head else {
        throw ModelError.extraTensor(
          model: model, name: name.text,
          problem: "is a \(role.rawValue) beyond those that config.json implies")
      }
    }
    return findings
  }
}

extension StoredTensor {
  /// Whether this is a vector of `count` elements behind which there is nothing but zeros.
  fileprivate func isPadded(_ count: Int) throws -> Bool {
    guard case .plain(let dtype) = encoding, shape.elementCount >= count,
      shape.dimensions.count(where: { $0 != 1 }) <= 1,
      let used = dtype.byteCount(elementCount: count)
    else { return false }
    let region = try load(workers: Workers(count: 1)).region
    return region.bytes.isZero(used..<region.byteCount)
  }
}

/// One walk over the expected tensors.
private struct InventoryWalk {
  let configuration: ModelConfiguration
  let visit: (TensorInventory.Entry) throws -> Void

  func model() throws {
    try add("model.embed_tokens.weight", configuration.vocabularySize, configuration.hiddenSize)
    for (index, layer) in configuration.layers.enumerated() {
      try addLayer(layer, prefix: "model.layers.\(index)")
    }
    try add("model.norm.weight", configuration.hiddenSize)
    if !configuration.tiesEmbeddings {
      try add("lm_head.weight", configuration.vocabularySize, configuration.hiddenSize)
    }
  }

  private func add(_ name: String, _ shape: Int..., isPaddedVector: Bool = false) throws {
    try visit(
      TensorInventory.Entry(
        name: ExactString(name), shape: shape, isPaddedVector: isPaddedVector))
  }

  private func addLayer(_ layer: ModelConfiguration.Layer, prefix: String) throws {
    let hidden = configuration.hiddenSize
    try add("\(prefix).input_layernorm.weight", hidden)
    try add("\(prefix).post_attention_layernorm.weight", hidden)
    if layer.isLinearAttention, let attention = configuration.linearAttention {
      try addLinearAttention(attention, prefix: "\(prefix).self_attn", hidden: hidden)
    } else if let attention = configuration.latentAttention {
      try addLatentAttention(attention, prefix: "\(prefix).self_attn", hidden: hidden)
    }
    if layer.hasExperts, let experts = configuration.experts {
      try addExperts(experts, prefix: "\(prefix).block_sparse_moe", hidden: hidden)
    } else {
      try addFeedForward(
        prefix: "\(prefix).mlp", hidden: hidden, width: configuration.intermediateSize)
    }
  }

  private func addLinearAttention(
    _ attention: ModelConfiguration.LinearAttention, prefix: String, hidden: Int
  ) throws {
    let width = attention.width
    for part in ["q", "k", "v"] {
      try add("\(prefix).\(part)_proj.weight", width, hidden)
      try add("\(prefix).\(part)_conv1d.weight", width, 1, attention.kernelSize)
    }
    for gate in ["f", "g"] {
      try add("\(prefix).\(gate)_a_proj.weight", attention.headDimension, hidden)
      try add("\(prefix).\(gate)_b_proj.weight", width, attention.headDimension)
    }
    try add("\(prefix).b_proj.weight", attention.heads, hidden)
    try add("\(prefix).A_log", attention.heads, isPaddedVector: true)
    try add("\(prefix).dt_bias", width)
    try add("\(prefix).o_norm.weight", attention.headDimension)
    try add("\(prefix).o_proj.weight", hidden, width)
  }

  private func addLatentAttention(
    _ attention: ModelConfiguration.LatentAttention, prefix: String, hidden: Int
  ) throws {
    let queries = attention.heads * attention.keyDimension
    if let rank = attention.queryRank {
      try add("\(prefix).q_a_proj.weight", rank, hidden)
      try add("\(prefix).q_a_layernorm.weight", rank)
      try add("\(prefix).q_b_proj.weight", queries, rank)
    } else {
      try add("\(prefix).q_proj.weight", queries, hidden)
    }
    try add("\(prefix).kv_a_proj_with_mqa.weight", attention.cacheWidth, hidden)
    try add("\(prefix).kv_a_layernorm.weight", attention.latentRank)
    try add(
      "\(prefix).kv_b_proj.weight",
      attention.heads * (attention.nopeDimension + attention.valueDimension), attention.latentRank)
    try add("\(prefix).o_proj.weight", hidden, attention.heads * attention.valueDimension)
  }

  private func addExperts(
    _ experts: ModelConfiguration.Experts, prefix: String, hidden: Int
  ) throws {
    try add("\(prefix).gate.weight", experts.count, hidden)
    try add("\(prefix).gate.e_score_correction_bias", experts.count)
    for expert in 0..<experts.count {
      try add("\(prefix).experts.\(expert).w1.weight", experts.width, hidden)
      try add("\(prefix).experts.\(expert).w3.weight", experts.width, hidden)
      try add("\(prefix).experts.\(expert).w2.weight", hidden, experts.width)
    }
    if experts.shared > 0 {
      try addFeedForward(
        prefix: "\(prefix).shared_experts", hidden: hidden, width: experts.width * experts.shared)
    }
  }

  private func addFeedForward(prefix: String, hidden: Int, width: Int) throws {
    try add("\(prefix).gate_proj.weight", width, hidden)
    try add("\(prefix).up_proj.weight", width, hidden)
    try add("\(prefix).down_proj.weight", hidden, width)
  }
}
