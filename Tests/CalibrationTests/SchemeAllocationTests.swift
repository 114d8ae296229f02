// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Kernels
import KimiLinear
import Quantization
import TensorCore
import TestSupport
import Testing

/// Schemes for a size: they fit it, the recipe says the same as the table, and losses follow from errors.
@Suite struct SchemeAllocationTests {
  private static let sizes = [5.9, 6.4, 7, 8.2, 10, 13]

  private func source(
    _ folder: TemporaryFolder, _ checkpoint: TinyCheckpoint = TinyCheckpoint()
  ) throws -> CheckedCheckpoint {
    try CheckedCheckpoint(Checkpoint(checkpoint.write(to: folder)))
  }

  private func allocate(
    _ source: CheckedCheckpoint, bitsPerWeight: Double, _ loss: (AllocationUnit) -> Double
  ) throws -> SchemeAllocation {
    let losses = AllocationUnit.all(of: source).map {
      UnitSensitivities.Loss(unit: $0.unit, loss: loss($0.unit))
    }
    let none = Recipe(rules: [], fallback: .source, method: .search)
    return try SchemeAllocation(
      source, choices: try SchemeChoices(source, overrides: none),
      sample: CalibrationSample([], windows: 1, context: 1, seed: 0),
      known: UnitSensitivities(method: .search, losses: losses, coverage: []),
      bitsPerWeight: bitsPerWeight, method: .search, options: CalibrationModel.options,
      progress: { _ in })
  }

  /// Losses of which those of outputs are much larger, or much smaller, than those of the rest of their layer.
  private func loss(of unit: AllocationUnit, outputsMatter: Bool) -> Double {
    let base = 0.01 * Double(1 + (unit.layer ?? 5) * 7 % 5)
    return (unit.output != nil) == outputsMatter ? 50 * base : base
  }

