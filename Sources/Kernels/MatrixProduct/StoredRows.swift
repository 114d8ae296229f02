// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Some rows of a stored matrix in float32, in the order given: an embedding look-up.
///
/// - Parameters:
///   - tensor: `[rows, columns]`.
///   - indices: Which rows.
///   - workers: Threads.
/// - Returns: `[indices.count, columns]`.
/// - Precondition: Every index is a row of the matrix.
package func rows(
  of tensor: EncodedTensor, _ indices: [Int], workers: Workers = Workers(count: 1)
) -> Matrix {
  Matrix(rows: indices.count, columns: tensor.shape.columns) { target in
    target.forEachRow(workers: workers) { row, elements in
      widen(tensor, rows: indices[row]..<indices[row] + 1, into: &elements)
    }
  }
}

/// All elements of a stored tensor in float32; for vectors and other small tensors.
package func widened(_ tensor: EncodedTensor) -> [Float] {
  var elements = [Float](repeating: 0, count: tensor.shape.elementCount)
  var span = elements.mutableSpan
  widen(tensor, rows: 0..<tensor.shape.rows, into: &span)
  return elements
}
