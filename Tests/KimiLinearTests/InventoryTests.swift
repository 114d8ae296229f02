// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import KimiLinear
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// No missing, extra or mis-shaped tensor is tolerated in silence.
@Suite struct InventoryTests {
  private func check(
    _ checkpoint: TinyCheckpoint, configuration: JSONValue? = nil, tensors: [TinyTensor]? = nil
  ) throws -> CheckedCheckpoint {
    try TemporaryFolder.with { folder in
      try CheckedCheckpoint(
        try Checkpoint(
          try checkpoint.write(to: folder, configuration: configuration, tensors: tensors)))
    }
  }

  private func refusal(
    _ checkpoint: TinyCheckpoint, configuration: JSONValue? = nil, tensors: [TinyTensor]? = nil
  ) -> String? {
    do {
      _ = try check(checkpoint, configuration: configuration, tensors: tensors)
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `every tensor is needed, under its name and with its shape`(
    checkpoint: TinyCheckpoint
  ) throws {
    #expect(try check(checkpoint).unknownTensors.isEmpty)
    let released = checkpoint.inDialect(.released)
    let tensors = released.tensors
    // Every kind of tensor once: names that differ in numbers alone are of one kind.
    var kinds = Set<String>()
    for (index, tensor) in tensors.enumerated()
    where kinds.insert(tensor.name.filter { !$0.isNumber }).inserted {
      var without = tensors
      without.remove(at: index)
      #expect(refusal(released, tensors: without)?.contains("\"\(tensor.name)\"") == true)
      var flattened = tensors
      flattened[index].shape = [1, 1, tensor.shape.reduce(1, *), 1, 1]
      if !tensor.name.hasSuffix("A_log") {
        #expect(
          refusal(released, tensors: flattened)?.contains("\"\(tensor.name)\" has shape") == true)
      }
      var integers = tensors
      integers[index].dtype = tensor.dtype.bitWidth == 16 ? .i16 : .i32
      #expect(
        refusal(released, tensors: integers)?.contains("\"\(tensor.name)\" is stored as I") == true)
    }
    #expect(kinds.count > 15)
  }

  @Test func `experts beyond the configuration are refused, other tensors are only told`() throws {
    let checkpoint = TinyCheckpoint()
    func with(_ name: String) -> [TinyTensor] {
      checkpoint.tensors
        + [TinyTensor(name: name, dtype: .bf16, shape: [1], bytes: [0, 0])]
    }
    for name in [
      "model.layers.1.block_sparse_moe.experts.4.w1.weight",
      "model.layers.1.block_sparse_moe.experts.00.w1.weight",
      "model.layers.1.block_sparse_moe.experts.0.w4.weight",
      "model.layers.0.block_sparse_moe.experts.0.w1.weight",
      "model.layers.7.block_sparse_moe.experts.0.w1.weight",
      "model.layers.1.mlp.experts.4.w1.weight",
    ] {
      #expect(refusal(checkpoint, tensors: with(name))?.contains("beyond those") == true, "\(name)")
    }
    let odd = try check(checkpoint, tensors: with("model.layers.0.self_attn.extra"))
    #expect(odd.unknownTensors == ["model.layers.0.self_attn.extra"])
    // Fewer in the configuration than in the checkpoint.
    let fewer = checkpoint.configuration.setting("num_experts", to: 3)
    #expect(refusal(checkpoint, configuration: fewer)?.contains(".gate.weight") == true)
  }

  @Test func `A_log may be padded with zeros and with nothing else`() {
    let checkpoint = TinyCheckpoint { $0.decayShape = .padded(2) }
    #expect(refusal(checkpoint) == nil)
    var tensors = checkpoint.tensors
    for (index, tensor) in tensors.enumerated() where tensor.name.hasSuffix("0.self_attn.A_log") {
      tensors[index].bytes[4 * 3 + 1] = 1
    }
    #expect(refusal(checkpoint, tensors: tensors)?.contains("A_log") == true)
    for shape in [[2, 2], [4, 1], [1, 4], [1], [0], [4, 0]] {
      tensors = checkpoint.tensors
      for (index, tensor) in tensors.enumerated() where tensor.name.hasSuffix("A_log") {
        tensors[index].shape = shape
        tensors[index].bytes = [UInt8](repeating: 0, count: 4 * shape.reduce(1, *))
      }
      #expect(
        (refusal(checkpoint, tensors: tensors) == nil) == ([4, 1] == shape || [1, 4] == shape))
    }
  }

  @Test func `a tied head needs no tensor, and one that is there is told`() throws {
    let tied = TinyCheckpoint { $0.tiesEmbeddings = true }
    #expect(!tied.tensors.contains { $0.name == "lm_head.weight" })
    #expect(try check(tied).unknownTensors.isEmpty)
    let both = TinyCheckpoint().configuration.setting("tie_word_embeddings", to: true)
    #expect(
      try check(TinyCheckpoint(), configuration: both).unknownTensors == ["lm_head.weight"])
  }

  @Test(
    .timeLimit(.minutes(1)),
    arguments: [
      ("num_experts", 1 << 20), ("num_hidden_layers", 65_536), ("vocab_size", 1 << 24),
      ("hidden_size", 1 << 24), ("moe_intermediate_size", 1 << 24), ("num_shared_experts", 1 << 16),
      ("kv_lora_rank", 1 << 24), ("linear_attn_config.num_heads", 1 << 16),
    ])
  func `hostile sizes fail at the first tensor`(key: String, size: Int) {
    var checkpoint = TinyCheckpoint()
    if key == "num_hidden_layers" {
      // With lists that cover them all.
      checkpoint.isLinear = [Bool](repeating: true, count: size)
    }
    let configuration = checkpoint.configuration.setting(key, to: .integer(size))
    let error = refusal(
      TinyCheckpoint(), configuration: configuration, tensors: TinyCheckpoint().tensors)
    #expect(error?.contains("tensor \"") == true, "\(error ?? "accepted")")
  }
}
