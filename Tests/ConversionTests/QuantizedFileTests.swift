// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import Kernels
import KilnFormat
import KimiLinear
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Quantized packed files: their bytes mean what the format page says, and nobody rounds twice.
@Suite struct QuantizedFileTests {
  @Test(
    arguments: TensorEncoding.schemeNames.filter { $0.hasPrefix("int") },
    RoundingMethod.allCases.filter { !$0.needsCalibration })
  func `values are code times scale, and errors are as reported`(
    scheme: String, method: RoundingMethod
  ) throws {
    // Rows of 128 hold every group.
    let checkpoint = TinyCheckpoint {
      ($0.hiddenSize, $0.expertWidth, $0.intermediateSize, $0.experts) = (128, 128, 128, 3)
    }
    try TemporaryFolder.with { folder in
      let source = try checkpoint.write(to: folder)
      let packed = folder.path.appending("x.kiln")
      let (plan, report) = try pack(source, to: packed, recipe: try recipe(scheme, method: method))
      try export(packed, to: folder.path.appending("out"), dtype: .f32)
      let originals = try byName(storedTensors(source))
      let exported = try byName(storedTensors(folder.path.appending("out")))
      let stored = try Checkpoint(packed).storedTensors
      var quantizedCount = 0
      for (index, tensor) in stored.enumerated() {
        let name = tensor.name.text
        let original = try #require(originals[name])
        let output = try #require(exported[name])
        #expect(plan.items[index].stored.name == tensor.name)
        guard case .quantized(let bits, _) = tensor.encoding else {
          #expect(output == original)
          #expect(report.statistics[index] == QuantizationStatistics())
          continue
        }
        quantizedCount += 1
        let shape = tensor.shape
        let region = try tensor.load(workers: Workers(count: 1)).region
        let values = dequantized(
          region.bytes.copy(), rows: shape.rows, columns: shape.columns, bits: bits,
          group: tensor.encoding.groupSize(columns: shape.columns))
        #expect(output.dtype == .f32 && output.shape == original.shape)
        #expect(output.values.map(\.bitPattern) == values.map(\.bitPattern), "\(name)")
        let (error, norm) = zip(original.values, values).reduce((0.0, 0.0)) { sum, pair in
          let difference = Double(pair.0) - Double(pair.1)
          return (sum.0 + difference * difference, sum.1 + Double(pair.0) * Double(pair.0))
        }
        let expected = (error / norm).squareRoot()
        #expect(abs(report.statistics[index].relativeError - expected) < 1e-6 * expected)
        #expect(report.statistics[index].elementCount == values.count)
        #expect(expected < (bits == 8 ? 0.02 : 0.25))
      }
      // Embedding, head, two KDA layers, one MLA layer, one dense one, two with experts.
      #expect(quantizedCount == 2 + 2 * 4 + 4 + 3 + 2 * (3 * 3 + 3))
      #expect(stored.count == originals.count)
    }
  }

