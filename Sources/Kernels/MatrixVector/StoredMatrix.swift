// SPDX-License-Identifier: Apache-2.0

internal import CKernels
package import TensorCore

/// A stored matrix as the kernels for single vectors see it: addresses and sizes, nothing to retain.
///
/// A step of decoding looks at some hundred of them on several threads, which would otherwise spend
/// their time on counting references to the same file.
@safe
package struct StoredMatrix: @unchecked Sendable {
  /// Rows: the length of a product.
  package let rows: Int
  /// Columns: the length of the vector.
  package let columns: Int
  /// Bytes of codes and scales of one row; what a product has to read.
  package let rowByteCount: Int
  private let layout: kiln_matrix

  /// The kernels' view of a tensor.
  ///
  /// - Parameter tensor: `[rows, columns]`, of a type that is computed with. It has to outlive the
  ///   view.
  /// - Precondition: The type is one that `widen` accepts.
  package init(_ tensor: EncodedTensor) {
    let (rows, columns) = (tensor.shape.rows, tensor.shape.columns)
    self.rows = rows
    self.columns = columns
    rowByteCount = rows == 0 ? 0 : tensor.region.byteCount / rows
    let scaleStart = tensor.codeByteCount
    let encoding: kiln_encoding
    switch tensor.encoding {
    case .plain(let dtype):
      precondition(dtype.isComputable, "\(dtype) is not computed with")
      encoding = dtype == .bf16 ? KILN_BF16 : dtype == .f16 ? KILN_F16 : KILN_F32
    case .quantized(let bits, _):
      encoding =
        switch bits {
        case 4: KILN_INT4
        case 5: KILN_INT5
        case 6: KILN_INT6
        default: KILN_INT8
        }
    }
    let group = tensor.encoding.isQuantized ? tensor.encoding.groupSize(columns: columns) : 0
    unsafe layout = tensor.region.bytes.withUnsafeBytes { bytes in
      let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
      return unsafe kiln_matrix(
        encoding: encoding, columns: columns, group: group, codes: start,
        scales: start.map { unsafe $0 + scaleStart })
    }
  }

  /// Floats that a vector takes once it is arranged for a product.
  package static func arrangedCount(_ count: Int) -> Int { kiln_arranged_count(count) }

  /// How many arrangements there are.
  package static let arrangementCount = 5
  /// Which arrangement of a vector it reads: matrices of equal number and columns share one.
  package var arrangement: Int {
    // Codes of 5 and 6 bits are read in the order of their elements, as float32 is.
    let encoding =
      unsafe layout.encoding == KILN_INT5 || layout.encoding == KILN_INT6
      ? KILN_F32 : layout.encoding
    return Int(encoding.rawValue)
  }

  /// Brings a vector into the order in which this matrix reads it.
  ///
  /// - Parameters:
  ///   - vector: `columns` elements.
  ///   - arranged: Receives them; `arrangedCount(columns)` elements.
  ///   - instructions: Which C kernels run; the product has to run on the same.
  package func arrange(
    _ vector: Span<Float>, into arranged: inout MutableSpan<Float>,
    on instructions: InstructionSet = .best
  ) {
    precondition(
      vector.count == columns && arranged.count == Self.arrangedCount(columns),
      "a vector of another length")
    unsafe vector.withUnsafeBufferPointer { vector in
      unsafe arranged.withUnsafeMutableBufferPointer { arranged in
        unsafe kiln_arrange(
          instructions.code, layout.encoding, vector.baseAddress, vector.count,
          arranged.baseAddress)
      }
    }
  }

  /// y = W[range] x.
  ///
  /// Each row is summed in a fixed order, whatever the range. AVX2 and AVX-512 give the same bits;
  /// the portable kernel has no fused multiply-add and differs in the last ones. With VNNI products of
  /// integer codes are sums of integers: the vector is rounded to 22 bits of the largest element that is
  /// added in the same lane, by at most 2^-22 of that.
  ///
  /// - Parameters:
  ///   - range: Rows.
  ///   - arranged: x, by `arrange`.
  ///   - output: One element for each row.
  ///   - instructions: Which C kernels run.
  @inline(__always)
  package func multiply(
    rows range: Range<Int>, by arranged: Span<Float>, into output: inout MutableSpan<Float>,
    on instructions: InstructionSet = .best
  ) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= rows && output.count == range.count,
      "rows outside the matrix")
    precondition(arranged.count == Self.arrangedCount(columns), "a vector of another length")
    var layout = unsafe layout
    unsafe arranged.withUnsafeBufferPointer { arranged in
      unsafe output.withUnsafeMutableBufferPointer { output in
        unsafe kiln_matrix_vector(
          instructions.code, &layout, range.lowerBound, range.count, arranged.baseAddress,
          output.baseAddress)
      }
    }
  }

  /// y = sum of factor[i] * W[range][i], rows in ascending order: a product from the left.
  ///
  /// - Parameters:
  ///   - range: Rows.
  ///   - factors: One for each row.
  ///   - output: `columns` elements.
  ///   - instructions: Which C kernels run.
  package func addRows(
    _ range: Range<Int>, times factors: Span<Float>, into output: inout MutableSpan<Float>,
    on instructions: InstructionSet = .best
  ) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= rows && factors.count == range.count
        && output.count == columns, "rows outside the matrix")
    var layout = unsafe layout
    unsafe factors.withUnsafeBufferPointer { factors in
      unsafe output.withUnsafeMutableBufferPointer { output in
        unsafe kiln_add_rows(
          instructions.code, &layout, range.lowerBound, range.count, factors.baseAddress,
          output.baseAddress)
      }
    }
  }
}

/// The product of a stored matrix with a vector, written to be read: rows as `widen` gives them, sums in
/// double precision.
///
/// - Parameters:
///   - tensor: `[rows, columns]`.
///   - vector: `columns` elements.
///   - magnitudes: Sums the magnitudes of the terms, which bound the error of any order of summing.
/// - Returns: One sum for each row.
package func referenceMatrixVector(
  _ tensor: EncodedTensor, _ vector: [Float], magnitudes: Bool = false
) -> [Double] {
  (0..<tensor.shape.rows).map { row in
    zip(rows(of: tensor, [row]).elements, vector).reduce(0) { sum, pair in
      let term = Double(pair.0) * Double(pair.1)
      return sum + (magnitudes ? abs(term) : term)
    }
  }
}
