// SPDX-License-Identifier: Apache-2.0

import COpenBLAS

/// The upper triangle U with U^T U = H^-1, for symmetric positive definite H.
///
/// H = R R^T with R upper triangular is a Cholesky factorisation that begins at the last row; then
/// U = R^-1. It is what error feedback goes by, and H^-1 itself is never formed. Everything is float64, in
/// blocks, on the calling thread.
///
/// - Parameters:
///   - moments: H, `[dimension, dimension]`, row-major; only the upper triangle is read.
///   - dimension: Rows and columns.
/// - Returns: U, zeros below its diagonal; nil if H is not positive definite to working precision.
/// - Complexity: 2/3 n^3 floating-point multiplications and as many additions.
package func inverseFactor(of moments: [Double], dimension: Int) -> [Double]? {
  precondition(moments.count == dimension * dimension, "not a square matrix")
  guard dimension > 0 else { return [] }
  SingleProduct.configure()
  var factor = moments
  guard
    unsafe factor.withUnsafeMutableBufferPointer({ buffer in
      guard let base = buffer.baseAddress else { return true }
      return unsafe factorFromTheEnd(base, dimension)
    })
  else { return nil }
  var inverse = [Double](repeating: 0, count: moments.count)
  unsafe factor.withUnsafeBufferPointer { factor in
    unsafe inverse.withUnsafeMutableBufferPointer { inverse in
      guard let factorBase = factor.baseAddress, let base = inverse.baseAddress else { return }
      // A block of columns at a time, since what is below it stays 0.
      for first in stride(from: 0, to: dimension, by: blockSize) {
        let last = min(first + blockSize, dimension)
        for index in first..<last { unsafe base[index * dimension + index] = 1 }
        unsafe cblas_dtrsm(
          CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, Int32(last),
          Int32(last - first), 1, factorBase, Int32(dimension), base + first, Int32(dimension))
      }
    }
  }
  return inverse.allSatisfy(\.isFinite) ? inverse : nil
}

/// Rows and columns of a block.
private let blockSize = 64

/// R in place of the upper triangle of H = R R^T.
///
/// - Returns: Whether H is positive definite.
private func factorFromTheEnd(_ base: UnsafeMutablePointer<Double>, _ dimension: Int) -> Bool {
  var last = dimension
  while last > 0 {
    let first = max(0, last - blockSize)
    let corner = unsafe base + first * dimension + first
    guard unsafe factorBlock(corner, last - first, stride: dimension) else { return false }
    if first > 0 {
      let above = unsafe base + first
      unsafe cblas_dtrsm(
        CblasRowMajor, CblasRight, CblasUpper, CblasTrans, CblasNonUnit, Int32(first),
        Int32(last - first), 1, corner, Int32(dimension), above, Int32(dimension))
      unsafe cblas_dsyrk(
        CblasRowMajor, CblasUpper, CblasNoTrans, Int32(first), Int32(last - first), -1, above,
        Int32(dimension), 1, base, Int32(dimension))
    }
    last = first
  }
  return true
}

/// The same for one block, written out.
private func factorBlock(
  _ base: UnsafeMutablePointer<Double>, _ count: Int, stride: Int
) -> Bool {
  for column in Swift.stride(from: count - 1, through: 0, by: -1) {
    for row in Swift.stride(from: column, through: 0, by: -1) {
      var sum = unsafe base[row * stride + column]
      for inner in column + 1..<max(count, column + 1) {
        unsafe sum -= base[row * stride + inner] * base[column * stride + inner]
      }
      if row == column {
        guard sum > 0, sum.isFinite else { return false }
        unsafe base[row * stride + column] = sum.squareRoot()
      } else {
        unsafe base[row * stride + column] = sum / base[column * stride + column]
      }
    }
  }
  return true
}
