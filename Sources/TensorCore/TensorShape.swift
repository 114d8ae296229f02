// SPDX-License-Identifier: Apache-2.0

/// The dimensions of a tensor, row-major: the last one is contiguous in memory.
///
/// The number of elements is known to fit an `Int`, so that sizes derived from a shape that came
/// from a file need no further overflow checks than the multiplication by the element size.
public struct TensorShape: Hashable, Sendable, CustomStringConvertible {
  /// The dimensions, outermost first; none for a scalar.
  public let dimensions: [Int]
  /// Product of the dimensions; 1 for a scalar.
  public let elementCount: Int

  /// Checks the dimensions.
  ///
  /// - Returns: nil if one is negative or the product overflows.
  public init?(_ dimensions: [Int]) {
    var count = 1
    for dimension in dimensions {
      guard dimension >= 0 else { return nil }
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      guard !overflow else { return nil }
      count = product
    }
    // A zero hides an overflow of the others from the loop above; strides would still overflow.
    var stride = 1
    for dimension in dimensions where dimension > 0 {
      let (product, overflow) = stride.multipliedReportingOverflow(by: dimension)
      guard !overflow else { return nil }
      stride = product
    }
    self.dimensions = dimensions
    elementCount = count
  }

  /// How many dimensions there are.
  public var rank: Int { dimensions.count }

  /// Length of the contiguous dimension; 1 for a scalar.
  public var columns: Int { dimensions.last ?? 1 }

  /// Number of contiguous rows: the product of all dimensions but the last.
  public var rows: Int {
    columns == 0 ? dimensions.dropLast().reduce(1, *) : elementCount / columns
  }

  /// `[2, 3]`, as the safetensors header writes it.
  public var description: String {
    "[" + dimensions.map(String.init).joined(separator: ", ") + "]"
  }
}
