// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Glibc
import Kernels
import KimiLinear
import Quantization
import TensorCore
import TestSupport
import Testing

/// A small model in float32, with values of a test's own in some of its tensors, on which a calibration runs.
struct CalibrationModel {
  static let workers = Workers(count: 2)
  static let options = Model.Options(kernel: .chunkwise(chunk: 16), workers: workers)
  static let int4 = TensorEncoding.quantized(bits: 4, group: .size(32))

  let source: CheckedCheckpoint

  /// Writes the checkpoint and opens it.
  ///
  /// - Parameters:
  ///   - checkpoint: The model; its tensors are stored in float32, whatever it says.
  ///   - values: All elements of some tensors, by name.
  ///   - folder: Where its folder goes.
  ///   - name: Name of its folder.
  /// - Throws: If it cannot be written, or a tensor is not there or of another size.
  init(
    _ checkpoint: TinyCheckpoint, changing values: [String: [Float]] = [:],
    in folder: TemporaryFolder, as name: String = "model"
  ) throws {
    var checkpoint = checkpoint
    checkpoint.dtype = .f32
    var tensors = checkpoint.tensors
    for (name, elements) in values {
      let index = try #require(tensors.firstIndex { $0.name == name })
      try #require(elements.count == tensors[index].shape.reduce(1, *))
      tensors[index].bytes = elements.flatMap { $0.bitPattern.littleEndianBytes }
    }
    source = try CheckedCheckpoint(
      Checkpoint(try checkpoint.write(to: folder, as: name, tensors: tensors)))
  }

  /// The elements of a tensor.
  func elements(_ name: String) throws -> [Float] {
    let stored = try #require(source.tensors[ExactString(name)])
    return widened(try stored.load(workers: Self.workers))
  }

  /// A matrix of the model.
  func matrix(_ name: String) throws -> Matrix {
    let shape = try #require(source.tensors[ExactString(name)]).shape
    return Matrix(rows: shape.rows, columns: shape.columns, elements: try elements(name))
  }

  /// The calibration of some matrices by a text.
  func quantizer(
    _ names: [String], method: RoundingMethod, encoding: TensorEncoding = int4, tokens: [Int],
    context: Int
  ) throws -> SequentialQuantizer {
    let target = SequentialQuantizer.Target(encoding: encoding, method: method)
    return try SequentialQuantizer(
      source, targets: Dictionary(uniqueKeysWithValues: names.map { (ExactString($0), target) }),
      sample: try #require(
        CalibrationSample(
          tokens: tokens, context: context, seed: 0, availableWindows: tokens.count / context)),
      options: Self.options, progress: { _ in })
  }
}

extension QuantizedTensor {
  /// Codes and scales as they are stored.
  var bytes: [UInt8] {
    let region = tensor.region
    return region.bytes.copy()
  }

  /// The values that codes and scales stand for.
  var values: Matrix {
    Matrix(rows: tensor.shape.rows, columns: tensor.shape.columns, elements: widened(tensor))
  }
}

/// Codes and scales of a matrix that is rounded by itself.
func roundedAlone(
  _ weights: Matrix, as encoding: TensorEncoding, _ method: RoundingMethod
) throws -> (codes: [UInt8], scales: [BFloat16]) {
  let shape = try #require(TensorShape([weights.rows, weights.columns]))
  var codes = [UInt8](repeating: 0, count: try #require(encoding.codeByteCount(shape)))
  var scales = [BFloat16](
    repeating: BFloat16(bitPattern: 0), count: encoding.scaleByteCount(shape) / 2)
  var codeSpan = codes.mutableSpan
  var scaleSpan = scales.mutableSpan
  _ = quantizeRows(
    weights.elements.span, columns: weights.columns, encoding: encoding, method: method,
    codes: &codeSpan, scales: &scaleSpan)
  return (codes, scales)
}

/// Sums of squares in double precision, for errors that are computed a second time.
enum Squares {
  /// Squared distances of the elements, and squares of those of the second matrix.
  static func sums(_ values: Matrix, _ weights: Matrix) -> (error: Double, norm: Double) {
    zip(values.elements, weights.elements).reduce((0, 0)) { sums, pair in
      let difference = Double(pair.0) - Double(pair.1)
      return (sums.0 + difference * difference, sums.1 + Double(pair.1) * Double(pair.1))
    }
  }

  /// Root of the sum over rows of e H e^T over that of w H w^T, where e = values - weights and H is the second
  /// moments, divided by the mean of their diagonal, with a hundredth added to it.
  static func outputError(
    _ values: Matrix, _ weights: Matrix, moments: [[Double]]
  ) -> Double {
    let count = moments.count
    let mean = (0..<count).reduce(0.0) { $0 + moments[$1][$1] } / Double(count)
    func form(_ row: [Double]) -> Double {
      var sum = 0.0
      for left in 0..<count {
        for right in 0..<count {
          let damped = moments[left][right] / mean + (left == right ? 0.01 : 0)
          sum += row[left] * damped * row[right]
        }
      }
      return sum
    }
    var (error, norm) = (0.0, 0.0)
    for row in 0..<weights.rows {
      let was = weights.row(row).map { Double($0) }
      error += form(zip(values.row(row), was).map { Double($0) - $1 })
      norm += form(was)
    }
    return (error / norm).squareRoot()
  }

  /// Means of the products of elements: of w^2 x x^T over the rows x, with their weights w.
  static func moments(_ inputs: [[Double]], weights: [Double]? = nil) -> [[Double]] {
    let count = inputs.first?.count ?? 0
    var sums = [[Double]](repeating: [Double](repeating: 0, count: count), count: count)
    for (index, input) in inputs.enumerated() {
      let weight = weights.map { $0[index] } ?? 1
      for left in 0..<count {
        for right in 0..<count { sums[left][right] += weight * weight * input[left] * input[right] }
      }
    }
    return sums.map { $0.map { $0 / Double(max(inputs.count, 1)) } }
  }
}

/// A layer in double precision, for inputs that are computed a second time.
enum PlainArithmetic {
  /// RMSNorm of a row.
  static func normalized(_ row: [Double], weight: [Float], epsilon: Float) -> [Double] {
    let mean = row.reduce(0) { $0 + $1 * $1 } / Double(row.count)
    let factor = 1 / (mean + Double(epsilon)).squareRoot()
    return zip(row, weight).map { $0 * factor * Double($1) }
  }

  /// Products of a row with the rows of a matrix.
  static func product(_ row: [Double], _ matrix: Matrix) -> [Double] {
    (0..<matrix.rows).map { index in
      zip(row, matrix.row(index)).reduce(0) { $0 + $1.0 * Double($1.1) }
    }
  }

  static func sigmoid(_ value: Double) -> Double { 1 / (1 + exp(-value)) }

  /// What a gated feed-forward part gives its last matrix: silu(gate x) * (up x).
  static func hidden(_ row: [Double], gate: Matrix, up: Matrix) -> [Double] {
    zip(product(row, gate), product(row, up)).map { $0 * sigmoid($0) * $1 }
  }
}
