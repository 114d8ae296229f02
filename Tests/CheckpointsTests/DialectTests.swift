// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Both dialects lead to the same tensors under the same names.
@Suite struct DialectTests {
  /// The canonical tensors of a checkpoint: name, shape and bytes in the order of a packed file.
  private func canonical(
    _ checkpoint: TinyCheckpoint, tensors: [TinyTensor]? = nil
  ) throws -> (tensors: [TinyTensor], assemblies: Int) {
    try TemporaryFolder.with { folder in
      let opened = try Checkpoint(try checkpoint.write(to: folder, tensors: tensors))
      let model = try ModelTensors(opened)
      let tensors = try model.tensors.map { stored in
        let region = try stored.load(workers: Workers(count: 1)).region
        return TinyTensor(
          name: stored.name.text, dtype: stored.sourceDType,
          shape: stored.shape.dimensions, bytes: region.bytes.copy())
      }
      return (tensors, model.assemblies.count)
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `canonical tensors are those of the released dialect, in one order`(
    checkpoint: TinyCheckpoint
  ) throws {
    let released = try canonical(checkpoint.inDialect(.released))
    let transformers = try canonical(checkpoint.inDialect(.transformers))
    #expect(released.tensors == transformers.tensors)
    #expect(released.assemblies == 0 && transformers.assemblies > 0)
    let expected = checkpoint.releasedTensors.sorted { $0.name < $1.name }
    #expect(released.tensors.sorted { $0.name < $1.name } == expected)
    // Whatever order the source has.
    let shuffled = try canonical(
      checkpoint.inDialect(.released),
      tensors: checkpoint.releasedTensors.sorted { $0.name > $1.name })
    #expect(shuffled.tensors == released.tensors)
  }

  @Test func `the order is that of the computation, an expert's matrices together`() throws {
    let names = try canonical(TinyCheckpoint { $0.experts = 11 }).tensors.map(\.name)
    #expect(names.first == "model.embed_tokens.weight")
    #expect(names.suffix(2) == ["model.norm.weight", "lm_head.weight"])
    let moe = "model.layers.1.block_sparse_moe"
    let first = try #require(names.firstIndex(of: "\(moe).experts.0.w1.weight"))
    // Experts count by number, not by name: 2 before 10.
    #expect(
      Array(names[first..<first + 33])
        == (0..<11).flatMap { expert in
          ["w1", "w3", "w2"].map { "\(moe).experts.\(expert).\($0).weight" }
        })
    #expect(names[first - 1] == "\(moe).shared_experts.up_proj.weight")
    #expect(names[first + 33].hasPrefix("model.layers.2."))
  }

  @Test func `layers are ordered by number`() {
    let names = ["model.layers.2.x.weight", "model.layers.10.x.weight", "model.layers.9.x.weight"]
    #expect(
      names.map { TensorOrder(ExactString($0)) }.sorted()
        == [names[0], names[2], names[1]].map { TensorOrder(ExactString($0)) })
  }

  @Test func `a tensor that is given under both names is refused`() throws {
    let checkpoint = TinyCheckpoint()
    let both =
      checkpoint.tensors + [
        TinyTensor(
          name: "model.layers.1.mlp.gate.weight", dtype: .bf16, shape: [4, 64],
          bytes: [UInt8](repeating: 0, count: 512))
      ]
    try TemporaryFolder.with { folder in
      let path = try checkpoint.write(to: folder, tensors: both)
      #expect(
        throws: CheckpointError.ambiguous(path, name: "model.layers.1.block_sparse_moe.gate.weight")
      ) { try ModelTensors(try Checkpoint(path)) }
    }
  }

  @Test(
    arguments: [
      ("mlp.experts.gate_up_proj", [4, 7, 8]), ("mlp.experts.gate_up_proj", [4, 8]),
      ("mlp.experts.gate_up_proj", []), ("mlp.experts.gate_up_proj", [4, 8, 8, 1]),
      ("block_sparse_moe.experts.gate_up_proj", [4, 1, 8]), ("mlp.experts.down_proj", [4, 8]),
      ("mlp.experts.down_proj", [0, 8, 8]), ("self_attn.conv1d.weight", [4, 1, 4]),
      ("self_attn.conv1d.weight", [6, 4]), ("self_attn.conv1d.weight", [12]),
      // Names for a million million experts without a byte of data.
      ("mlp.experts.gate_up_proj", [1 << 50, 0, 8]), ("mlp.experts.gate_up_proj", [1 << 50, 8, 0]),
      ("mlp.experts.down_proj", [1 << 62, 0, 0]),
    ] as [(String, [Int])])
  func `a fused tensor that does not split is refused by name`(rest: String, shape: [Int]) throws {
    let name = "model.layers.1.\(rest)"
    let count = shape.reduce(1, *)
    let tensor = TinyTensor(
      name: name, dtype: .u8, shape: shape, bytes: [UInt8](repeating: 0, count: count))
    try TemporaryFolder.with { folder in
      let path = try folder.write(TinyTensor.file([tensor]), as: "x.safetensors")
      do {
        _ = try ModelTensors(try Checkpoint(path))
        Issue.record("\(name) \(shape) was accepted")
      } catch CheckpointError.fusedTensor(path, name, _, _) {
      }
    }
  }

  @Test func `parts of less than a byte are refused`() throws {
    for (columns, splits) in [(1, false), (2, true), (3, false), (4, true)] {
      let tensor = TinyTensor(
        name: "model.layers.0.mlp.experts.gate_up_proj", dtype: .f4, shape: [1, 2, columns],
        bytes: [UInt8](repeating: 0, count: columns))
      try TemporaryFolder.with { folder in
        let path = try folder.write(TinyTensor.file([tensor]), as: "x.safetensors")
        let tensors = try? ModelTensors(try Checkpoint(path))
        #expect((tensors != nil) == splits)
      }
    }
  }

  @Test func `roles are told by name and kind of layer`() {
    func role(_ rest: String, layer: Int = 1) -> TensorRole {
      TensorRole(name: ExactString("model.layers.\(layer).\(rest)")) { $0 == 1 }
    }
    #expect(role("self_attn.q_proj.weight") == .kdaProjection)
    #expect(role("self_attn.q_proj.weight", layer: 2) == .mlaProjection)
    #expect(role("self_attn.o_proj.weight", layer: 2) == .mlaProjection)
    #expect(role("self_attn.A_log") == .kdaParameter)
    #expect(role("self_attn.k_conv1d.weight") == .kdaConvolution)
    #expect(role("self_attn.b_proj.weight") == .kdaGate)
    #expect(role("self_attn.kv_a_layernorm.weight") == .norm)
    #expect(role("block_sparse_moe.gate.weight") == .router)
    #expect(role("block_sparse_moe.gate.e_score_correction_bias") == .routerBias)
    #expect(role("block_sparse_moe.experts.3.w2.weight") == .routedExpert)
    #expect(role("block_sparse_moe.shared_experts.up_proj.weight") == .sharedExpert)
    #expect(role("mlp.gate_proj.weight") == .denseMLP)
    #expect(role("self_attn.new.weight") == .other)
    for name in [
      "", "model", "model.layers.1", "model.layers.x.mlp.gate_proj", "model.layers..a.b",
    ] {
      #expect(TensorRole(name: ExactString(name)) { _ in true } == .other)
    }
  }
}
