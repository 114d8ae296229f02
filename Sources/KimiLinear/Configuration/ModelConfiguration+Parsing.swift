// SPDX-License-Identifier: Apache-2.0

package import JSON

extension ModelConfiguration {
  /// Largest dimension that is accepted: far beyond any model, small enough that a product of two
  /// cannot overflow.
  private static let dimensions = 1...(1 << 24)
  /// Most layers that are accepted.
  private static let layerCounts = 1...(1 << 16)

  /// Reads `config.json` in either dialect.
  ///
  /// - Parameter root: The document.
  /// - Throws: A JSON error that names a key, or `ModelError` for what contradicts itself or is not
  ///   implemented.
  package init(_ root: JSONField) throws {
    try Self.checkSupported(root)
    let layers = try Self.layers(root)
    let hasLinear = layers.contains { $0.isLinearAttention }
    let hasLatent = layers.contains { !$0.isLinearAttention }
    let hasExperts = layers.contains { $0.hasExperts }
    let hasDense = layers.contains { !$0.hasExperts }
    let epsilon = try root["rms_norm_eps"].number()
    // Not 0 in float32 either: a row of zeros would be divided by it.
    guard Float(epsilon) > 0, epsilon < 1 else {
      throw root["rms_norm_eps"].unexpected("a number between 0 and 1")
    }
    let linear = hasLinear ? try Self.linearAttention(root) : nil
    let latent = hasLatent ? try Self.latentAttention(root) : nil
    let widths = [
      linear?.width, latent.map { $0.heads * max($0.keyDimension, $0.expandedDimension) },
    ]
    for case let width? in widths where !Self.dimensions.contains(width) {
      throw ModelError.configuration(
        file: root.file, key: "head_dim",
        problem: "all heads together are \(width) wide, expected at most"
          + " \(Self.dimensions.upperBound)")
    }
    self.init(
      vocabularySize: try root["vocab_size"].integer(in: Self.dimensions),
      hiddenSize: try root["hidden_size"].integer(in: Self.dimensions),
      layers: layers,
      intermediateSize: hasDense ? try root["intermediate_size"].integer(in: Self.dimensions) : 0,
      normEpsilon: Float(epsilon),
      tiesEmbeddings: try root["tie_word_embeddings"].ifPresent?.bool() ?? false,
      linearAttention: linear,
      latentAttention: latent,
      experts: hasExperts ? try Self.experts(root) : nil,
      maximumContext: try ["model_max_length", "max_position_embeddings"].compactMap {
        try root[$0].ifPresent?.integer(in: 1...Int.max)
      }.min(),
      architecture: try root["architectures"].ifPresent?.array().first?.string()
        ?? Self.knownArchitecture)
  }

  /// Refuses what the runtime does not implement, rather than computing something else.
  private static func checkSupported(_ root: JSONField) throws {
    func require(_ field: JSONField, _ isSupported: Bool, _ supported: String) throws {
      guard isSupported else {
        throw ModelError.unsupported(
          file: field.file, key: field.path, found: field.shortValue, supported: supported)
      }
    }
    func optionalString(_ key: String) throws -> String? {
      try root[key].ifPresent?.string()
    }
    if let type = try optionalString("model_type") {
      try require(root["model_type"], type == "kimi_linear", "\"kimi_linear\"")
    }
    let activation = try root["hidden_act"].ifPresent?.string() ?? "silu"
    try require(root["hidden_act"], ["silu", "swish"].contains(activation), "\"silu\"")
    if let router = try optionalString("moe_router_activation_func") {
      try require(root["moe_router_activation_func"], router == "sigmoid", "\"sigmoid\"")
    }
    if let scoring = try optionalString("scoring_func") {
      try require(root["scoring_func"], scoring == "sigmoid", "\"sigmoid\"")
    }
    if root["quantization_config"].isPresent {
      let field = root["quantization_config"]
      let method = ["quant_method", "quant_algo", "format"].map { field[$0] }.first(
        where: \.isPresent)
      throw ModelError.unsupported(
        file: field.file, key: field.path,
        found: field.shortValue + (method.map { " (\($0.path): \($0.shortValue))" } ?? ""),
        supported: "null (weights that are not quantized)")
    }
    if let method = try optionalString("topk_method") {
      try require(root["topk_method"], method == "noaux_tc", "\"noaux_tc\"")
    }
    if let nope = try root["mla_use_nope"].ifPresent?.bool() {
      try require(root["mla_use_nope"], nope, "true (no rotary embedding)")
    }
    if let bias = try root["attention_bias"].ifPresent?.bool() {
      try require(root["attention_bias"], !bias, "false")
    }
    if root["rope_scaling"].isPresent {
      try require(root["rope_scaling"], false, "null (no rotary embedding)")
    }
    for rotary in ["rope_type", "type"] {
      if let type = try root["rope_parameters"][rotary].ifPresent?.string() {
        try require(root["rope_parameters"][rotary], type == "default", "\"default\"")
      }
    }
    if let predicted = try root["num_nextn_predict_layers"].ifPresent?.integer(in: 0...Int.max) {
      try require(root["num_nextn_predict_layers"], predicted == 0, "0")
    }
  }

