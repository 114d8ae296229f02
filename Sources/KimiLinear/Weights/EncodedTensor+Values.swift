// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

extension EncodedTensor {
  /// Rows that are compared at a time.
  private static let rowsAtATime = 64

  /// Whether another tensor of the same shape has the same values, whatever their encodings; two NaN are the same.
  func hasValues(of other: EncodedTensor, workers: Workers) -> Bool {
    if encoding == other.encoding, region.bytes.equals(other.region.bytes) { return true }
    guard encoding.isWidened, other.encoding.isWidened else { return false }
    let (rows, columns) = (shape.rows, shape.columns)
    let pieces = (rows + Self.rowsAtATime - 1) / Self.rowsAtATime
    let results = workers.map(pieces) { piece in
      let part = piece * Self.rowsAtATime..<min((piece + 1) * Self.rowsAtATime, rows)
      var (left, right) = (
        [Float](repeating: 0, count: part.count * columns),
        [Float](repeating: 0, count: part.count * columns)
      )
      var leftSpan = left.mutableSpan
      widen(self, rows: part, into: &leftSpan)
      var rightSpan = right.mutableSpan
      widen(other, rows: part, into: &rightSpan)
      return left.elementsEqual(right) { $0 == $1 || $0.isNaN && $1.isNaN }
    }
    return results.allSatisfy(\.self)
  }
}

extension TensorEncoding {
  /// Whether its values can be had in float32.
  fileprivate var isWidened: Bool {
    if case .plain(let dtype) = self { dtype.isComputable } else { true }
  }
}
