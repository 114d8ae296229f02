// SPDX-License-Identifier: Apache-2.0

internal import CKernels

/// Sixteen rows of numbers side by side, one in each lane: weights, codes, gradients.
///
/// Element (row, column) is at `column * 16 + row`. Calibrated quantization goes through the columns of a
/// matrix one after the other and treats every row alike, so that rows are what vectors are made of.
/// All instruction sets give the same bits, those of the readable forms in Quantization.
package struct WeightPanel: Sendable, Equatable {
  /// Rows of a panel; the last ones of a short panel are 0.
  package static let rows = 16
  /// Number of columns.
  package let columns: Int
  /// All elements, column after column.
  package var elements: [Float]

  /// A panel of zeros.
  package init(columns: Int) {
    self.columns = columns
    elements = [Float](repeating: 0, count: columns * Self.rows)
  }

  /// Up to sixteen rows of a matrix, from `first` on.
  package init(_ matrix: Matrix, first: Int) {
    self.init(columns: matrix.columns)
    for row in first..<min(first + Self.rows, matrix.rows) {
      let source = matrix.rowSpan(row)
      for column in 0..<columns { elements[column * Self.rows + row - first] = source[column] }
    }
  }

  /// The element at a place.
  package subscript(row: Int, column: Int) -> Float {
    get { elements[column * Self.rows + row] }
    set { elements[column * Self.rows + row] = newValue }
  }

  /// The scales of one group with the least weighted squared error among those that are tried.
  ///
  /// - Parameters:
  ///   - group: Columns of the group.
  ///   - importance: Weight of each column's squared error, at least 0; one for each column of the panel.
  ///   - bits: 4, 5, 6 or 8.
  ///   - instructions: Which C kernels run.
  /// - Returns: One BF16 scale for each row, never 0.
  package func scales(
    of group: Range<Int>, importance: [Float], bits: Int, on instructions: InstructionSet = .best
  ) -> [Float] {
    precondition(
      group.lowerBound >= 0 && group.upperBound <= columns && importance.count == columns,
      "a group outside the panel")
    var scales = [Float](repeating: 0, count: Self.rows)
    unsafe elements.withUnsafeBufferPointer { values in
      unsafe importance.withUnsafeBufferPointer { importance in
        unsafe scales.withUnsafeMutableBufferPointer { scales in
          unsafe kiln_panel_scales(
            instructions.code, values.baseAddress.map { unsafe $0 + group.lowerBound * Self.rows },
            importance.baseAddress.map { unsafe $0 + group.lowerBound }, group.count,
            CInt(bits), scales.baseAddress)
        }
      }
    }
    return scales
  }

  /// Rounds one group of columns and lets all later columns make up for the error.
  ///
  /// With U upper triangular and U^T U = H^-1, for each column j of the group, in order:
  ///
  ///     q = code(w[j] / scale);  e = (w[j] - q * scale) / U[j][j];  w[k] -= e U[j][k] for all k > j
  ///
  /// Source: Frantar et al., GPTQ (arXiv 2210.17323), algorithm 1.
  ///
  /// - Parameters:
  ///   - group: Columns of the group; all columns before it have been rounded.
  ///   - factor: U, `[columns, columns]`.
  ///   - scales: One for each row.
  ///   - bits: 4, 5, 6 or 8.
  ///   - codes: Receives the codes.
  ///   - instructions: Which C kernels run.
  package mutating func roundWithFeedback(
    _ group: Range<Int>, factor: Matrix, scales: [Float], bits: Int, codes: inout WeightPanel,
    on instructions: InstructionSet = .best
  ) {
    precondition(
      group.lowerBound >= 0 && group.upperBound <= columns && factor.rows == columns
        && factor.columns == columns && codes.columns == columns && scales.count == Self.rows,
      "parts of a panel that do not fit")
    var errors = [Float](repeating: 0, count: group.count * Self.rows)
    let width = columns
    unsafe elements.withUnsafeMutableBufferPointer { values in
      unsafe factor.elements.withUnsafeBufferPointer { factor in
        unsafe scales.withUnsafeBufferPointer { scales in
          unsafe codes.elements.withUnsafeMutableBufferPointer { codes in
            unsafe errors.withUnsafeMutableBufferPointer { errors in
              unsafe kiln_panel_feedback(
                instructions.code, values.baseAddress, factor.baseAddress, width,
                group.lowerBound, group.count, CInt(bits), scales.baseAddress, codes.baseAddress,
                errors.baseAddress)
            }
          }
        }
      }
    }
  }

  /// self = self - x M: `[16, columns]` from x `[16, n]` and M `[n, columns]`, terms in the order of n.
  package mutating func subtract(
    _ factors: WeightPanel, times matrix: Matrix, on instructions: InstructionSet = .best
  ) {
    precondition(
      factors.columns == matrix.rows && matrix.columns == columns, "inner dimensions differ")
    let width = columns
    unsafe elements.withUnsafeMutableBufferPointer { target in
      unsafe factors.elements.withUnsafeBufferPointer { factors in
        unsafe matrix.elements.withUnsafeBufferPointer { matrix in
          unsafe kiln_panel_subtract(
            instructions.code, target.baseAddress, factors.baseAddress, factors.count / Self.rows,
            matrix.baseAddress, width)
        }
      }
    }
  }

  /// One pass of coordinate descent over the groups of a panel that holds the gradient (W - Q) H.
  ///
  /// For each group: the best scale for its codes, `s += (q . g) / (q H q)`, unless rounding it to BF16 loses
  /// what it gains; then column by column the best code, `code((q s + g / H[j][j]) / s)`. The gradient
  /// follows each change.
  ///
  /// - Parameters:
  ///   - moments: H, `[columns, columns]`, with a positive diagonal.
  ///   - group: Columns that share a scale.
  ///   - bits: 4, 5, 6 or 8.
  ///   - codes: Brought up to date.
  ///   - scales: 16 for each group; brought up to date.
  ///   - instructions: Which C kernels run.
  package mutating func descend(
    moments: Matrix, group: Int, bits: Int, codes: inout WeightPanel, scales: inout [Float],
    on instructions: InstructionSet = .best
  ) {
    precondition(
      moments.rows == columns && moments.columns == columns && codes.columns == columns
        && group > 0 && columns % group == 0 && scales.count == columns / group * Self.rows,
      "parts of a panel that do not fit")
    var steps = [Float](repeating: 0, count: 2 * group * Self.rows)
    let width = columns
    unsafe elements.withUnsafeMutableBufferPointer { gradient in
      unsafe moments.elements.withUnsafeBufferPointer { moments in
        unsafe codes.elements.withUnsafeMutableBufferPointer { codes in
          unsafe scales.withUnsafeMutableBufferPointer { scales in
            unsafe steps.withUnsafeMutableBufferPointer { steps in
              unsafe kiln_panel_descend(
                instructions.code, gradient.baseAddress, moments.baseAddress, width, group,
                CInt(bits), codes.baseAddress, scales.baseAddress, steps.baseAddress)
            }
          }
        }
      }
    }
  }
}
