// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Products of activations with weights as they are stored: Y = X W^T.
///
/// X is `[N, in]`, W `[out, in]`, Y `[N, out]`. The weights are never held in float32 as a whole: a
/// block of rows that fits the cache is widened, used for many tokens, and forgotten.
package enum WeightProduct {
  /// Most elements of a block of widened weights: half a megabyte, half of a common L2 cache.
  private static let blockElementCount = 1 << 17
  /// Tokens that share one widening; more than that would leave threads without work.
  private static let tokensPerItem = 1024

  /// Multiplies all tokens with a weight matrix.
  ///
  /// - Parameters:
  ///   - input: Activations `[N, in]`.
  ///   - weight: Stored weights, shape `[out, in]`.
  ///   - rows: Which rows of the weights to use; all by default.
  ///   - workers: Threads. The result does not depend on their number.
  /// - Returns: `[N, rows.count]`.
  /// - Complexity: 2 N in out floating-point operations.
  package static func multiply(
    _ input: Matrix, by weight: EncodedTensor, rows: Range<Int>? = nil, workers: Workers
  ) -> Matrix {
    let rows = rows ?? 0..<weight.shape.rows
    precondition(weight.shape.columns == input.columns, "activations do not fit the weights")
    var output = Matrix(rows: input.rows, columns: rows.count)
    guard input.rows > 0 else { return output }
    let blockRows = blockRowCount(columns: input.columns)
    let rowBlocks = (rows.count + blockRows - 1) / blockRows
    let tokenBlocks = (input.rows + tokensPerItem - 1) / tokensPerItem
    output.withSharedRows { output in
      workers.forEach(rowBlocks * tokenBlocks) { item in
        let first = rows.lowerBound + item % rowBlocks * blockRows
        let block = first..<min(first + blockRows, rows.upperBound)
        let token = item / rowBlocks * tokensPerItem
        multiplyBlock(
          input, tokens: token..<min(token + tokensPerItem, input.rows), by: weight, rows: block,
          into: output, column: first - rows.lowerBound)
      }
    }
    return output
  }

  /// Multiplies on the calling thread, for callers that divide the work in another way.
  package static func multiplyAlone(_ input: Matrix, by weight: EncodedTensor) -> Matrix {
    multiply(input, by: weight, workers: Workers(count: 1))
  }

  private static func blockRowCount(columns: Int) -> Int {
    let rows = blockElementCount / max(columns, 1)
    return min(max(rows / 16 * 16, 16), 256)
  }

  private static func multiplyBlock(
    _ input: Matrix, tokens: Range<Int>, by weight: EncodedTensor, rows: Range<Int>,
    into output: SharedRows, column: Int
  ) {
    let inner = input.columns
    let widened = unsafe [Float](unsafeUninitializedCapacity: rows.count * inner) { buffer, count in
      var span = unsafe MutableSpan(_unsafeElements: buffer)
      widen(weight, rows: rows, into: &span)
      count = buffer.count
    }
    unsafe input.elements.withUnsafeBufferPointer { inputBuffer in
      unsafe widened.withUnsafeBufferPointer { weights in
        guard let inputBase = inputBuffer.baseAddress, let weightBase = weights.baseAddress,
          let outputBase = unsafe output.address(row: tokens.lowerBound, column: column)
        else { return }
        unsafe SingleProduct.transposed(
          MatrixPointer(base: inputBase + tokens.lowerBound * inner, stride: inner),
          MatrixPointer(base: weightBase, stride: inner),
          into: MutableMatrixPointer(base: outputBase, stride: output.columns),
          rows: tokens.count, columns: rows.count, inner: inner)
      }
    }
  }
}
