// SPDX-License-Identifier: Apache-2.0

internal import CKernels

/// The right operand of a strip product: element (k, j) is at
/// `j / C * panelStep + k * stride + j % C`, C being the panel's width.
struct PanelLayout {
  /// Distance of two values of the inner index.
  let stride: Int
  /// Distance of two panels.
  let panelStep: Int

  /// Panels as `packPanels` makes them.
  static func packed(inner: Int, on instructions: InstructionSet) -> PanelLayout {
    PanelLayout(stride: instructions.panelWidth, panelStep: instructions.panelWidth * inner)
  }

  /// A row-major matrix `[inner, columns]` whose rows have room for whole panels.
  static func rowMajor(stride: Int, on instructions: InstructionSet) -> PanelLayout {
    PanelLayout(stride: stride, panelStep: instructions.panelWidth)
  }
}

/// A product of one strip with panels, on the calling thread.
///
///     Y[r, j] = sum over k, ascending, of A[r, k] * B[k, j]
///
/// The order of every sum is fixed: runs of 128 products are one chain of multiply-adds each, and the
/// chains are added in their order. So an element depends on its row and its column alone: not on the
/// tile, the batch or the threads. `referenceProduct` is the same written to be read.
struct StripProduct {
  /// Rows of the strip that are computed.
  let rows: Int
  /// Columns that are computed.
  let columns: Int
  /// Length of the sums.
  let inner: Int
  /// Layout of the right operand.
  let layout: PanelLayout
  /// Which C kernels run.
  let instructions: InstructionSet

  /// Computes into rows that lie `stride` floats apart.
  ///
  /// - Parameters:
  ///   - strip: `[inner, R]`.
  ///   - panels: The right operand.
  ///   - output: `[rows, columns]`.
  ///   - stride: Distance of its rows.
  ///   - adds: Whether the chains are added to what the output holds.
  func callAsFunction(
    _ strip: Span<Float>, _ panels: Span<Float>, into output: inout MutableSpan<Float>,
    stride: Int, adding adds: Bool = false
  ) {
    guard rows > 0, columns > 0 else { return }
    precondition(
      stride >= columns && (rows - 1) * stride + columns <= output.count, "the output is smaller")
    unsafe output.withUnsafeMutableBufferPointer { output in
      guard let base = output.baseAddress else { return }
      unsafe multiply(strip, panels, base, stride, adds)
    }
  }

  /// Computes into a part of shared rows, which no other thread uses meanwhile.
  func callAsFunction(
    _ strip: Span<Float>, _ panels: Span<Float>, into output: SharedRows, row: Int, column: Int
  ) {
    guard rows > 0, columns > 0 else { return }
    precondition(
      row >= 0 && row + rows <= output.rows && column >= 0 && column + columns <= output.columns,
      "the output is smaller")
    guard let base = unsafe output.address(row: row, column: column) else { return }
    unsafe multiply(strip, panels, base, output.columns, false)
  }

  @unsafe
  private func multiply(
    _ strip: Span<Float>, _ panels: Span<Float>, _ output: UnsafeMutablePointer<Float>,
    _ outputStride: Int, _ adds: Bool
  ) {
    let (height, width) = (instructions.stripHeight, instructions.panelWidth)
    let panelCount = (columns + width - 1) / width
    precondition(rows <= height && strip.count >= inner * height, "a strip of another size")
    let last = (panelCount - 1) * layout.panelStep + (inner - 1) * layout.stride
    precondition(inner == 0 || panels.count >= last + width, "panels of another size")
    unsafe strip.withUnsafeBufferPointer { strip in
      unsafe panels.withUnsafeBufferPointer { panels in
        unsafe kiln_strip_product(
          instructions.code, rows, columns, inner, strip.baseAddress,
          kiln_panels(
            base: panels.baseAddress, stride: layout.stride, panel_step: layout.panelStep),
          adds ? 1 : 0, output, outputStride)
      }
    }
  }
}

/// Adds scaled rows of a tile to rows of a matrix: `Y[targets[r], column...] += factors[r] * tile[r]`.
///
/// - Precondition: The targets are different rows, and no other thread uses these columns of them.
func addRows(
  _ tile: Span<Float>, stride: Int, columns: Int, factors: Span<Float>, to output: SharedRows,
  rows targets: some Collection<Int>, column: Int, on instructions: InstructionSet
) {
  precondition(
    targets.count <= factors.count && column >= 0 && column + columns <= output.columns
      && (targets.isEmpty || (targets.count - 1) * stride + columns <= tile.count),
    "a tile of another size")
  unsafe withUnsafeTemporaryAllocation(
    of: UnsafeMutablePointer<Float>?.self, capacity: max(targets.count, 1)
  ) { places in
    for (index, row) in targets.enumerated() {
      precondition(row >= 0 && row < output.rows, "row out of bounds")
      unsafe places[index] = output.address(row: row, column: column)
    }
    unsafe tile.withUnsafeBufferPointer { tile in
      unsafe factors.withUnsafeBufferPointer { factors in
        unsafe kiln_add_weighted_rows(
          instructions.code, tile.baseAddress, stride, targets.count, columns, factors.baseAddress,
          places.baseAddress)
      }
    }
  }
}

/// A product as the definition says, to test the kernels: Y = X W^T in float32.
///
/// Sums run over the inner index in ascending order, a fused multiply-add a step; after every run of
/// 128 a new chain begins, which is added when it is complete. It is what the kernels compute, to the
/// last bit wherever there are fused instructions.
///
/// - Parameters:
///   - left: X `[N, in]`.
///   - right: W `[out, in]`.
/// - Returns: Y `[N, out]`.
package func referenceProduct(_ left: Matrix, byTransposed right: Matrix) -> Matrix {
  precondition(left.columns == right.columns, "inner dimensions differ")
  var output = Matrix(rows: left.rows, columns: right.rows)
  for row in 0..<left.rows {
    for column in 0..<right.rows {
      var total: Float = 0
      for first in stride(from: 0, to: left.columns, by: KILN_PRODUCT_CHAIN) {
        var chain: Float = 0
        for index in first..<min(first + KILN_PRODUCT_CHAIN, left.columns) {
          chain.addProduct(left[row, index], right[column, index])
        }
        total = first == 0 ? chain : total + chain
      }
      output[row, column] = total
    }
  }
  return output
}
