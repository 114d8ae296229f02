// SPDX-License-Identifier: Apache-2.0

internal import CKernels
package import TensorCore

/// Rows of activations in the order in which products read them.
///
/// A strip holds R consecutive rows column after column, `[columns, R]`; R depends on the instruction
/// set, and rows that the last strip lacks are 0. What several products read is packed once for all
/// of them.
package struct PackedRows: Sendable {
  /// Number of rows: tokens.
  package let rows: Int
  /// Length of a row.
  package let columns: Int
  /// The kernels that read the strips.
  let instructions: InstructionSet
  /// One strip a row, `[columns * R]`.
  let strips: Matrix

  /// Strips that one thread packs at a time.
  private static let stripsPerItem = 4

  /// Rows of a strip.
  var stripHeight: Int { instructions.stripHeight }

  /// Packs all rows of a matrix.
  ///
  /// - Parameters:
  ///   - matrix: `[N, columns]`.
  ///   - workers: Threads.
  ///   - instructions: Which kernels will read the rows.
  package init(_ matrix: Matrix, workers: Workers, on instructions: InstructionSet = .best) {
    self.init(
      rows: matrix.rows, columns: matrix.columns, workers: workers, on: instructions
    ) { rows, strip in
      packStrip(of: matrix, rows: rows, into: &strip, on: instructions)
    }
  }

  /// Packs rows that are computed on the way.
  ///
  /// - Parameters:
  ///   - rows: How many rows.
  ///   - columns: Their length.
  ///   - workers: Threads.
  ///   - instructions: Which kernels will read the rows.
  ///   - compute: Writes every element of the row with the given index.
  package init(
    rows: Int, columns: Int, workers: Workers, on instructions: InstructionSet = .best,
    computing compute: @Sendable (_ row: Int, _ elements: inout MutableSpan<Float>) -> Void
  ) {
    self.init(rows: rows, columns: columns, workers: workers, on: instructions) { rows, strip in
      withScratch(rows.count * columns) { scratch in
        for (index, row) in rows.enumerated() {
          var elements = scratch._mutatingExtracting(index * columns..<(index + 1) * columns)
          compute(row, &elements)
        }
        packStrip(
          of: scratch.span, rows: rows.count, stride: columns, inner: columns, into: &strip,
          on: instructions)
      }
    }
  }

  private init(
    rows: Int, columns: Int, workers: Workers, on instructions: InstructionSet,
    packing pack: @Sendable (_ rows: Range<Int>, _ strip: inout MutableSpan<Float>) -> Void
  ) {
    let height = instructions.stripHeight
    let count = (rows + height - 1) / height
    self.rows = rows
    self.columns = columns
    self.instructions = instructions
    strips = Matrix(rows: count, columns: columns * height) { strips in
      workers.forEach((count + Self.stripsPerItem - 1) / Self.stripsPerItem) { item in
        for strip in item * Self.stripsPerItem..<min((item + 1) * Self.stripsPerItem, count) {
          strips.withRow(strip) { pack(strip * height..<min((strip + 1) * height, rows), &$0) }
        }
      }
    }
  }

  /// The rows of a strip.
  func rows(ofStrip strip: Int) -> Range<Int> {
    strip * stripHeight..<min((strip + 1) * stripHeight, rows)
  }
}

extension InstructionSet {
  /// R: rows of a strip.
  var stripHeight: Int { kiln_product_rows(code) }
}

/// Packs rows of a matrix, in the order given, into one strip `[columns, R]`.
///
/// - Precondition: There are at most R rows, all of the matrix, and the strip has its size.
func packStrip(
  of matrix: Matrix, rows: some Collection<Int>, into strip: inout MutableSpan<Float>,
  on instructions: InstructionSet
) {
  let (columns, height) = (matrix.columns, instructions.stripHeight)
  precondition(rows.count <= height && strip.count == columns * height, "a strip of another size")
  unsafe withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: height) { places in
    unsafe matrix.elements.withUnsafeBufferPointer { elements in
      for (index, row) in rows.enumerated() {
        precondition(row >= 0 && row < matrix.rows, "row out of bounds")
        unsafe places[index] = elements.baseAddress.map { unsafe $0 + row * columns }
      }
      unsafe strip.withUnsafeMutableBufferPointer { strip in
        unsafe kiln_pack_strip(
          instructions.code, places.baseAddress, rows.count, columns, strip.baseAddress)
      }
    }
  }
}

/// Packs `rows` rows that lie `stride` floats apart, `inner` of each, into a strip `[inner, R]`.
///
/// - Precondition: The rows lie inside the source, and the strip has its size.
func packStrip(
  of source: Span<Float>, rows: Int, stride: Int, inner: Int,
  into strip: inout MutableSpan<Float>, on instructions: InstructionSet
) {
  let height = instructions.stripHeight
  precondition(rows <= height && strip.count == inner * height, "a strip of another size")
  precondition(
    stride >= 0 && (rows == 0 || (rows - 1) * stride + inner <= source.count), "rows outside")
  unsafe withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: height) { places in
    unsafe source.withUnsafeBufferPointer { source in
      for row in 0..<rows {
        unsafe places[row] = source.baseAddress.map { unsafe $0 + row * stride }
      }
      unsafe strip.withUnsafeMutableBufferPointer { strip in
        unsafe kiln_pack_strip(
          instructions.code, places.baseAddress, rows, inner, strip.baseAddress)
      }
    }
  }
}
