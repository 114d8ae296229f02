// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// One of several products that are computed in one parallel run: Y = X W^T, and what is done with Y
/// while its elements are in the first-level cache.
package struct PlannedProduct: Sendable {
  /// Changes elements of the product that have just been computed.
  ///
  /// Each block of columns is one thread's, which passes all rows in ascending order, a strip at a time.
  package typealias Finish =
    @Sendable (_ product: SharedRows, _ rows: Range<Int>, _ columns: Range<Int>) -> Void

  /// X `[N, in]`.
  let input: PackedRows
  /// W `[out, in]`, as it is stored.
  let weight: EncodedTensor
  /// What is done with Y; nil for nothing.
  let finish: Finish?

  /// - Parameters:
  ///   - input: X `[N, in]`.
  ///   - weight: W `[out, in]`, as it is stored.
  ///   - finish: What is done with Y.
  /// - Precondition: Both have the same inner dimension.
  package init(_ input: PackedRows, by weight: EncodedTensor, finish: Finish? = nil) {
    precondition(weight.shape.columns == input.columns, "activations do not fit the weights")
    self.input = input
    self.weight = weight
    self.finish = finish
  }
}
