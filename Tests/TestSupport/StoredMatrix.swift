// SPDX-License-Identifier: Apache-2.0

package import TensorCore

extension EncodedTensor {
  /// A tensor of random stored elements, in memory.
  ///
  /// Plain elements and scales are finite and of a size like that of weights, codes are any codes.
  ///
  /// - Throws: `Errno` if there is no memory, `StoredMatrixError` if the shape does not fit the encoding.
  package static func random(
    _ encoding: TensorEncoding, rows: Int, columns: Int, using generator: inout SeededGenerator
  ) throws -> EncodedTensor {
    guard let shape = TensorShape([rows, columns]), let size = encoding.byteCount(shape) else {
      throw StoredMatrixError.shapeDoesNotFit
    }
    let codes = size - encoding.scaleByteCount(shape)
    var bytes: [UInt8] = []
    if case .plain(let dtype) = encoding {
      for _ in 0..<shape.elementCount {
        let number = Float.random(in: -1...1, using: &generator)
        switch dtype {
        case .bf16: bytes += [UInt8](littleEndian: [UInt16(number.bitPattern >> 16)])
        case .f16: bytes += [UInt8](littleEndian: [Float16(number).bitPattern])
        default: bytes += [UInt8](littleEndian: [number.bitPattern])
        }
      }
    } else {
      bytes = (0..<codes).map { _ in UInt8.random(in: 0...255, using: &generator) }
      for _ in 0..<(size - codes) / 2 {
        let scale = Float.random(in: 0.001...0.01, using: &generator)
        bytes += [UInt8](littleEndian: [UInt16(scale.bitPattern >> 16)])
      }
    }
    let stored = bytes
    let memory = try UnpackedMemory(
      byteCount: size, pieceByteCount: max(size, 1), workers: Workers(count: 1)
    ) { _, target in
      for (index, byte) in stored.enumerated() {
        target.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
      }
    }
    guard
      let tensor = EncodedTensor(
        encoding: encoding, shape: shape, region: MappedRegion(memory: memory))
    else { throw StoredMatrixError.shapeDoesNotFit }
    return tensor
  }
}

/// What can be wrong with the parameters of a random tensor.
package enum StoredMatrixError: Error {
  /// The encoding cannot hold the shape.
  case shapeDoesNotFit
}
