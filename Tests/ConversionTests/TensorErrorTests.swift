// SPDX-License-Identifier: Apache-2.0

import Calibration
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

/// What rounding has cost each tensor, as the header of a packed file has it.
@Suite struct TensorErrorTests {
  private let source: CheckedCheckpoint

  init() throws {
    source = try CheckedCheckpoint(try Checkpoint(Fixtures.nano))
  }

  @discardableResult
  private func pack(
    _ source: CheckedCheckpoint, to path: FilePath, method: RoundingMethod? = .gptq,
    isCalibrated: Bool = true, options: PackingPlan.Options = .init()
  ) throws -> Packing.Report {
    let tokens = (0..<192).map { $0 * 31 % source.configuration.vocabularySize }
    let plan = try PackingPlan(
      source, recipe: try method.map { try recipe("int4-g32", method: $0) },
      producer: "kiln test", options: options,
      calibration: isCalibrated
        ? CalibrationText(
          text: [1, 2, 3],
          sample: CalibrationSample(tokens, windows: 4, context: 48, seed: 0)) : nil)
    return try Packing(plan, workers: Workers(count: 2)).run(
      to: path, replacing: false, progress: { _ in })
  }

  private func errors(_ path: FilePath) throws -> [ExactString: KilnHeader.TensorErrors] {
    var errors: [ExactString: KilnHeader.TensorErrors] = [:]
    for stored in try Checkpoint(path).storedTensors { errors[stored.name] = stored.errors }
    return errors
  }

  @Test func `errors of weights are those of what was written, and each role's lie between`() throws
  {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("x.kiln")
      let report = try pack(source, to: path)
      let errors = try errors(path)
      var outputs: [TensorRole: [Double]] = [:]
      for stored in try Checkpoint(path).storedTensors {
        let role = source.role(of: stored.name)
        guard stored.encoding.isQuantized else {
          #expect(stored.errors == nil, "\(stored.name)")
          continue
        }
        let original = widened(
          try #require(source.tensors[stored.name]).load(workers: Workers(count: 1)))
        let rounded = widened(try stored.load(workers: Workers(count: 1)))
        let error = zip(original, rounded).reduce(0.0) {
          $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1))
        }
        let norm = original.reduce(0.0) { $0 + Double($1) * Double($1) }
        let found = try #require(errors[stored.name])
        #expect(abs(found.weights - (error / norm).squareRoot()) < 1e-9, "\(stored.name)")
        // Rows of the embedding are looked up: there is no product.
        #expect((found.outputs == nil) == (role == .embedding), "\(stored.name)")
        if let output = found.outputs { outputs[role, default: []].append(output) }
      }
      #expect(outputs.count > 3)
      for (role, values) in outputs {
        let mean = try #require(report.evidence?.outputErrors[role]).relative
        let (least, largest) = (values.min() ?? 0, values.max() ?? 0)
        #expect(least * 0.999999 <= mean && mean <= largest * 1.000001, "\(role)")
      }
    }
  }

  @Test func `shards, compression and packing again have the same`() throws {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("x.kiln")
      try pack(source, to: path)
      let expected = try errors(path)
      #expect(!expected.isEmpty)
      let shards = folder.path.appending("shards")
      try pack(source, to: shards, options: .init(shardByteCount: 1 << 20, compressionLevel: 1))
      #expect(try errors(shards) == expected)
      for (number, origin) in [path, shards].enumerated() {
        let again = folder.path.appending("again\(number).kiln")
        try pack(
          CheckedCheckpoint(Checkpoint(origin)), to: again, method: nil, isCalibrated: false)
        #expect(try errors(again) == expected)
      }
    }
  }

  @Test func `without a calibration text nothing is said`() throws {
    try TemporaryFolder.with { folder in
      let path = folder.path.appending("x.kiln")
      try pack(source, to: path, method: .search, isCalibrated: false)
      #expect(try errors(path).isEmpty)
    }
  }

  @Test func `the better method has larger errors of weights and smaller ones of outputs`() throws {
    try TemporaryFolder.with { folder in
      var means: [(weights: Double, outputs: Double)] = []
      for method in [RoundingMethod.search, .gptq] {
        let path = folder.path.appending("\(method.rawValue).kiln")
        try pack(source, to: path, method: method)
        let found = try errors(path).filter { source.role(of: $0.key) == .kdaProjection }.values
        means.append(
          (
            found.reduce(0) { $0 + $1.weights } / Double(found.count),
            found.reduce(0) { $0 + ($1.outputs ?? .nan) } / Double(found.count)
          ))
      }
      #expect(means[1].weights > means[0].weights)
      #expect(means[1].outputs < means[0].outputs)
    }
  }
}
