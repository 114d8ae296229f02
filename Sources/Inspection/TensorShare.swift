// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import TensorCore

/// The sizes of some tensors together.
package struct TensorShare: Sendable, Equatable {
  package private(set) var tensorCount = 0
  /// Their elements.
  package private(set) var parameterCount = 0
  /// Their bytes as they are stored.
  package private(set) var byteCount = 0

  /// No tensor.
  package init() {}

  /// Bits for each parameter, as they are stored.
  package var bitsPerWeight: Double {
    parameterCount == 0 ? 0 : Double(byteCount) * 8 / Double(parameterCount)
  }

  /// Adds a tensor.
  ///
  /// Sums stay at the largest number: a file may name tensors of no bytes and any size.
  package mutating func add(_ tensor: StoredTensor) {
    add(
      TensorShare(
        tensorCount: 1, parameterCount: tensor.shape.elementCount,
        byteCount: tensor.storedByteCount))
  }

  private init(tensorCount: Int, parameterCount: Int, byteCount: Int) {
    self.tensorCount = tensorCount
    self.parameterCount = parameterCount
    self.byteCount = byteCount
  }

  private mutating func add(_ other: TensorShare) {
    func sum(_ left: Int, _ right: Int) -> Int {
      let (sum, overflow) = left.addingReportingOverflow(right)
      return overflow ? .max : sum
    }
    tensorCount = sum(tensorCount, other.tensorCount)
    parameterCount = sum(parameterCount, other.parameterCount)
    byteCount = sum(byteCount, other.byteCount)
  }

  /// Both together.
  package static func + (left: TensorShare, right: TensorShare) -> TensorShare {
    var sum = left
    sum.add(right)
    return sum
  }
}
