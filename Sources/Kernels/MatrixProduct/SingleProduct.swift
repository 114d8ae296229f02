// SPDX-License-Identifier: Apache-2.0

import COpenBLAS

/// A float32 matrix in memory that belongs to someone else: an operand of `cblas_sgemm`.
///
/// Element (row, column) is at `base[row * stride + column]`.
@unsafe
struct MatrixPointer {
  let base: UnsafePointer<Float>
  let stride: Int
}

/// The result of `cblas_sgemm`, laid out like `MatrixPointer`.
@unsafe
struct MutableMatrixPointer {
  let base: UnsafeMutablePointer<Float>
  let stride: Int
}

/// The products of OpenBLAS on one thread; Kiln divides the work itself.
///
/// One thread a product means that the result depends on the operands alone.
enum SingleProduct {
  /// Keeps OpenBLAS from starting threads of its own.
  private static let isConfigured: Void = openblas_set_num_threads(1)

  /// Has OpenBLAS run on the calling thread, for callers of its other functions.
  static func configure() { _ = isConfigured }

  /// `C = A^T * B` with A `[inner, rows]`, B `[inner, columns]`.
  static func transposingLeft(
    _ left: MatrixPointer, _ right: MatrixPointer, into result: MutableMatrixPointer,
    rows: Int, columns: Int, inner: Int
  ) {
    _ = isConfigured
    guard rows > 0, columns > 0 else { return }
    unsafe cblas_sgemm(
      CblasRowMajor, CblasTrans, CblasNoTrans, Int32(rows), Int32(columns), Int32(inner), 1,
      left.base, Int32(left.stride), right.base, Int32(right.stride), 0, result.base,
      Int32(result.stride))
  }

  /// `C = alpha * A * B^T + beta * C` with A `[rows, inner]`, B `[columns, inner]`.
  static func transposed(
    _ left: MatrixPointer, _ right: MatrixPointer, into result: MutableMatrixPointer,
    rows: Int, columns: Int, inner: Int, alpha: Float = 1, beta: Float = 0
  ) {
    unsafe product(
      CblasTrans, left, right, result, rows: rows, columns: columns, inner: inner, alpha, beta)
  }

  /// `C = alpha * A * B + beta * C` with A `[rows, inner]`, B `[inner, columns]`.
  static func plain(
    _ left: MatrixPointer, _ right: MatrixPointer, into result: MutableMatrixPointer,
    rows: Int, columns: Int, inner: Int, alpha: Float = 1, beta: Float = 0
  ) {
    unsafe product(
      CblasNoTrans, left, right, result, rows: rows, columns: columns, inner: inner, alpha, beta)
  }

  private static func product(
    _ transposition: CBLAS_TRANSPOSE, _ left: MatrixPointer, _ right: MatrixPointer,
    _ result: MutableMatrixPointer, rows: Int, columns: Int, inner: Int,
    _ alpha: Float, _ beta: Float
  ) {
    _ = isConfigured
    guard rows > 0, columns > 0 else { return }
    unsafe cblas_sgemm(
      CblasRowMajor, CblasNoTrans, transposition, Int32(rows), Int32(columns), Int32(inner), alpha,
      left.base, Int32(left.stride), right.base, Int32(right.stride), beta, result.base,
      Int32(result.stride))
  }
}
