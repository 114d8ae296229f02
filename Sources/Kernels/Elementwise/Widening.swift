// SPDX-License-Identifier: Apache-2.0

internal import CKernels
package import TensorCore

/// Rows of a stored tensor as float32.
///
/// Quantized codes are offset-binary, `q + 128` at 8 bits and `q + 8` at 4, one behind the other from the lowest
/// bit of the first byte on. value = Float(q) * scale, a product that is exact and rounded once.
/// BF16 and F16 are exact, subnormals, infinities and NaN included.
///
/// - Parameters:
///   - tensor: BF16, F16, F32 or quantized; `[rows, columns]`, whatever its rank.
///   - rows: Which rows.
///   - output: `[rows.count, columns]`, row-major.
///   - instructions: Which C kernels run.
/// - Precondition: The rows exist, the output has their size, and the tensor is of a type that is
///   computed with (`DType.isComputable`).
package func widen(
  _ tensor: EncodedTensor, rows: Range<Int>, into output: inout MutableSpan<Float>,
  on instructions: InstructionSet = .best
) {
  let columns = tensor.shape.columns
  precondition(
    rows.lowerBound >= 0 && rows.upperBound <= tensor.shape.rows, "rows outside the tensor")
  precondition(output.count == rows.count * columns, "the output has another size")
  guard output.count > 0 else { return }
  let bytes = tensor.region.bytes
  switch tensor.encoding {
  case .plain(let dtype):
    let rowBytes = columns * dtype.bitWidth / 8
    widen(
      dtype, bytes.extracting(rows.lowerBound * rowBytes..<rows.upperBound * rowBytes),
      into: &output, on: instructions)
  case .quantized(let bits, _):
    let group = tensor.encoding.groupSize(columns: columns)
    let rowBytes = columns * bits / 8
    let scaleBytes = columns / group * 2
    let scaleStart = tensor.codeByteCount
    let codes = bytes.extracting(rows.lowerBound * rowBytes..<rows.upperBound * rowBytes)
    let scales = bytes.extracting(
      scaleStart + rows.lowerBound * scaleBytes..<scaleStart + rows.upperBound * scaleBytes)
    widenCodes(
      bits: bits, group: group, codes: codes, scales: scales, into: &output, on: instructions)
  }
}

/// Plain elements as float32.
///
/// - Precondition: `bytes` holds one element for each of the output, of a computable type.
package func widen(
  _ dtype: DType, _ bytes: RawSpan, into output: inout MutableSpan<Float>,
  on instructions: InstructionSet = .best
) {
  precondition(dtype.isComputable, "\(dtype) is not computed with")
  precondition(bytes.byteCount == output.count * dtype.bitWidth / 8, "bytes of another length")
  unsafe output.withUnsafeMutableBufferPointer { output in
    unsafe bytes.withUnsafeBytes { bytes in
      guard let target = output.baseAddress, let source = bytes.baseAddress else { return }
      let start = unsafe source.assumingMemoryBound(to: UInt8.self)
      switch dtype {
      case .bf16: unsafe kiln_widen_bf16(instructions.code, start, target, output.count)
      case .f16: unsafe kiln_widen_f16(instructions.code, start, target, output.count)
      default:
        unsafe UnsafeMutableRawPointer(target).copyMemory(
          from: source, byteCount: bytes.count)
      }
    }
  }
}

/// Quantized codes with their scales as float32.
///
/// - Parameters:
///   - bits: 4, 5, 6 or 8.
///   - group: Elements that share a scale.
///   - codes: Codes of all elements of the output.
///   - scales: One BF16 for each group.
///   - output: The values.
///   - instructions: Which C kernels run.
/// - Precondition: The sizes fit together.
package func widenCodes(
  bits: Int, group: Int, codes: RawSpan, scales: RawSpan, into output: inout MutableSpan<Float>,
  on instructions: InstructionSet = .best
) {
  precondition(TensorEncoding.codeWidths.contains(bits), "codes of \(bits) bits")
  precondition(
    TensorEncoding.quantized(bits: bits, group: .row).fits(columns: group)
      && output.count % group == 0, "broken groups")
  precondition(codes.byteCount == output.count * bits / 8, "codes of another length")
  precondition(scales.byteCount == output.count / group * 2, "scales of another length")
  unsafe output.withUnsafeMutableBufferPointer { output in
    unsafe codes.withUnsafeBytes { codes in
      unsafe scales.withUnsafeBytes { scales in
        let widening =
          switch bits {
          case 4: unsafe kiln_widen_int4
          case 5: unsafe kiln_widen_int5
          case 6: unsafe kiln_widen_int6
          default: unsafe kiln_widen_int8
          }
        unsafe widening(
          instructions.code, codes.baseAddress?.assumingMemoryBound(to: UInt8.self),
          scales.baseAddress?.assumingMemoryBound(to: UInt8.self), group, output.baseAddress,
          output.count)
      }
    }
  }
}
