// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import KimiLinear
import Quantization
import TensorCore
import TestSupport
import Testing

/// Which matrices get one scheme together.
@Suite struct AllocationUnitTests {
  @Test func `a layer is divided by roles, and its outputs are apart`() throws {
    try TemporaryFolder.with { folder in
      // Ten layers, so that a number has two digits; the last one is MLA.
      let checkpoint = TinyCheckpoint {
        ($0.isLinear, $0.denseLayers) = ([Bool](repeating: true, count: 10) + [false], 10)
      }
      // What the model does not run through is in no unit.
      let strange = TinyTensor(
        name: "extra.weight", dtype: .bf16, shape: [2, 32],
        bytes: [UInt8](repeating: 0, count: 128))
      let source = try CheckedCheckpoint(
        Checkpoint(checkpoint.write(to: folder, tensors: checkpoint.tensors + [strange])))
      let units = AllocationUnit.all(of: source)
      var expected: [(name: String, count: Int)] = [("embedding", 1)]
      for layer in 0..<10 {
        expected += [
          ("layer \(layer) kda_projection", 3), ("layer \(layer) kda_projection o_proj", 1),
          ("layer \(layer) dense_mlp down_proj", 1), ("layer \(layer) dense_mlp", 2),
        ]
      }
      expected += [
        ("layer 10 mla_projection", 3), ("layer 10 mla_projection o_proj", 1),
        ("layer 10 shared_expert down_proj", 1), ("layer 10 shared_expert", 2),
        ("layer 10 routed_expert", 8), ("layer 10 routed_expert w2", 4), ("head", 1),
      ]
      #expect(units.map(\.unit.description) == expected.map(\.name))
      #expect(units.map(\.tensors.count) == expected.map(\.count))
      for (unit, tensors) in units {
        for stored in tensors {
          #expect(source.role(of: stored.name) == unit.role)
          let last = stored.name.text.split(separator: ".").dropLast().last.map(String.init)
          let isOutput = ["o_proj", "w2", "down_proj"].contains(last)
          #expect(unit.output == (isOutput ? last : nil), "\(stored.name)")
          let layer = unit.layer.map { "model.layers.\($0)." }
          #expect(layer.map { stored.name.text.hasPrefix($0) } ?? true)
        }
      }
    }
  }

  @Test func `a unit that was written down is one that a model can have`() {
    #expect(AllocationUnit(role: .norm, layer: 1, output: nil) == nil)
    #expect(AllocationUnit(role: .kdaProjection, layer: 1, output: "q_proj") == nil)
    for output in ["o_proj", "w2", "down_proj", nil] {
      let unit = AllocationUnit(role: .routedExpert, layer: 3, output: output)
      #expect(unit?.role == .routedExpert && unit?.layer == 3 && unit?.output == output)
    }
  }

  @Test func `its rule is for its layer, its role and its outputs alone`() throws {
    let encoding = TensorEncoding.quantized(bits: 6, group: .row)
    let output = try #require(AllocationUnit(role: .routedExpert, layer: 3, output: "w2"))
      .rule(encoding)
    let others = try #require(AllocationUnit(role: .routedExpert, layer: 3, output: nil))
      .rule(encoding)
    #expect(output.scheme == .encoding(encoding) && others.scheme == .encoding(encoding))
    for (layer, matrix, role) in [
      (3, "w2", TensorRole.routedExpert), (3, "w1", .routedExpert), (4, "w2", .routedExpert),
      (3, "w2", .sharedExpert),
    ] {
      let name = ExactString("model.layers.\(layer).block_sparse_moe.experts.0.\(matrix).weight")
      let isMine = layer == 3 && role == .routedExpert
      #expect(output.matches(name: name, role: role) == (isMine && matrix == "w2"))
      #expect(others.matches(name: name, role: role) == isMine)
    }
    let head = try #require(AllocationUnit(role: .head, layer: nil, output: nil)).rule(encoding)
    #expect(head.matches(name: "lm_head.weight", role: .head))
    #expect(head.layers.isEmpty)
  }
}
