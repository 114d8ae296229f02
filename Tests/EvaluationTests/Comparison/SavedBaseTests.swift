// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Evaluation
import JSON
import Kernels
import KilnFormat
import KimiLinear
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Files that keep the results of a base.
@Suite struct SavedBaseTests {
  private static let tokens = (0..<70).map { $0 * 37 % 96 }
  private static let windows = TokenWindows(tokenCount: 70, context: 20)
  private static let workers = Workers(count: 2)

  private func windowRun(_ path: FilePath, windows: TokenWindows = windows) throws -> WindowRun {
    try WindowRun(
      try Model(CheckedCheckpoint(Checkpoint(path))), tokens: Self.tokens, windows: windows,
      options: Model.Options(kernel: .recurrent, workers: Self.workers))
  }

  /// Saves the results of a model.
  private func save(_ model: FilePath, to path: FilePath) throws {
    let run = try windowRun(model)
    let writer = try SavedBaseWriter(
      path, replacing: false, producer: "kiln test", checkpoint: Checkpoint(model), run: run)
    _ = try PerplexityRun(run).run(
      progress: { _ in }, computed: { try writer.append($0) }, scored: { _ in })
    try writer.commit()
  }

  private func open(
    _ path: FilePath, tokens: [Int] = tokens, windows: TokenWindows = windows
  ) throws -> SavedBase {
    try SavedBase(Checkpoint(path), tokens: tokens, windows: windows, workers: Self.workers)
  }

  /// Expects an error that says what is wrong with the file.
  private func expectRefusal(
    _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> SavedBase
  ) throws {
    do {
      _ = try body()
      Issue.record(comment, sourceLocation: sourceLocation)
    } catch is any KilnError {}
  }

  private func withSavedBase(
    of checkpoint: TinyCheckpoint = TinyCheckpoint(),
    _ body: (_ folder: TemporaryFolder, _ base: FilePath, _ saved: FilePath) throws -> Void
  ) throws {
    try TemporaryFolder.with { folder in
      let base = try checkpoint.write(to: folder, as: "base")
      let saved = folder.path.appending("saved")
      try save(base, to: saved)
      try body(folder, base, saved)
    }
  }

  private func compare(_ model: WindowRun, _ base: BaseSource) throws -> [ComparedToken] {
    var tokens: [ComparedToken] = []
    _ = try ComparisonRun(model, base: base).run(
      progress: { _ in }, compared: { tokens.append($0) })
    return tokens
  }

  @Test(arguments: TinyCheckpoint.variants.filter { $0.vocabularySize == 96 })
  func `a saved base gives the same bits as the base`(checkpoint: TinyCheckpoint) throws {
    try withSavedBase(of: checkpoint) { folder, base, saved in
      #expect(try Checkpoint(saved).isSavedBase)
      #expect(try !Checkpoint(base).isSavedBase)
      var other = checkpoint
      other.seed += 1
      let model = try windowRun(try other.write(to: folder, as: "model"))
      let direct = try compare(model, .model(try windowRun(base)))
      #expect(try compare(model, .saved(try open(saved))) == direct)
      #expect(direct.contains { $0.divergence > 0.001 })
    }
  }

  @Test func `saving it along with a comparison gives the same file`() throws {
    try withSavedBase { folder, base, saved in
      let run = try windowRun(base)
      let again = folder.path.appending("again")
      let writer = try SavedBaseWriter(
        again, replacing: false, producer: "kiln test", checkpoint: Checkpoint(base), run: run)
      _ = try ComparisonRun(run, base: .model(run)).run(
        progress: { _ in }, computed: { try writer.append($0) }, compared: { _ in })
      try writer.commit()
      #expect(try folder.read("again") == folder.read("saved"))
    }
  }

