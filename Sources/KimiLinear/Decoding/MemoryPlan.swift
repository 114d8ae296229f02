// SPDX-License-Identifier: Apache-2.0

import Kernels

/// Lays out the floats that a decoder works on in one piece of memory.
///
/// Places are handed out before the memory is there, so that its size is known first.
struct MemoryPlan {
  /// Floats so far.
  private(set) var count = 0
  /// Values that places begin with; 0 everywhere else.
  private(set) var contents: [(place: Range<Int>, values: [Float])] = []

  /// A place for `count` floats, on a cache line of its own.
  mutating func take(_ count: Int) -> Range<Int> {
    let start = (self.count + 15) / 16 * 16
    self.count = start + count
    return start..<start + count
  }

  /// A place that holds `values`.
  mutating func take(_ values: [Float]) -> Range<Int> {
    let place = take(values.count)
    contents.append((place, values))
    return place
  }

  /// The memory, filled with what places begin with; nil if there is not so much.
  func makeMemory() -> SharedFloats? {
    guard let memory = SharedFloats(count: count) else { return nil }
    for (place, values) in contents {
      memory.withMutable(place) { $0.copy(from: values.span) }
    }
    return memory
  }
}

/// Consecutive rows of a stored matrix that one member multiplies at a time.
struct RowBlock: Sendable {
  let matrix: StoredMatrix
  let rows: Range<Int>
  /// Where the products go, in the memory of the decoder.
  let output: Range<Int>

  /// Bytes of weights that a block has about: less than a microsecond of work.
  private static let byteCount = 12 << 10

  /// Rows of a matrix that make a block.
  ///
  /// Small matrices are cut into equal parts, a power of two of them, so that members have equally much to
  /// do.
  static func rowCount(of matrix: StoredMatrix) -> Int {
    let bytes = matrix.rows * max(matrix.rowByteCount, 1)
    let parts = max(bytes / byteCount, 1)
    let power = 1 << (Int.bitWidth - 1 - parts.leadingZeroBitCount)
    let rows = (matrix.rows + power - 1) / power
    return min(max((rows + 7) / 8 * 8, 8), MemberScratch.rowCount)
  }

  /// The blocks of some rows of a matrix.
  static func blocks(
    of matrix: StoredMatrix, rows: Range<Int>? = nil, output: Range<Int>
  ) -> [RowBlock] {
    let rows = rows ?? 0..<matrix.rows
    return stride(from: rows.lowerBound, to: rows.upperBound, by: rowCount(of: matrix)).map {
      first in
      let end = min(first + rowCount(of: matrix), rows.upperBound)
      let start = output.lowerBound + first - rows.lowerBound
      return RowBlock(
        matrix: matrix, rows: first..<end, output: start..<start + (end - first))
    }
  }
}