  private func byName(_ tensors: [TinyTensor]) -> [String: TinyTensor] {
    Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0) })
  }

  @Test(arguments: ["int4-g32", "int8-row"])
  func `the number of threads changes no byte`(scheme: String) throws {
    try TemporaryFolder.with { folder in
      // Tensors of several chunks, so that threads meet.
      let checkpoint = TinyCheckpoint { ($0.vocabularySize, $0.hiddenSize) = (20_000, 128) }
      let source = try checkpoint.write(to: folder)
      var statistics: [[QuantizationStatistics]] = []
      for threads in [1, 2, 8] {
        let (_, report) = try pack(
          source, to: folder.path.appending("\(threads).kiln"), recipe: try recipe(scheme),
          threads: threads)
        statistics.append(report.statistics)
        #expect(try folder.read("\(threads).kiln") == folder.read("1.kiln"))
        try export(
          folder.path.appending("1.kiln"), to: folder.path.appending("\(threads)"), dtype: .bf16,
          threads: threads)
        #expect(
          try folder.read("\(threads)/model.safetensors") == folder.read("1/model.safetensors"))
      }
      #expect(statistics[1] == statistics[0] && statistics[2] == statistics[0])
    }
  }

  @Test(arguments: TinyCheckpoint.variants)
  func `fused tensors are put together again, rows that do not fit fall back`(
    checkpoint: TinyCheckpoint
  ) throws {
    try TemporaryFolder.with { folder in
      let source = try checkpoint.write(to: folder)
      let packed = folder.path.appending("x.kiln")
      let (plan, _) = try pack(source, to: packed, recipe: try recipe("int4-g64"))
      for item in plan.items where item.encoding.isQuantized {
        let columns = item.stored.shape.columns
        let isCareful = [.mlaProjection, .embedding, .head].contains(item.role)
        let bits = isCareful ? 8 : 4
        let expected =
          columns % 64 == 0
          ? "int\(bits)-g64" : columns % 32 == 0 ? "int\(bits)-g32" : "int8-row"
        #expect(item.encoding.description == expected)
        #expect((item.note == nil) == (columns % 64 == 0))
      }
      try export(packed, to: folder.path.appending("out"))
      let originals = try storedTensors(source)
      let exported = try storedTensors(folder.path.appending("out"))
      #expect(exported.map(\.name) == originals.map(\.name))
      #expect(exported.map(\.shape) == originals.map(\.shape))
      for (output, original) in zip(exported, originals) {
        guard output != original else { continue }
        #expect(output.dtype == .f32)
        let largest = original.values.map(abs).max() ?? 0
        for (value, was) in zip(output.values, original.values) {
          #expect(abs(value - was) <= largest / 7)
        }
      }
    }
  }

  @Test func `codes are copied, another scheme is refused`() throws {
    try TemporaryFolder.with { folder in
      let source = try TinyCheckpoint().write(to: folder)
      let packed = folder.path.appending("x.kiln")
      try pack(source, to: packed, recipe: try recipe("int4-g32"))
      // The same again, and no recipe at all.
      let (plan, report) = try pack(
        packed, to: folder.path.appending("same.kiln"), recipe: try recipe("int4-g32"))
      #expect(try folder.read("same.kiln") == folder.read("x.kiln"))
      #expect(plan.items.allSatisfy { !$0.isQuantizedNow })
      #expect(report.statistics.allSatisfy { $0 == QuantizationStatistics() })
      try pack(packed, to: folder.path.appending("copy.kiln"))
      #expect(try folder.read("copy.kiln") == folder.read("x.kiln"))
      for scheme in ["int8-g32", "int4-row", "bf16", "f32"] {
        let output = folder.path.appending("other.kiln")
        #expect(throws: ConversionError.self) {
          try pack(packed, to: output, recipe: try recipe(scheme))
        }
      }
      #expect(try folder.entries == ["checkpoint", "copy.kiln", "same.kiln", "x.kiln"])
      // From a lossless packed file, quantizing gives the same tensors as from the source.
      let lossless = folder.path.appending("lossless.kiln")
      try pack(source, to: lossless)
      try pack(lossless, to: folder.path.appending("late.kiln"), recipe: try recipe("int4-g32"))
      #expect(try folder.read("late.kiln") == folder.read("x.kiln"))
    }
  }

  @Test func `values that are not finite are counted and make no scale that is not`() throws {
    let checkpoint = TinyCheckpoint()
    var tensors = checkpoint.tensors
    let name = "model.layers.0.self_attn.q_proj.weight"
    let index = try #require(tensors.firstIndex { $0.name == name })
    for (element, bits) in [(0, 0x7FC1), (5, 0x7F80), (77, 0xFF80), (78, 0xFFFF), (79, 0x7F80)] {
      let offset = 2 * element
      tensors[index].bytes = tensors[index].bytes.replacing(at: offset, with: UInt16(bits))
    }
    try TemporaryFolder.with { folder in
      let source = try checkpoint.write(to: folder, tensors: tensors)
      let (plan, report) = try pack(
        source, to: folder.path.appending("x.kiln"), recipe: try recipe("int8-g32"))
      let place = try #require(plan.items.firstIndex { $0.stored.name == ExactString(name) })
      #expect(report.statistics[place].nanCount == 2)
      #expect(report.statistics[place].infinityCount == 3)
      #expect(report.statistics.reduce(0) { $0 + $1.nanCount + $1.infinityCount } == 5)
      try export(folder.path.appending("x.kiln"), to: folder.path.appending("out"))
      let output = try #require(
        try storedTensors(folder.path.appending("out")).first { $0.name == name })
      #expect(output.values.allSatisfy { $0.isFinite })
      #expect(output.values[0] == 0 && output.values[5] > 0 && output.values[77] < 0)
    }
  }

  @Test(arguments: [DType.bf16, .f16, .f32], ["bf16", "f32"])
  func `floating-point schemes round as the hardware does`(source: DType, scheme: String) throws {
    let checkpoint = TinyCheckpoint { $0.dtype = source }
    try TemporaryFolder.with { folder in
      let path = try checkpoint.write(to: folder)
      let (plan, _) = try pack(
        path, to: folder.path.appending("x.kiln"), recipe: try recipe(scheme))
      let target = try #require(DType(rawValue: scheme.uppercased()))
      for (stored, original) in zip(
        try Checkpoint(folder.path.appending("x.kiln")).storedTensors.sorted { $0.name < $1.name },
        checkpoint.tensors.sorted { $0.name < $1.name })
      {
        #expect(stored.name.text == original.name)
        let isKept = plan.items.contains {
          $0.stored.name == stored.name && !$0.role.isQuantizable
        }
        let dtype = isKept ? original.dtype : target
        #expect(stored.encoding == .plain(dtype), "\(original.name)")
        let region = try stored.load(workers: Workers(count: 1)).region
        let found = TinyTensor(
          name: original.name, dtype: dtype, shape: original.shape, bytes: region.bytes.copy())
        let expected = original.values.map { dtype == .bf16 ? BFloat16($0).floatValue : $0 }
        #expect(found.values == expected)
      }
    }
  }

  @Test(.timeLimit(.minutes(1)))
  func `a tensor with rows but no elements is not worked on`() throws {
    let checkpoint = TinyCheckpoint()
    let empty = TinyTensor(name: "extra", dtype: .bf16, shape: [1 << 62, 0], bytes: [])
    try TemporaryFolder.with { folder in
      let source = try checkpoint.write(to: folder, tensors: checkpoint.tensors + [empty])
      let rules = """
        {"kiln_recipe":1,"rules":[{"name":"extra","scheme":"f32"}],"default":"source"}
        """
      try pack(
        source, to: folder.path.appending("x.kiln"),
        recipe: try Recipe(parsing: Array(rules.utf8), file: "recipe"))
      let extra = try #require(
        try storedTensors(folder.path.appending("x.kiln")).first { $0.name == "extra" })
      #expect(extra.shape == [1 << 62, 0] && extra.bytes.isEmpty)
    }
  }
}