  // MARK: - Layers

  private static func layers(_ root: JSONField) throws -> [Layer] {
    let count = try root["num_hidden_layers"].integer(in: layerCounts)
    let linear = try linearAttentionLayers(root, count: count)
    let experts = try expertLayers(root, count: count)
    return zip(linear, experts).map { Layer(isLinearAttention: $0, hasExperts: $1) }
  }

  private static func linearAttentionLayers(_ root: JSONField, count: Int) throws -> [Bool] {
    if root["linear_attn_config"].isPresent {
      let listed = try listedLayers(root["linear_attn_config"], count: count)
      if root["layer_types"].isPresent, try typedLinearLayers(root, count: count) != listed {
        throw ModelError.configuration(
          file: root.file, key: "layer_types", problem: "contradicts linear_attn_config")
      }
      return listed
    }
    return try typedLinearLayers(root, count: count)
  }

  private static func typedLinearLayers(_ root: JSONField, count: Int) throws -> [Bool] {
    try typedLayers(
      root["layer_types"], count: count, yes: "linear_attention", no: "full_attention")
  }

  /// `kda_layers` and `full_attn_layers` count from 1, are disjoint and cover every layer.
  private static func listedLayers(_ field: JSONField, count: Int) throws -> [Bool] {
    var isLinear = [Bool?](repeating: nil, count: count)
    for (key, value) in [("kda_layers", true), ("full_attn_layers", false)] {
      for element in try field[key].array() {
        let layer = try element.integer(in: 1...count)
        guard isLinear[layer - 1] == nil else {
          throw ModelError.configuration(
            file: field.file, key: element.path, problem: "layer \(layer) is listed twice")
        }
        isLinear[layer - 1] = value
      }
    }
    return try isLinear.enumerated().map { index, value in
      guard let value else {
        throw ModelError.configuration(
          file: field.file, key: field.path,
          problem: "layer \(index + 1) of \(count) is neither in kda_layers nor in"
            + " full_attn_layers")
      }
      return value
    }
  }

  private static func expertLayers(_ root: JSONField, count: Int) throws -> [Bool] {
    if root["mlp_layer_types"].isPresent {
      return try typedLayers(root["mlp_layer_types"], count: count, yes: "sparse", no: "dense")
    }
    // A model without experts may leave their number out, or give 0.
    guard let experts = try agreed(of: root, "num_experts", "num_local_experts").ifPresent,
      try experts.integer(in: 0...(1 << 20)) > 0
    else { return [Bool](repeating: false, count: count) }
    let dense = try root["first_k_dense_replace"].ifPresent?.integer(in: 0...Int.max) ?? 0
    let frequency = try root["moe_layer_freq"].ifPresent?.integer(in: 1...Int.max) ?? 1
    return (0..<count).map { $0 >= dense && $0 % frequency == 0 }
  }

  private static func typedLayers(
    _ field: JSONField, count: Int, yes: String, no: String
  ) throws -> [Bool] {
    let types = try field.array()
    guard types.count == count else {
      throw ModelError.configuration(
        file: field.file, key: field.path,
        problem: "names \(types.count) layers, num_hidden_layers is \(count)")
    }
    return try types.map { type in
      switch try type.string() {
      case yes: return true
      case no: return false
      default: throw type.unexpected("\"\(yes)\" or \"\(no)\"")
      }
    }
  }

  // MARK: - Parts

