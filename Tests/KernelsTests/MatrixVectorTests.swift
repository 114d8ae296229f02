// SPDX-License-Identifier: Apache-2.0

import Kernels
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Products of stored matrices with one vector.
@Suite struct MatrixVectorTests {
  static let encodings: [TensorEncoding] =
    [.plain(.bf16), .plain(.f16), .plain(.f32)]
    + TensorEncoding.codeWidths.flatMap { bits in
      [.size(32), .size(64), .size(128), .row].map { .quantized(bits: bits, group: $0) }
    }
  static let widths = [1, 2, 14, 17, 32, 64, 96, 100, 128, 160, 192, 256, 384, 1000]
  /// Eight rows are multiplied at a time, or four, or two; what is left one by one.
  private static let rowCount = 21

  /// A tensor whose bytes are random, scales and floats of moderate size.
  private func tensor(
    _ encoding: TensorEncoding, columns: Int, _ random: inout SeededGenerator
  ) throws -> EncodedTensor? {
    let shape = TensorShape([Self.rowCount, columns])
    guard let shape, let count = encoding.byteCount(shape), encoding.fits(columns: columns) else {
      return nil
    }
    var bytes: [UInt8] = []
    func half() -> UInt16 { UInt16(truncatingIfNeeded: random.next()) }
    switch encoding {
    case .plain(.f32):
      for _ in 0..<shape.elementCount {
        bytes += [UInt8](littleEndian: [Float.random(in: -2...2, using: &random)])
      }
    case .plain(.f16):
      // Any exponent but those of infinity and NaN: subnormal numbers included.
      for _ in 0..<shape.elementCount { bytes += [UInt8](littleEndian: [half() & 0xBBFF]) }
    case .plain:
      for _ in 0..<shape.elementCount {
        let bits = Float.random(in: -2...2, using: &random).bitPattern
        bytes += [UInt8](littleEndian: [UInt16(bits >> 16)])
      }
    case .quantized:
      let codes = try #require(encoding.codeByteCount(shape))
      for _ in 0..<codes { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
      for _ in 0..<(count - codes) / 2 {
        let bits = Float.random(in: -0.1...0.1, using: &random).bitPattern
        bytes += [UInt8](littleEndian: [UInt16(bits >> 16)])
      }
    }
    let memory = try UnpackedMemory(
      byteCount: count, pieceByteCount: count, workers: Workers(count: 1)
    ) { [bytes] _, target in
      for (index, byte) in bytes.enumerated() {
        target.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
      }
    }
    return EncodedTensor(encoding: encoding, shape: shape, region: MappedRegion(memory: memory))
  }

  private func product(
    _ matrix: StoredMatrix, _ vector: [Float], rows: [Range<Int>], on set: InstructionSet
  ) -> [Float] {
    var arranged = [Float](repeating: .nan, count: StoredMatrix.arrangedCount(vector.count))
    var span = arranged.mutableSpan
    matrix.arrange(vector.span, into: &span, on: set)
    return rows.flatMap { range in
      var output = [Float](repeating: .nan, count: range.count)
      var span = output.mutableSpan
      matrix.multiply(rows: range, by: arranged.span, into: &span, on: set)
      return output
    }
  }

  @Test(arguments: encodings)
  func `a product is that of the widened rows`(encoding: TensorEncoding) throws {
    var random = SeededGenerator(seed: 41)
    for columns in Self.widths {
      guard let tensor = try tensor(encoding, columns: columns, &random) else { continue }
      let matrix = StoredMatrix(tensor)
      let vector = (0..<columns).map { _ in Float.random(in: -1...1, using: &random) }
      let expected = referenceMatrixVector(tensor, vector)
      let magnitudes = referenceMatrixVector(tensor, vector, magnitudes: true)
      var (fused, summedInIntegers): ([Float]?, [Float]?)
      for set in InstructionSet.available {
        let whole = product(matrix, vector, rows: [0..<21], on: set)
        for (row, value) in whole.enumerated() {
          #expect(
            abs(Double(value) - expected[row]) <= 2e-6 * magnitudes[row] + 1e-30,
            "\(columns) columns, row \(row), \(set)")
        }
        let parts = [0..<1, 1..<4, 4..<4, 4..<17, 17..<21]
        #expect(product(matrix, vector, rows: parts, on: set) == whole)
        // Instruction sets with fused multiply-adds give the same bits, and so do those that sum in integers.
        switch set {
        case .portable: break
        case .avx512vnni where encoding.isQuantized, .avx512vbmi2 where encoding.isQuantized:
          #expect(summedInIntegers == nil || summedInIntegers == whole)
          summedInIntegers = whole
        case .avx2, .avx512, .avx512vnni, .avx512vbmi2:
          #expect(fused == nil || fused == whole)
          fused = whole
        }
      }
    }
  }

