// SPDX-License-Identifier: Apache-2.0

import Kernels

/// Consecutive rows of a stored matrix that one member multiplies at a time.
struct RowBlock: Sendable {
  let matrix: StoredMatrix
  let rows: Range<Int>
  /// Where the products go, in the memory of the decoder.
  let output: Range<Int>
}

/// How matrices are cut into blocks of rows for the members of a team.
///
/// No number depends on it.
struct BlockSize: Sendable {
  /// Members of the team.
  let members: Int

  /// Bytes of weights that a block has about: a microsecond of work, beside which what a block costs for
  /// itself, a tenth of that, is little.
  private static let usualByteCount = 24 << 10
  /// Bytes that it has at least where there are many members, of which each should have two.
  private static let leastByteCount = 8 << 10

  /// Rows that make a block.
  ///
  /// Small matrices are cut into equal parts, a power of two of them, so that members have equally much to
  /// do.
  ///
  /// - Parameters:
  ///   - rows: Rows of the matrix, or of several that are multiplied row by row.
  ///   - rowByteCount: Bytes of a row of all of them.
  /// - Returns: A multiple of 8, at most `MemberScratch.rowCount`.
  func rowCount(rows: Int, rowByteCount: Int) -> Int {
    let bytes = rows * max(rowByteCount, 1)
    let shares = Self.powerOfTwo(atMost: 4 * max(members, 1) - 1)
    let wanted = max(Self.powerOfTwo(atMost: bytes / Self.usualByteCount), shares)
    let parts = min(wanted, Self.powerOfTwo(atMost: bytes / Self.leastByteCount))
    let part = (rows + parts - 1) / parts
    return min(max((part + 7) / 8 * 8, 8), MemberScratch.rowCount)
  }

  /// The largest power of two that is no more than a number, 1 at least.
  private static func powerOfTwo(atMost number: Int) -> Int {
    number < 1 ? 1 : 1 << (Int.bitWidth - 1 - number.leadingZeroBitCount)
  }

  /// The blocks of a matrix.
  func blocks(of matrix: StoredMatrix, output: Range<Int>) -> [RowBlock] {
    let count = rowCount(rows: matrix.rows, rowByteCount: matrix.rowByteCount)
    return stride(from: 0, to: matrix.rows, by: count).map { first in
      let rows = first..<min(first + count, matrix.rows)
      let start = output.lowerBound + first
      return RowBlock(matrix: matrix, rows: rows, output: start..<start + rows.count)
    }
  }
}