  @Test func `another text or other windows are refused by name`() throws {
    try withSavedBase { _, _, saved in
      var other = Self.tokens
      other[50] += 1
      #expect(throws: BaseError.otherText(saved)) { try open(saved, tokens: other) }
      for (windows, name, found, expected) in [
        (TokenWindows(tokenCount: 70, context: 21), "--context", "20", "21"),
        (TokenWindows(tokenCount: 70, context: 20, stride: 10), "--stride", "20", "10"),
        (
          TokenWindows(tokenCount: 70, context: 20, scoring: .secondHalf), "--score", "all",
          "second-half"
        ),
      ] {
        #expect(
          throws: BaseError.setting(saved, name: name, found: found, expected: expected)
        ) { try open(saved, windows: windows) }
      }
      let longer = Self.tokens + [1]
      #expect(
        throws: BaseError.setting(
          saved, name: "a number of tokens of", found: "70", expected: "71")
      ) {
        try open(saved, tokens: longer, windows: TokenWindows(tokenCount: 71, context: 20))
      }
    }
  }

  @Test func `damage to any byte is found`() throws {
    try withSavedBase { folder, _, saved in
      let bytes = try folder.read("saved")
      var accepted: [Int] = []
      // Every byte of the head with the description, a sample of the rest.
      for offset in Array(0..<300) + Array(stride(from: 300, to: bytes.count, by: 61)) {
        try folder.patch("saved", at: offset, with: bytes[offset] ^ 0x10)
        do {
          _ = try open(saved)
          accepted.append(offset)
        } catch is any KilnError {}
        try folder.patch("saved", at: offset, with: bytes[offset])
      }
      #expect(accepted.isEmpty)
      for count in [0, 7, 63, 64, 4096, 4200, bytes.count - 1] {
        let cut = try folder.write(Array(bytes[..<count]), as: "cut")
        try expectRefusal { try open(cut) }
      }
      #expect(throws: Never.self) { try open(saved) }
    }
  }

  /// A packed file with any description and any two matrices; all checksums are right.
  private func write(
    _ name: String, to folder: TemporaryFolder, description: String? = nil,
    hidden: (name: String, encoding: TensorEncoding, shape: [Int]) = (
      "hidden_states", .plain(.f32), [66, 64]
    ),
    head: (name: String, encoding: TensorEncoding, shape: [Int]) = (
      "lm_head.weight", .plain(.bf16), [96, 64]
    )
  ) throws -> FilePath {
    let checksum = Checksum.of([UInt8](littleEndian: Self.tokens.map { UInt32($0) }))
    let digits = String(checksum, radix: 16)
    let text =
      description
        ?? """
        {"kiln_base": 1, "tokens": 70, "tokens_checksum":
        "\(String(repeating: "0", count: 16 - digits.count) + digits)",
        "context": 20, "stride": 20, "score": "all"}
        """
    let tensors = try [hidden, head].map { tensor in
      KilnLayout.Tensor(
        name: ExactString(tensor.name), encoding: tensor.encoding,
        shape: try #require(TensorShape(tensor.shape)), sourceDType: .f32, continuesRun: false)
    }
    let layout = try #require(
      KilnLayout(
        producer: "kiln test",
        source: KilnHeader.Source(format: "safetensors", tensorCount: 1, byteCount: 1),
        recipe: .null, files: [KilnLayout.File(name: "base.json", byteCount: text.utf8.count)],
        tensors: tensors, assemblies: []))
    let path = folder.path.appending(name)
    let writer = KilnWriter(layout, to: try OutputFile(path, replacing: true))
    let zeros = tensors.map { [UInt8](repeating: 0, count: $0.encoding.byteCount($0.shape) ?? 0) }
    for entry in [Array(text.utf8)] + zeros { unsafe try writer.write(entry.span.bytes) }
    try writer.commit()
    return path
  }

  @Test func `what the format page does not allow is refused`() throws {
    try TemporaryFolder.with { folder in
      #expect(throws: Never.self) { try open(write("sound", to: folder)) }
      for text in [
        "", "{}", "[]", "{\"kiln_base\": \"1\"}", "{\"kiln_base\": 1}",
        "{\"kiln_base\": 1, \"kiln_base\": 1}",
        "{\"kiln_base\":1,\"tokens\":70,\"tokens_checksum\":\"x\",\"context\":20,\"stride\":20,\"score\":\"all\"}",
        "{\"kiln_base\":1,\"tokens\":-1,\"tokens_checksum\":\"0000000000000000\",\"context\":20,\"stride\":20,\"score\":\"all\"}",
        "{\"kiln_base\":1,\"tokens\":70,\"tokens_checksum\":\"0000000000000000\",\"context\":20,\"stride\":21,\"score\":\"all\"}",
        "{\"kiln_base\":1,\"tokens\":70,\"tokens_checksum\":\"0000000000000000\",\"context\":20,\"stride\":20,\"score\":\"none\"}",
        String(repeating: " ", count: 1 << 16) + "{}",
      ] {
        let path = try write("bad", to: folder, description: text)
        try expectRefusal("\(text.prefix(80))") { try open(path) }
      }
      let later = try write("later", to: folder, description: "{\"kiln_base\": 2}")
      #expect(throws: BaseError.version(later, found: 2, supported: 1)) { try open(later) }
      for hidden in [
        ("hidden", .plain(.f32), [66, 64]), ("hidden_states", .plain(.bf16), [66, 64]),
        ("hidden_states", .plain(.f32), [65, 64]), ("hidden_states", .plain(.f32), [67, 64]),
        ("hidden_states", .plain(.f32), [132, 64]), ("hidden_states", .plain(.f32), [66, 32]),
        ("hidden_states", .plain(.f32), [66 * 64]), ("hidden_states", .plain(.f32), [66, 0]),
        ("hidden_states", .quantized(bits: 8, group: .row), [66, 64]),
      ] as [(String, TensorEncoding, [Int])] {
        let path = try write("bad", to: folder, hidden: hidden)
        #expect(throws: BaseError.self, "\(hidden)") { try open(path) }
      }
      for head in [
        ("head", .plain(.bf16), [96, 64]), ("lm_head.weight", .plain(.i16), [96, 64]),
        ("lm_head.weight", .plain(.bf16), [96, 63]), ("lm_head.weight", .plain(.bf16), [0, 64]),
        ("lm_head.weight", .plain(.bf16), [96, 64, 1]),
      ] as [(String, TensorEncoding, [Int])] {
        let path = try write("bad", to: folder, head: head)
        #expect(throws: BaseError.self, "\(head)") { try open(path) }
      }
      let quantized = try write(
        "quantized", to: folder,
        head: ("lm_head.weight", .quantized(bits: 4, group: .size(32)), [96, 64]))
      #expect(try open(quantized).head.vocabularySize == 96)
    }
  }
}
