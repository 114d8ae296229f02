// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Some rows of a stored matrix in float32, in the order given: an embedding look-up.
///
/// - Returns: `[indices.count, columns]`.
/// - Precondition: Every index is a row of the matrix.
package func rows(of tensor: EncodedTensor, _ indices: [Int]) -> Matrix {
  let columns = tensor.shape.columns
  var matrix = Matrix(rows: indices.count, columns: columns)
  matrix.withSharedRows { target in
    for (row, index) in indices.enumerated() {
      target.withRow(row) { widen(tensor, rows: index..<index + 1, into: &$0) }
    }
  }
  return matrix
}

/// All elements of a stored tensor in float32; for vectors and other small tensors.
package func widened(_ tensor: EncodedTensor) -> [Float] {
  var elements = [Float](repeating: 0, count: tensor.shape.elementCount)
  var span = elements.mutableSpan
  widen(tensor, rows: 0..<tensor.shape.rows, into: &span)
  return elements
}
