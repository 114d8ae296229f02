// SPDX-License-Identifier: Apache-2.0

internal import COpenBLAS
package import TensorCore

/// Work that does nothing but reach a limit of the machine, for measurements to be held against.
package enum MachineLimits {
  /// The processor whose kernels OpenBLAS runs: "Prescott" where it does not know the one it is on.
  package static var productKernels: String {
    guard let name = unsafe openblas_get_corename() else { return "unknown" }
    return unsafe String(cString: name)
  }

  /// Version and options of OpenBLAS, as it was built.
  package static var productLibrary: String {
    guard let text = unsafe openblas_get_config() else { return "unknown" }
    let words = unsafe String(cString: text).split(separator: " ")
    return (words.first == "OpenBLAS" ? words.dropFirst() : words[...]).joined(separator: " ")
  }

  /// Multiplies square matrices by OpenBLAS on one thread of each worker, all at a time.
  ///
  /// - Parameters:
  ///   - left: `[n, n]`.
  ///   - right: `[n, n]`.
  ///   - products: Receives one product for each worker, `[workers * n, n]`.
  ///   - workers: Threads.
  /// - Complexity: 2 n^3 floating-point operations for each worker.
  package static func multiply(
    _ left: Matrix, _ right: Matrix, into products: inout Matrix, workers: Workers
  ) {
    let size = left.rows
    precondition(
      left.columns == size && right.rows == size && right.columns == size
        && products.rows == workers.count * size && products.columns == size, "not square")
    unsafe left.elements.withUnsafeBufferPointer { left in
      unsafe right.elements.withUnsafeBufferPointer { right in
        guard let left = left.baseAddress, let right = right.baseAddress else { return }
        let operands = unsafe Operands(left: left, right: right, size: size)
        products.withSharedRows { products in
          workers.forEach(workers.count) { unsafe operands.multiply(into: products, place: $0) }
        }
      }
    }
  }

  /// Reads the front of an array, each worker a part of its own that it goes through again and again.
  ///
  /// - Parameters:
  ///   - values: The array.
  ///   - count: How many of its numbers are read.
  ///   - passes: How often it is read.
  ///   - workers: Threads.
  /// - Returns: A sum of what was read, so that nothing can be left out.
  package static func read(
    _ values: [Float], count: Int, passes: Int, workers: Workers
  ) -> Float {
    precondition(count <= values.count, "fewer numbers than are to be read")
    let parts = workers.count
    let sums = workers.map(parts) { part in
      let range = count * part / parts..<count * (part + 1) / parts
      return (0..<passes).reduce(Float(0)) { total, _ in
        total + sum(values.span.extracting(range))
      }
    }
    return sums.reduce(0, +)
  }

  /// Copies a matrix, each worker some of its rows.
  ///
  /// - Precondition: Both have the same dimensions.
  package static func copy(_ source: Matrix, to target: inout Matrix, workers: Workers) {
    precondition(source.rows == target.rows && source.columns == target.columns, "sizes differ")
    let (rows, columns) = (source.rows, source.columns)
    target.withSharedRows { target in
      workers.forEach(rows) { row in
        unsafe source.elements.withUnsafeBufferPointer { source in
          guard let from = source.baseAddress, let to = unsafe target.address(row: row, column: 0)
          else { return }
          unsafe to.update(from: from + row * columns, count: columns)
        }
      }
    }
  }

  /// Operands that all threads only read.
  @unsafe
  private struct Operands: @unchecked Sendable {
    let left: UnsafePointer<Float>
    let right: UnsafePointer<Float>
    let size: Int

    func multiply(into products: SharedRows, place: Int) {
      guard let base = unsafe products.address(row: place * size, column: 0) else { return }
      unsafe SingleProduct.plain(
        MatrixPointer(base: left, stride: size), MatrixPointer(base: right, stride: size),
        into: MutableMatrixPointer(base: base, stride: size),
        rows: size, columns: size, inner: size)
    }
  }
}
