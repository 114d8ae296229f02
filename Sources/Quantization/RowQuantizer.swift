// SPDX-License-Identifier: Apache-2.0

package import Kernels
package import TensorCore

/// Writes rows as integer codes and BF16 scales: value = code * scale.
///
/// Codes follow from the stored scale alone: value / scale in float32, rounded half to even and
/// clamped. The scale is that of round-to-nearest, or the one that the search found where its
/// error is smaller. No element, however odd, makes a scale or a dequantized value that is not
/// finite: NaN becomes 0, an infinity the extreme code of its sign, and neither influences the
/// scale.
///
/// - Parameters:
///   - values: `[rows, columns]`, row-major.
///   - columns: Length of a row.
///   - encoding: Bits and group; it must fit the row length.
///   - method: How scales are chosen.
///   - codes: Receives rows * columns * bits / 8 bytes, rows contiguous.
///   - scales: Receives `[rows, groups]`.
///   - instructions: For tests and benchmarks; the result is the same for all.
/// - Returns: Errors and odd elements, summed in the order of the groups.
/// - Precondition: `encoding` is an integer encoding that fits the columns, and the spans have
///   these sizes.
package func quantizeRows(
  _ values: Span<Float>, columns: Int, encoding: TensorEncoding, method: RoundingMethod,
  codes: inout MutableSpan<UInt8>, scales: inout MutableSpan<BFloat16>,
  on instructions: InstructionSet = .best
) -> QuantizationStatistics {
  // Callers decide by the encoding before they come here; no input leads to this.
  guard case .quantized(let bits, _) = encoding else {
    preconditionFailure("\(encoding) is not an integer encoding")
  }
  if values.isEmpty { return QuantizationStatistics() }
  precondition(
    encoding.fits(columns: columns) && values.count % columns == 0,
    "rows of \(columns) as \(encoding)")
  let length = encoding.groupSize(columns: columns)
  precondition(
    codes.count == values.count * bits / 8 && scales.count == values.count / length,
    "room for codes or scales of the wrong size")
  let search = ScaleSearch(range: CodeRange(bits: bits), groupLength: length)
  let quantizer = GroupQuantizer(
    bits: bits, groupLength: length, search: method == .roundToNearest ? nil : search.parameters)
  let sums = quantizer.quantize(
    values, codes: &codes, scales: &scales, on: instructions)
  return QuantizationStatistics(
    squaredError: sums.squaredError, squaredNorm: sums.squaredNorm, elementCount: values.count,
    nanCount: sums.nanCount, infinityCount: sums.infinityCount)
}
