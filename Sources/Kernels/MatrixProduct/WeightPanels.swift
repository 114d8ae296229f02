// SPDX-License-Identifier: Apache-2.0

internal import CKernels
internal import TensorCore

extension InstructionSet {
  /// C: columns of a panel, rows of weights.
  var panelWidth: Int { kiln_product_columns(code) }

  /// Floats of the panels of so many weight rows.
  func panelElementCount(rows: Int, inner: Int) -> Int {
    (rows + panelWidth - 1) / panelWidth * panelWidth * inner
  }
}

/// Widens rows of stored weights into panels, `[rows / C, inner, C]`: the right operand of a product.
///
/// Values are those of `widen`, to the last bit; rows that the last panel lacks are 0.
///
/// - Parameters:
///   - weight: BF16, F16, F32 or quantized; `[out, inner]`.
///   - rows: Which rows.
///   - panels: `panelElementCount` floats; all are written.
///   - instructions: Which C kernels run.
/// - Precondition: The rows exist, the panels have their size, and the tensor is computable.
func packPanels(
  _ weight: EncodedTensor, rows: Range<Int>, into panels: inout MutableSpan<Float>,
  on instructions: InstructionSet
) {
  let inner = weight.shape.columns
  let width = instructions.panelWidth
  precondition(
    rows.lowerBound >= 0 && rows.upperBound <= weight.shape.rows, "rows outside the tensor")
  precondition(
    panels.count == instructions.panelElementCount(rows: rows.count, inner: inner),
    "panels of another size")
  guard inner > 0, !rows.isEmpty else { return }
  let bytes = weight.region.bytes
  unsafe bytes.withUnsafeBytes { bytes in
    guard let base = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
    unsafe panels.withUnsafeMutableBufferPointer { panels in
      for first in stride(from: 0, to: rows.count, by: width) {
        var source = unsafe weightRows(weight, base: base, from: rows.lowerBound + first)
        unsafe kiln_pack_panel(
          instructions.code, &source, min(width, rows.count - first), inner,
          panels.baseAddress.map { unsafe $0 + first * inner })
      }
    }
  }
}

/// Packs rows of a float32 matrix in memory into one panel `[inner, C]`, as `packPanels` does.
///
/// - Precondition: At most C rows, `stride` floats apart, which lie inside the source.
func packPanel(
  of source: Span<Float>, rows: Int, stride: Int, inner: Int,
  into panel: inout MutableSpan<Float>, on instructions: InstructionSet
) {
  precondition(
    rows <= instructions.panelWidth && panel.count == inner * instructions.panelWidth,
    "a panel of another size")
  precondition(
    stride >= 0 && (rows == 0 || (rows - 1) * stride + inner <= source.count), "rows outside")
  unsafe source.withUnsafeBytes { source in
    unsafe panel.withUnsafeMutableBufferPointer { panel in
      var weights = unsafe kiln_weight_rows(
        type: KILN_WEIGHT_F32, elements: source.baseAddress?.assumingMemoryBound(to: UInt8.self),
        row_bytes: stride * MemoryLayout<Float>.size, scales: nil, scale_row_bytes: 0,
        group: max(inner, 1))
      unsafe kiln_pack_panel(instructions.code, &weights, rows, inner, panel.baseAddress)
    }
  }
}

/// The rows of a tensor from one on, as C kernels are told them.
@unsafe
private func weightRows(
  _ weight: EncodedTensor, base: UnsafePointer<UInt8>, from row: Int
) -> kiln_weight_rows {
  let columns = weight.shape.columns
  switch weight.encoding {
  case .plain(let dtype):
    precondition(dtype.isComputable, "\(dtype) is not computed with")
    let rowBytes = columns * dtype.bitWidth / 8
    return unsafe kiln_weight_rows(
      type: dtype == .bf16 ? KILN_WEIGHT_BF16 : dtype == .f16 ? KILN_WEIGHT_F16 : KILN_WEIGHT_F32,
      elements: base + row * rowBytes, row_bytes: rowBytes, scales: nil, scale_row_bytes: 0,
      group: columns)
  case .quantized(let bits, _):
    let group = weight.encoding.groupSize(columns: columns)
    precondition(group % 16 == 0 || group == columns, "groups of \(group)")
    let rowBytes = columns * bits / 8
    let scaleBytes = columns / group * 2
    let type =
      switch bits {
      case 4: KILN_WEIGHT_INT4
      case 5: KILN_WEIGHT_INT5
      case 6: KILN_WEIGHT_INT6
      default: KILN_WEIGHT_INT8
      }
    return unsafe kiln_weight_rows(
      type: type, elements: base + row * rowBytes,
      row_bytes: rowBytes, scales: base + weight.codeByteCount + row * scaleBytes,
      scale_row_bytes: scaleBytes, group: group)
  }
}
