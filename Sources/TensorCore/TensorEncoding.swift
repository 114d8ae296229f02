// SPDX-License-Identifier: Apache-2.0

/// How many consecutive elements of a row share one scale.
public enum QuantizationGroup: Hashable, Sendable {
  /// A fixed number of elements: 32, 64 or 128.
  case size(Int)
  /// The whole row.
  case row

  /// Group sizes that a scheme name may give.
  public static let sizes = [32, 64, 128]
}

/// How the values of a tensor are written: as plain elements, or as integer codes with scales.
///
/// Integer encodings are symmetric and group-wise along the row (`Formats/Kiln.md`):
/// value = code * scale, codes of 4, 5, 6 or 8 bits in two's complement range, one BF16 scale a group.
public enum TensorEncoding: Hashable, Sendable, CustomStringConvertible {
  /// Elements of one type.
  case plain(DType)
  /// Codes of `bits` (one of `codeWidths`) with one BF16 scale for each `group`.
  case quantized(bits: Int, group: QuantizationGroup)

  /// Bits that a code can have.
  public static let codeWidths = [4, 5, 6, 8]

  /// The scheme names that users write, in the order in which help lists them.
  public static let schemeNames =
    codeWidths.flatMap { bits in
      QuantizationGroup.sizes.map { "int\(bits)-g\($0)" } + ["int\(bits)-row"]
    } + ["bf16", "f32"]

  /// Reads a scheme name such as `int4-g32`, `int8-row`, `bf16` or `f32`.
  ///
  /// - Returns: nil if it is none of `schemeNames`.
  public init?(schemeName: String) {
    guard Self.schemeNames.contains(schemeName) else { return nil }
    switch schemeName {
    case "bf16": self = .plain(.bf16)
    case "f32": self = .plain(.f32)
    default:
      let parts = schemeName.split(separator: "-")
      guard parts.count == 2, let bits = Int(parts[0].dropFirst(3)) else { return nil }
      let group = Int(parts[1].dropFirst()).map { QuantizationGroup.size($0) } ?? .row
      self = .quantized(bits: bits, group: parts[1] == "row" ? .row : group)
    }
  }

  /// Reads what `description` gives: a scheme name, or any element type in lower case.
  public init?(name: String) {
    if let scheme = TensorEncoding(schemeName: name) {
      self = scheme
    } else if let dtype = DType(rawValue: name.uppercased()), name == dtype.rawValue.lowercased() {
      self = .plain(dtype)
    } else {
      return nil
    }
  }

  /// The name: a scheme name for what quantization produces, else the element type in lower case.
  public var description: String {
    switch self {
    case .plain(let dtype): dtype.rawValue.lowercased()
    case .quantized(let bits, .size(let size)): "int\(bits)-g\(size)"
    case .quantized(let bits, .row): "int\(bits)-row"
    }
  }

  /// Whether values are codes with scales.
  public var isQuantized: Bool {
    if case .quantized = self { true } else { false }
  }

  /// Elements that share a scale in a row of `columns`; the row itself for plain elements.
  public func groupSize(columns: Int) -> Int {
    if case .quantized(_, .size(let size)) = self { size } else { columns }
  }

  /// Whether rows of this length can be written so: whole groups and whole bytes; codes of 5 and 6 bits, which
  /// lie across bytes, in whole words of 32 bits.
  public func fits(columns: Int) -> Bool {
    guard case .quantized(let bits, let group) = self else { return true }
    let multiple =
      switch bits {
      case 8: 1
      case 4: 2
      default: 32
      }
    guard columns > 0, columns % multiple == 0 else { return false }
    if case .size(let size) = group { return columns % size == 0 }
    return true
  }

  /// Bytes of all codes, or of all elements of a plain tensor.
  ///
  /// - Returns: nil if the shape does not fit the encoding or the size overflows.
  public func codeByteCount(_ shape: TensorShape) -> Int? {
    switch self {
    case .plain(let dtype):
      return dtype.byteCount(elementCount: shape.elementCount)
    case .quantized(let bits, _):
      guard fits(columns: shape.columns) else { return nil }
      // At most one byte an element cannot overflow what the element count did not. Codes of fewer than 8
      // bits fill bytes by twos or by thirty-twos.
      switch bits {
      case 8: return shape.elementCount
      case 4: return shape.elementCount / 2
      default: return shape.elementCount / 32 * (4 * bits)
      }
    }
  }

  /// Bytes of all scales; 0 for a plain tensor and for one whose size does not fit an `Int`.
  public func scaleByteCount(_ shape: TensorShape) -> Int {
    checkedScaleByteCount(shape) ?? 0
  }

  /// Bytes of all scales, two for each group, which can overflow where one group is one element.
  private func checkedScaleByteCount(_ shape: TensorShape) -> Int? {
    guard isQuantized, fits(columns: shape.columns) else { return 0 }
    let groups = shape.elementCount / groupSize(columns: shape.columns)
    let (bytes, overflow) = groups.multipliedReportingOverflow(by: 2)
    return overflow ? nil : bytes
  }

  /// Bytes that the tensor takes: the codes, then the scales.
  ///
  /// - Returns: nil if the shape does not fit the encoding or the size overflows.
  public func byteCount(_ shape: TensorShape) -> Int? {
    guard let codes = codeByteCount(shape), let scales = checkedScaleByteCount(shape) else {
      return nil
    }
    let (total, overflow) = codes.addingReportingOverflow(scales)
    return overflow ? nil : total
  }
}
