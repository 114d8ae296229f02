// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import Kernels
import KilnFormat
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Tensors that are converted in parts are what they would be as a whole, and what is rounded is measured.
@Suite struct ChunkTests {
  private static let embedding = "model.embed_tokens.weight"

  /// The bytes of a tensor of a packed file.
  private func bytes(_ name: String, in path: FilePath) throws -> [UInt8] {
    try #require(try storedTensors(path).first { $0.name == name }).bytes
  }

  @Test(arguments: ["int4-g64", "int5-g32", "int8-row"], [RoundingMethod.roundToNearest, .search])
  func `a matrix of several chunks is the matrix rounded at once`(
    scheme: String, method: RoundingMethod
  ) throws {
    try TemporaryFolder.with { folder in
      // 2,048 rows of 128 make a chunk, of which 512 are worked on at a time; the last of each is shorter.
      let rows = 4_643
      let checkpoint = TinyCheckpoint {
        ($0.isLinear, $0.vocabularySize, $0.hiddenSize) = ([true], rows, 128)
      }
      let encoding = try #require(TensorEncoding(schemeName: scheme))
      let source = try checkpoint.write(to: folder)
      let packed = folder.path.appending("x.kiln")
      let (plan, report) = try pack(
        source, to: packed,
        recipe: Recipe(
          rules: [RecipeRule(roles: [.embedding], scheme: .encoding(encoding))],
          fallback: .source, method: method))
      let original = try #require(
        checkpoint.tensors.first { $0.name == Self.embedding }
      ).values
      var codes = [UInt8](repeating: 0, count: rows * 128 * QuantizedBits.count(encoding) / 8)
      var scales = [BFloat16](
        repeating: BFloat16(bitPattern: 0), count: rows * 128 / encoding.groupSize(columns: 128))
      var codeSpan = codes.mutableSpan
      var scaleSpan = scales.mutableSpan
      let statistics = quantizeRows(
        original.span, columns: 128, encoding: encoding, method: method, codes: &codeSpan,
        scales: &scaleSpan)
      #expect(try bytes(Self.embedding, in: packed) == codes + [UInt8](littleEndian: scales))
      let place = try #require(plan.items.firstIndex { $0.stored.name.text == Self.embedding })
      let found = report.statistics[place]
      #expect(found.elementCount == rows * 128)
      #expect(
        abs(found.squaredError - statistics.squaredError) <= 1e-12 * statistics.squaredError)
      #expect(abs(found.squaredNorm - statistics.squaredNorm) <= 1e-12 * statistics.squaredNorm)
    }
  }

  @Test func `what is not finite is counted in every part of a tensor that is copied`() throws {
    try TemporaryFolder.with { folder in
      // 1,188,608 bytes: a chunk and some more.
      let checkpoint = TinyCheckpoint {
        ($0.isLinear, $0.vocabularySize, $0.hiddenSize) = ([true], 4_643, 128)
      }
      var tensors = checkpoint.tensors
      let index = try #require(tensors.firstIndex { $0.name == Self.embedding })
      let last = tensors[index].bytes.count - 2
      for (offset, bits) in [
        (0, 0x7FC0), (2, 0x7F80), ((1 << 20) - 2, 0xFF80), (1 << 20, 0xFFFF), (last, 0x7F81),
      ] {
        tensors[index].bytes = tensors[index].bytes.replacing(at: offset, with: UInt16(bits))
      }
      let source = try checkpoint.write(to: folder, tensors: tensors)
      let packed = folder.path.appending("x.kiln")
      let (plan, report) = try pack(
        source, to: packed,
        recipe: try recipe("int8-g32").overriding(role: .embedding, with: .source))
      #expect(try bytes(Self.embedding, in: packed) == tensors[index].bytes)
      let place = try #require(plan.items.firstIndex { $0.stored.name.text == Self.embedding })
      #expect(
        report.statistics[place] == QuantizationStatistics(nanCount: 3, infinityCount: 2))
      #expect(report.statistics.reduce(0) { $0 + $1.nanCount + $1.infinityCount } == 5)
    }
  }

  @Test func `finite numbers that BF16 has none for are counted as infinities`() throws {
    let checkpoint = TinyCheckpoint { $0.dtype = .f32 }
    var tensors = checkpoint.tensors
    let name = "model.layers.0.self_attn.q_proj.weight"
    let index = try #require(tensors.firstIndex { $0.name == name })
    // BF16 ends at 3.3895e38; halfway to what would follow is 3.3962e38.
    let odd: [Float] = [
      3.4e38, -3.4e38, 3.3963e38, 3.396e38, -3.3895e38, .nan, .infinity, -.infinity,
    ]
    for (element, value) in odd.enumerated() {
      tensors[index].bytes = tensors[index].bytes.replacing(
        at: 4 * element, with: value.bitPattern)
    }
    try TemporaryFolder.with { folder in
      let source = try checkpoint.write(to: folder, tensors: tensors)
      let packed = folder.path.appending("x.kiln")
      let (plan, report) = try pack(source, to: packed, recipe: try recipe("bf16"))
      let found = try #require(try storedTensors(packed).first { $0.name == name })
      let values = zip(found.bytes.indices, found.bytes).filter { $0.0 % 2 == 1 }.map {
        index, high in
        Float(bitPattern: UInt32(high) << 24 | UInt32(found.bytes[index - 1]) << 16)
      }
      let largest = Float(bitPattern: 0x7F7F_0000)
      #expect(values[..<5] == [.infinity, -.infinity, .infinity, largest, -largest])
      #expect(values[5].isNaN && values[6] == .infinity && values[7] == -.infinity)
      let place = try #require(plan.items.firstIndex { $0.stored.name == ExactString(name) })
      let statistics = report.statistics[place]
      #expect(statistics.infinityCount == 5 && statistics.nanCount == 1)
      #expect(statistics.elementCount == values.count)
      var (error, norm) = (0.0, 0.0)
      for (value, original) in zip(values, tensors[index].values)
      where value.isFinite && original.isFinite {
        error += (Double(value) - Double(original)) * (Double(value) - Double(original))
        norm += Double(original) * Double(original)
      }
      #expect(error > 1e70 && abs(statistics.squaredError - error) <= 1e-12 * error)
      #expect(abs(statistics.squaredNorm - norm) <= 1e-12 * norm)
      // Nothing else was out of the ordinary.
      for (index, other) in report.statistics.enumerated() where index != place {
        #expect(other.nanCount == 0 && other.infinityCount == 0)
      }
    }
  }
}

/// Bits of a code.
private enum QuantizedBits {
  static func count(_ encoding: TensorEncoding) -> Int {
    if case .quantized(let bits, _) = encoding { bits } else { 0 }
  }
}
