// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import KimiLinear
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// What can be converted and still not be run.
@Suite struct RunnableTests {
  private let workers = Workers(count: 1)

  private func with(
    _ configuration: (JSONValue) -> JSONValue = { $0 },
    tensors: (inout [TinyTensor]) -> Void = { _ in }, _ body: (Checkpoint) throws -> Void
  ) throws {
    let tiny = TinyCheckpoint()
    var changed = tiny.tensors
    tensors(&changed)
    return try TemporaryFolder.with { folder in
      try body(
        try Checkpoint(
          try tiny.write(
            to: folder, configuration: configuration(tiny.configuration), tensors: changed)))
    }
  }

  private func tied(_ configuration: JSONValue) -> JSONValue {
    configuration.setting("tie_word_embeddings", to: true)
  }

  @Test func `a model of another class is not run`() throws {
    for names in [["KimiVLForConditionalGeneration"], ["KimiLinearForCausalLM", "Other"]] {
      try with {
        $0.setting("architectures", to: .array(names.map { .string($0) }))
      } _: {
        checkpoint in
        let checked = try CheckedCheckpoint(checkpoint)
        #expect(checked.obstacles.map { "\($0)".contains("\"\(names.last ?? "")\"") } == [true])
        #expect(throws: ModelError.self) { try Model(checked) }
      }
    }
    for value in [[], .null, ["KimiLinearForCausalLM"]] as [JSONValue] {
      try with {
        $0.setting("architectures", to: value)
      } _: { checkpoint in
        let obstacles = try CheckedCheckpoint(checkpoint).obstacles
        #expect(obstacles.isEmpty)
      }
    }
  }

  @Test func `a head that differs from tied embeddings must be chosen`() throws {
    try with(tied) { checkpoint in
      let checked = try CheckedCheckpoint(checkpoint)
      #expect(try checked.hasAmbiguousHead(workers: workers))
      #expect(throws: ModelError.ambiguousHead(model: checkpoint.path.string)) {
        try Model(checked)
      }
      let (tied, stored) = (
        try CheckedCheckpoint(checkpoint, head: .tied),
        try CheckedCheckpoint(checkpoint, head: .stored)
      )
      #expect(tied.configuration.tiesEmbeddings && !stored.configuration.tiesEmbeddings)
      let heads = try [tied, stored].map { checked in
        let region = try Model(checked).weights.head.region
        return region.bytes.copy()
      }
      #expect(heads[0] == (try checkpoint.bytes("model.embed_tokens.weight")))
      #expect(heads[1] == (try checkpoint.bytes("lm_head.weight")))
    }
  }

  @Test func `a head with the bytes of the embedding is no question`() throws {
    try with(tied) { tensors in
      guard let embedding = tensors.first(where: { $0.name == "model.embed_tokens.weight" }),
        let head = tensors.firstIndex(where: { $0.name == "lm_head.weight" })
      else { return }
      tensors[head].bytes = embedding.bytes
    } _: { checkpoint in
      #expect(try !CheckedCheckpoint(checkpoint).hasAmbiguousHead(workers: workers))
      _ = try Model(CheckedCheckpoint(checkpoint))
    }
  }

  @Test func `a head of another type or with more rows differs`() throws {
    for padded in [false, true] {
      try with(tied) { tensors in
        guard let head = tensors.firstIndex(where: { $0.name == "lm_head.weight" }) else { return }
        if padded {
          tensors[head].shape[0] += 2
          tensors[head].bytes += [UInt8](repeating: 0, count: 2 * 64 * 2)
        } else {
          tensors[head].dtype = .f16
        }
      } _: { checkpoint in
        let isAmbiguous = try CheckedCheckpoint(checkpoint).hasAmbiguousHead(workers: workers)
        #expect(isAmbiguous)
      }
    }
  }

  @Test func `the embedding is no choice where another head is the model's`() throws {
    try with { checkpoint in
      #expect(throws: ModelError.headNotTied(model: checkpoint.path.string)) {
        try CheckedCheckpoint(checkpoint, head: .tied)
      }
      _ = try Model(try CheckedCheckpoint(checkpoint, head: .stored))
    }
    func withoutHead(_ tensors: inout [TinyTensor]) {
      tensors.removeAll { $0.name == "lm_head.weight" }
    }
    try with(tensors: withoutHead) { checkpoint in
      #expect { try CheckedCheckpoint(checkpoint) } throws: {
        "\($0)".contains("tie_word_embeddings")
      }
      let model = try Model(CheckedCheckpoint(checkpoint, head: .tied))
      #expect(model.configuration.tiesEmbeddings)
    }
    try with(tied, tensors: withoutHead) { checkpoint in
      #expect { try CheckedCheckpoint(checkpoint, head: .stored) } throws: {
        "\($0)".contains("lm_head.weight")
      }
    }
  }

  @Test func `unknown keys of the computation keep a model from running`() throws {
    func bounded(_ configuration: JSONValue) -> JSONValue {
      configuration.setting("linear_attn_config.gate_lower_bound", to: .number(-5))
    }
    try with(bounded) { checkpoint in
      let checked = try CheckedCheckpoint(checkpoint)
      #expect(checked.obstacles.count == 1)
      #expect { try Model(checked) } throws: {
        "\($0)".contains("\"linear_attn_config.gate_lower_bound\" is -5")
      }
    }
  }

  @Test func `weights in float64 are kept, but not computed with`() throws {
    func widen(_ tensors: inout [TinyTensor]) {
      guard let norm = tensors.firstIndex(where: { $0.name == "model.norm.weight" }) else { return }
      tensors[norm].dtype = .f64
      tensors[norm].bytes = [UInt8](repeating: 0, count: 64 * 8)
    }
    try with(tensors: widen) { checkpoint in
      let checked = try CheckedCheckpoint(checkpoint)
      #expect(
        checked.obstacles == [
          .tensorType(model: checkpoint.path.string, name: "model.norm.weight", found: "F64")
        ])
      #expect(throws: ModelError.self) { try Model(checked) }
    }
  }

  @Test func `an adapter is no model`() throws {
    try TemporaryFolder.with { folder in
      let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
      try folder.write(
        RawSafetensors.file(bytesOf: [(name, 3)]), as: "m/adapter_model.safetensors")
      try folder.write("{\"peft_type\":\"LORA\"}", as: "m/adapter_config.json")
      let path = folder.path.appending("m")
      #expect(throws: CheckpointError.adapter(path)) {
        try CheckedCheckpoint(try Checkpoint(path))
      }
    }
  }
}

extension Checkpoint {
  fileprivate func bytes(_ name: ExactString) throws -> [UInt8]? {
    guard let stored = storedTensors.first(where: { $0.name == name }) else { return nil }
    let region = try stored.load(workers: Workers(count: 1)).region
    return region.bytes.copy()
  }
}