  private static func linearAttention(_ root: JSONField) throws -> LinearAttention {
    let section = root["linear_attn_config"]
    func size(_ released: String, _ other: String) throws -> Int {
      let field = section.isPresent ? section[released] : root[other]
      let size = try field.integer(in: 1...(1 << 16))
      if let second = root[other].ifPresent, try second.integer(in: 1...(1 << 16)) != size {
        throw ModelError.contradiction(field, second)
      }
      return size
    }
    return LinearAttention(
      heads: try size("num_heads", "linear_num_heads"),
      headDimension: try size("head_dim", "linear_head_dim"),
      kernelSize: try size("short_conv_kernel_size", "linear_conv_kernel_dim"))
  }

  private static func latentAttention(_ root: JSONField) throws -> LatentAttention {
    let heads = try root["num_attention_heads"].integer(in: 1...(1 << 16))
    if let keyValueHeads = try root["num_key_value_heads"].ifPresent?.integer(in: 1...Int.max),
      keyValueHeads != heads
    {
      throw ModelError.unsupported(
        file: root.file, key: "num_key_value_heads", found: "\(keyValueHeads)",
        supported: "num_attention_heads (\(heads))")
    }
    return LatentAttention(
      heads: heads,
      queryRank: try root["q_lora_rank"].ifPresent?.integer(in: dimensions),
      latentRank: try root["kv_lora_rank"].integer(in: dimensions),
      nopeDimension: try root["qk_nope_head_dim"].integer(in: 1...(1 << 16)),
      ropeDimension: try root["qk_rope_head_dim"].integer(in: 0...(1 << 16)),
      valueDimension: try root["v_head_dim"].integer(in: 1...(1 << 16)))
  }

  /// What implementations have different defaults for must be there: a guess would compute something.
  private static func experts(_ root: JSONField) throws -> Experts {
    let count = try agreed(of: root, "num_experts", "num_local_experts").integer(in: 1...(1 << 20))
    let usesGroups = try root["use_grouped_topk"].ifPresent?.bool() ?? true
    let groupField = try agreed(of: root, "num_expert_group", "n_group")
    let groups = usesGroups ? try groupField.ifPresent?.integer(in: 1...count) ?? 1 : 1
    let chosenField = root["topk_group"]
    let chosen = usesGroups ? try chosenField.ifPresent?.integer(in: 1...groups) ?? 1 : 1
    let perTokenField = try agreed(of: root, "num_experts_per_token", "num_experts_per_tok")
    let perToken = try perTokenField.integer(in: 1...count)
    guard count % groups == 0, groups == 1 || count / groups >= 2 else {
      throw ModelError.configuration(
        file: root.file, key: groupField.path,
        problem: "\(count) experts do not split into \(groups) groups of two or more")
    }
    guard perToken <= count / groups * chosen else {
      throw ModelError.configuration(
        file: root.file, key: perTokenField.path,
        problem: "\(perToken) experts a token, but \(chosen) groups hold only"
          + " \(count / groups * chosen)")
    }
    let factor = try root["routed_scaling_factor"].number()
    guard Float(factor).isFinite else {
      throw root["routed_scaling_factor"].unexpected("a number that float32 can hold")
    }
    return Experts(
      count: count, perToken: perToken,
      shared: try agreed(of: root, "num_shared_experts", "n_shared_experts")
        .integer(in: 0...(1 << 16)),
      width: try root["moe_intermediate_size"].integer(in: dimensions),
      groups: groups, groupsPerToken: chosen,
      renormalizes: try agreed(of: root, "moe_renormalize", "norm_topk_prob").bool(),
      scalingFactor: Float(factor))
  }
}

/// The field under the first of several names of one thing that has a value, which must be the value of all;
/// under the first name if none has.
private func agreed(of root: JSONField, _ names: String...) throws -> JSONField {
  let present = names.map { root[$0] }.filter(\.isPresent)
  guard let first = present.first else { return root[names[0]] }
  if let other = present.first(where: { $0.value != first.value }) {
    throw ModelError.contradiction(first, other)
  }
  return first
}

/// The field under the first of several names that has a value; under the first name if none has.
private func first(of root: JSONField, _ names: String...) -> JSONField {
  names.lazy.map { root[$0] }.first { $0.isPresent } ?? root[names[0]]
}

extension ModelError {
  /// Two keys that mean the same have other values.
  fileprivate static func contradiction(_ first: JSONField, _ second: JSONField) -> ModelError {
    .configuration(
      file: second.file, key: second.path,
      problem: "is \(second.shortValue), but \"\(first.path)\" is \(first.shortValue)")
  }
}
