// SPDX-License-Identifier: Apache-2.0

/// A tensor as it is stored: its encoding, its shape and its bytes in a mapped file.
///
/// The bytes of a quantized tensor are the codes, row after row, then the scales `[rows, groups]`
/// in BF16; `Formats/Kiln.md` has the layout of both.
public struct EncodedTensor: Sendable {
  /// How values are written.
  public let encoding: TensorEncoding
  /// Dimensions, row-major; the last one is the input dimension of a projection.
  public let shape: TensorShape
  /// Codes and scales, or plain elements.
  public let region: MappedRegion

  /// A tensor over bytes of the right length.
  ///
  /// - Returns: nil if the encoding cannot hold the shape or the length does not follow from both.
  public init?(encoding: TensorEncoding, shape: TensorShape, region: MappedRegion) {
    guard encoding.byteCount(shape) == region.byteCount else { return nil }
    self.encoding = encoding
    self.shape = shape
    self.region = region
  }

  /// Bytes of codes, or of plain elements; scales begin behind them.
  public var codeByteCount: Int {
    region.byteCount - encoding.scaleByteCount(shape)
  }
}
