// SPDX-License-Identifier: Apache-2.0

import Kernels
import Synchronization
import TensorCore

/// What the threads of a conversion read with and work in.
///
/// One chunk leaves its memory to the next: to take fresh memory for each would cost more than to round
/// its weights.
final class ChunkBuffers: Sendable {
  private let reader = BlockReader()
  private let bytes = Mutex<[[UInt8]]>([])
  private let values = Mutex<[[Float]]>([])

  /// Takes the buffers of all chunks at once, so that memory does not grow while a conversion goes on.
  ///
  /// - Parameters:
  ///   - count: How many there are at a time.
  ///   - byteCount: Their size; a chunk that needs a larger one takes that when it comes.
  init(count: Int, byteCount: Int) {
    bytes.withLock { bytes in
      bytes = (0..<count).map { _ in [UInt8](repeating: 0, count: byteCount) }
    }
  }

  /// A buffer of at least so many bytes, whatever is in it.
  func takeBytes(_ count: Int) -> [UInt8] {
    let buffer = bytes.withLock { $0.popLast() } ?? []
    return buffer.count >= count ? buffer : [UInt8](repeating: 0, count: count)
  }

  /// Keeps a buffer for another chunk, and takes it from the caller: one that two refer to would be copied before
  /// it is written over.
  func giveBack(_ buffer: inout [UInt8]) {
    guard !buffer.isEmpty else { return }
    bytes.withLock { bytes in
      bytes.append(buffer)
      buffer = []
    }
  }

  /// Room for at least so many numbers.
  func takeValues(_ count: Int) -> [Float] {
    let buffer = values.withLock { $0.popLast() } ?? []
    return buffer.count >= count ? buffer : [Float](repeating: 0, count: count)
  }

  /// Keeps room for another chunk.
  func giveBack(_ buffer: [Float]) { values.withLock { $0.append(buffer) } }

  /// Copies bytes of the source to the front of a buffer.
  ///
  /// - Throws: `FileError` if they cannot be read.
  func copy(_ region: MappedRegion, into buffer: inout [UInt8]) throws(FileError) {
    try reader.copy(region, into: &buffer)
  }

  /// Reads rows as float32.
  ///
  /// - Returns: Bytes of the source that they are.
  /// - Throws: `FileError` if they cannot be read.
  func widen(
    _ tensor: EncodedTensor, rows: Range<Int>, into values: inout MutableSpan<Float>
  ) throws(FileError) -> Int {
    let columns = tensor.shape.columns
    func region(of rows: Range<Int>, rowByteCount: Int, behind start: Int = 0) -> MappedRegion {
      tensor.region.part(
        start + rows.lowerBound * rowByteCount..<start + rows.upperBound * rowByteCount)
    }
    switch tensor.encoding {
    case .plain(let dtype):
      let stored = region(of: rows, rowByteCount: columns * dtype.bitWidth / 8)
      return try reader.withBytes(of: stored) { bytes in
        Kernels.widen(dtype, bytes, into: &values)
        return bytes.byteCount
      }
    case .quantized(let bits, _):
      let group = tensor.encoding.groupSize(columns: columns)
      let codes = region(of: rows, rowByteCount: columns * bits / 8)
      let scales = region(
        of: rows, rowByteCount: columns / group * 2, behind: tensor.codeByteCount)
      return try reader.withBytes(of: codes) { codes throws(FileError) in
        try reader.withBytes(of: scales) { scales in
          widenCodes(bits: bits, group: group, codes: codes, scales: scales, into: &values)
          return codes.byteCount + scales.byteCount
        }
      }
    }
  }
}