  /// Sums of integers lose what is far below the largest element that meets the same lane.
  @Test(arguments: encodings.filter(\.isQuantized))
  func `vectors of very different elements keep what float32 sums keep`(
    encoding: TensorEncoding
  ) throws {
    var random = SeededGenerator(seed: 43)
    for exponents in [-30...30, -4...4, -120 ... -100, 80...90] {
      for columns in [64, 128, 160, 1000, 1024] {
        guard let tensor = try tensor(encoding, columns: columns, &random) else { continue }
        var vector = (0..<columns).map { _ in
          let exponent = Int.random(in: exponents, using: &random)
          return Float.random(in: -1...1, using: &random)
            * Float(sign: .plus, exponent: exponent, significand: 1)
        }
        vector[columns / 2] = 0
        let largest = vector.reduce(0) { max($0, abs($1)) }
        let ones = [Float](repeating: largest, count: columns)
        let expected = referenceMatrixVector(tensor, vector)
        let magnitudes = referenceMatrixVector(tensor, ones, magnitudes: true)
        for set in InstructionSet.available {
          let found = product(StoredMatrix(tensor), vector, rows: [0..<21], on: set)
          for (row, value) in found.enumerated() {
            #expect(
              abs(Double(value) - expected[row]) <= 0x1p-21 * magnitudes[row],
              "\(columns) columns, row \(row), \(set)")
          }
        }
      }
    }
  }

  @Test(arguments: encodings.filter(\.isQuantized))
  func `a vector of zeros gives zeros, one with NaN or infinity no number`(
    encoding: TensorEncoding
  ) throws {
    var random = SeededGenerator(seed: 44)
    for columns in [32, 128, 160, 384] {
      guard let tensor = try tensor(encoding, columns: columns, &random) else { continue }
      for set in InstructionSet.available {
        var vector = [Float](repeating: 0, count: columns)
        #expect(
          product(StoredMatrix(tensor), vector, rows: [0..<21], on: set).allSatisfy { $0 == 0 })
        for special in [Float.nan, .infinity, -.infinity] {
          vector[columns - 5] = special
          // A code of 0 makes NaN of infinity in any arithmetic.
          let found = product(StoredMatrix(tensor), vector, rows: [0..<21], on: set)
          #expect(found.allSatisfy { !$0.isFinite }, "\(special), \(set)")
        }
      }
    }
  }

  @Test(arguments: encodings)
  func `a sum of rows is that of the widened rows`(encoding: TensorEncoding) throws {
    var random = SeededGenerator(seed: 42)
    for columns in Self.widths {
      guard let tensor = try tensor(encoding, columns: columns, &random) else { continue }
      let factors = (0..<5).map { _ in Float.random(in: -1...1, using: &random) }
      let widened = rows(of: tensor, [1, 2, 3, 4, 5])
      for set in InstructionSet.available {
        var output = [Float](repeating: .nan, count: columns)
        var span = output.mutableSpan
        StoredMatrix(tensor).addRows(1..<6, times: factors.span, into: &span, on: set)
        for column in 0..<columns {
          let terms = (0..<5).map { Double(widened[$0, column]) * Double(factors[$0]) }
          let magnitude = terms.reduce(0) { $0 + abs($1) }
          #expect(
            abs(Double(output[column]) - terms.reduce(0, +)) <= 1e-6 * magnitude + 1e-30,
            "\(columns) columns, column \(column), \(set)")
        }
      }
    }
  }

  @Test func `values that are not finite stay so`() throws {
    for (dtype, special, isNaN) in [
      (DType.bf16, 0x7F80, false), (.f16, 0x7C00, false), (.bf16, 0x7FC0, true),
      (.f16, 0x7E00, true),
    ] {
      let shape = try #require(TensorShape([1, 40]))
      var halves = [UInt16](repeating: 0, count: 40)
      halves[33] = UInt16(special)
      let bytes = [UInt8](littleEndian: halves)
      let memory = try UnpackedMemory(
        byteCount: 80, pieceByteCount: 80, workers: Workers(count: 1)
      ) { _, target in
        for (index, byte) in bytes.enumerated() {
          target.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
        }
      }
      let tensor = try #require(
        EncodedTensor(encoding: .plain(dtype), shape: shape, region: MappedRegion(memory: memory)))
      let ones = [Float](repeating: 1, count: 40)
      for set in InstructionSet.available {
        let value = product(StoredMatrix(tensor), ones, rows: [0..<1], on: set)[0]
        #expect(isNaN ? value.isNaN : value == .infinity, "\(dtype) \(special)")
      }
    }
  }
}