  @Test(arguments: sizes, [false, true])
  func `all tensors fit the size, and the recipe gives each what the table says`(
    bitsPerWeight: Double, outputsMatter: Bool
  ) throws {
    try TemporaryFolder.with { folder in
      let source = try source(folder)
      let allocation = try allocate(source, bitsPerWeight: bitsPerWeight) {
        loss(of: $0, outputsMatter: outputsMatter)
      }
      var planned: [ExactString: TensorEncoding] = [:]
      for (row, entry) in zip(allocation.rows, AllocationUnit.all(of: source)) {
        #expect(row.unit == entry.unit)
        #expect(row.measuredLoss == loss(of: entry.unit, outputsMatter: outputsMatter))
        #expect(row.parameterCount == entry.tensors.reduce(0) { $0 + $1.shape.elementCount })
        #expect(
          row.byteCount == entry.tensors.reduce(0) { $0 + (row.encoding.byteCount($1.shape) ?? 0) })
        for stored in entry.tensors { planned[stored.name] = row.encoding }
      }
      var byteCount = 0
      for stored in source.tensors.tensors {
        let decision = allocation.recipe.decision(
          name: stored.name, role: source.role(of: stored.name), shape: stored.shape,
          source: stored.encoding)
        #expect(
          decision.encoding == planned[stored.name] ?? stored.encoding, "\(stored.name)")
        #expect(decision.reason == nil)
        byteCount += try #require(decision.encoding.byteCount(stored.shape))
      }
      let parameters = source.tensors.tensors.reduce(0) { $0 + $1.shape.elementCount }
      let reached = Double(byteCount) * 8 / Double(parameters)
      #expect(reached <= bitsPerWeight && reached > bitsPerWeight - 0.75)
      // Outputs are told from the rest of their layer, or nothing above was tried.
      let pairs = allocation.rows.filter { $0.unit.output != nil }.map { output in
        (
          output.encoding,
          allocation.rows.first {
            ($0.unit.layer, $0.unit.role) == (output.unit.layer, output.unit.role)
              && $0.unit.output == nil
          }?.encoding
        )
      }
      #expect(pairs.contains { $0.0 != $0.1 })
    }
  }

  @Test(arguments: [[2], [1, 3], [0, 4], [1, 2]])
  func `layers that get the same scheme are one rule, without those between them`(
    sensitive: [Int]
  ) throws {
    try TemporaryFolder.with { folder in
      let source = try source(
        folder,
        TinyCheckpoint {
          ($0.isLinear, $0.denseLayers) = ([Bool](repeating: true, count: 5), 5)
        })
      let allocation = try allocate(source, bitsPerWeight: 9) { unit in
        unit.layer.map(sensitive.contains) == true ? 1000 : 0.001
      }
      var encodings: Set<String> = []
      for (row, entry) in zip(allocation.rows, AllocationUnit.all(of: source)) {
        for stored in entry.tensors {
          let decision = allocation.recipe.decision(
            name: stored.name, role: source.role(of: stored.name), shape: stored.shape,
            source: stored.encoding)
          #expect(decision.encoding == row.encoding, "\(stored.name)")
        }
        if row.unit.role == .kdaProjection { encodings.insert(row.encoding.description) }
      }
      #expect(encodings.count > 1)
    }
  }

  @Test func `losses grow with the squared error of the first matrix`() throws {
    try TemporaryFolder.with { folder in
      let source = try source(folder)
      let allocation = try allocate(source, bitsPerWeight: 7) { unit in
        loss(of: unit, outputsMatter: true)
      }
      var isQuantized = false
      for (row, entry) in zip(allocation.rows, AllocationUnit.all(of: source)) {
        guard row.encoding.isQuantized else {
          #expect(row.expectedLoss == 0)
          continue
        }
        let stored = try #require(entry.tensors.first)
        let weights = Matrix(
          rows: stored.shape.rows, columns: stored.shape.columns,
          elements: widened(try stored.load(workers: CalibrationModel.workers)))
        func error(_ encoding: TensorEncoding) throws -> Double {
          let (codes, scales) = try roundedAlone(weights, as: encoding, .search)
          var values = Matrix(rows: weights.rows, columns: weights.columns)
          var span = values.elements.mutableSpan
          let bytes = [UInt8](littleEndian: scales)
          guard case .quantized(let bits, _) = encoding else { return 0 }
          unsafe widenCodes(
            bits: bits, group: encoding.groupSize(columns: weights.columns),
            codes: codes.span.bytes, scales: bytes.span.bytes, into: &span)
          return Squares.sums(values, weights).error
        }
        let expected =
          row.measuredLoss * (try error(row.encoding)) / (try error(CalibrationModel.int4))
        #expect(abs(row.expectedLoss - expected) <= 1e-5 * expected, "\(row.unit.description)")
        if row.encoding != CalibrationModel.int4 { isQuantized = true }
      }
      #expect(isQuantized)
    }
  }

  @Test func `a part that loses less than nothing gets the smallest scheme`() throws {
    try TemporaryFolder.with { folder in
      let source = try source(folder)
      let allocation = try allocate(source, bitsPerWeight: 8) { unit in
        unit.role == .head ? -0.5 : 0.1
      }
      let row = try #require(allocation.rows.last)
      #expect(row.unit.role == .head && row.measuredLoss == -0.5 && row.expectedLoss == 0)
      // Rows of 64 elements: four bits, and one scale for all of them.
      #expect(row.encoding == .quantized(bits: 4, group: .size(64)))
    }
  }

  @Test func `rows that no group divides get one scale or stay as they are`() throws {
    try TemporaryFolder.with { folder in
      let source = try source(
        folder, TinyCheckpoint { ($0.hiddenSize, $0.expertWidth) = (45, 33) })
      for bitsPerWeight in [9.0, 12, 15] {
        let allocation = try allocate(source, bitsPerWeight: bitsPerWeight) { _ in 0.1 }
        for (row, entry) in zip(allocation.rows, AllocationUnit.all(of: source)) {
          let isOdd = entry.tensors.contains { $0.shape.columns % 32 != 0 }
          guard isOdd else { continue }
          #expect([.plain(.bf16), .quantized(bits: 8, group: .row)].contains(row.encoding))
        }
      }
    }
  }
}
