// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// An export says in config.json which type its tensors have.
@Suite struct ExportedConfigurationTests {
  /// `config.json` with something in front, as it comes back from a quantized file.
  private func exported(
    _ members: String, dtype: DType, scheme: String? = "int4-g32"
  ) throws -> (before: String, after: String) {
    try TemporaryFolder.with { folder in
      let tiny = TinyCheckpoint()
      let source = try tiny.write(to: folder)
      let original = try #require(tiny.files().first { $0.name == "config.json" }).bytes
      // Numbers and spaces of a kind that no writer of ours would make.
      let text =
        "{ \(members) \"x\": 1.50e+1," + String(decoding: original.dropFirst(), as: UTF8.self)
      try folder.write(text, as: "checkpoint/config.json")
      let packed = folder.path.appending("a.kiln")
      try pack(source, to: packed, recipe: try scheme.map { try recipe($0) })
      try export(packed, to: folder.path.appending("out"), dtype: dtype)
      let bytes = try Checkpoint(folder.path.appending("out")).contents(of: "config.json")
      return (text, String(decoding: bytes, as: UTF8.self))
    }
  }

  @Test(
    arguments: [
      ("\"dtype\": \"bfloat16\",", DType.f32, "\"dtype\": \"float32\","),
      ("\"torch_dtype\":\"bfloat16\",", .f32, "\"torch_dtype\":\"float32\","),
      ("\"torch_dtype\": \"torch.float16\",", .f32, "\"torch_dtype\": \"torch.float32\","),
      ("\"torch_dtype\": \"float16\",", .bf16, "\"torch_dtype\": \"bfloat16\","),
      (
        "\"dtype\": \"bfloat16\", \"text_config\": {\"torch_dtype\": \"bfloat16\"},", .f32,
        "\"dtype\": \"float32\", \"text_config\": {\"torch_dtype\": \"float32\"},"
      ),
      ("\"dtype\": \"auto\",", .f32, "\"dtype\": \"auto\","), ("", .f32, ""),
      ("\"dtype\": null,", .f32, "\"dtype\": null,"),
    ])
  func `the type is the true one and nothing else changes`(
    members: String, dtype: DType, expected: String
  ) throws {
    let (before, after) = try exported(members, dtype: dtype)
    #expect(after == before.replacing(members, with: expected, maxReplacements: 1))
  }

  @Test func `an export of what was kept keeps every byte`() throws {
    let (before, after) = try exported("\"dtype\": \"float16\",", dtype: .f32, scheme: nil)
    #expect(after == before)
  }
}
