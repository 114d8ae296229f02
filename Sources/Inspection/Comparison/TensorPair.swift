// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// Two tensors with as many elements, compared a run of elements at a time.
struct TensorPair: Sendable {
  let left: EncodedTensor
  let right: EncodedTensor
  /// Whether one side may be a rounding of the other; values of a protected tensor have to be equal.
  var permitsRounding = true
  /// Whether error feedback chose codes of the left side, so that they need not be the nearest ones.
  var isLeftCalibrated = false
  /// The same of the right side.
  var isRightCalibrated = false

  /// Elements of a run: few enough for a cache, unless one quantized row has more.
  private static let runLength = 1 << 18

  var elementCount: Int { left.shape.elementCount }

  /// Elements that are compared together, at least one row of quantized ones.
  var stepLength: Int {
    guard left.encoding.isQuantized || right.encoding.isQuantized else { return Self.runLength }
    // Both have rows of the same length: dimensions differ in ones at most, and a row of one element
    // is a group of its own.
    let columns = max(left.shape.columns, right.shape.columns, 1)
    return max(1, Self.runLength / columns) * columns
  }

  /// Which sides can be a rounding of the other, by their encodings alone.
  ///
  /// Kiln rounds to codes and, from wider elements, to BF16. Nothing rounds codes to other codes: what two
  /// quantizations of one source have in common says nothing about either.
  var roundableSides: RoundedSides {
    guard permitsRounding else { return [] }
    switch (left.encoding, right.encoding) {
    case (.plain(let dtype), .plain(let other)) where dtype.isComputable && other.isComputable:
      if dtype == .bf16, other != .bf16 { return .left }
      return dtype != .bf16 && other == .bf16 ? .right : []
    case (.quantized, .plain(let dtype)) where dtype.isComputable:
      return dtype == .bf16 ? [.left, .right] : .left
    case (.plain(let dtype), .quantized) where dtype.isComputable:
      return dtype == .bf16 ? [.left, .right] : .right
    default: return []
    }
  }

  /// Compares some elements.
  ///
  /// - Parameter elements: `stepLength` of them from a multiple of it on, or the last ones.
  /// - Returns: What was measured; equal bytes are not looked at any closer.
  func compare(_ elements: Range<Int>) -> ComparisonTally {
    var tally = ComparisonTally()
    if left.encoding == right.encoding, hasSameBytes(elements) { return tally }
    tally.hasSameBytes = false
    guard left.encoding.isComputable, right.encoding.isComputable else {
      compareBytes(elements, &tally)
      return tally
    }
    switch roundableSides {
    case []: compareValues(elements, &tally)
    case let sides where left.encoding.isQuantized || right.encoding.isQuantized:
      compareCodes(elements, canRoundCodes: sides == [.left, .right], &tally)
    default: compareRounded(elements, &tally)
    }
    return tally
  }

  /// Lets go of the pages of some elements.
  func release(_ elements: Range<Int>) {
    for tensor in [left, right] {
      for range in tensor.byteRanges(of: elements) { tensor.region.part(range).release() }
    }
  }

  private func hasSameBytes(_ elements: Range<Int>) -> Bool {
    zip(left.byteRanges(of: elements), right.byteRanges(of: elements)).allSatisfy { left, right in
      self.left.region.bytes.extracting(left).equals(self.right.region.bytes.extracting(right))
    }
  }

  // MARK: - Without codes

  /// Values that have to be equal, whatever holds them.
  private func compareValues(_ elements: Range<Int>, _ tally: inout ComparisonTally) {
    let (left, right) = (self.left.values(elements), self.right.values(elements))
    for index in left.indices where !left[index].isSame(as: right[index]) {
      let element = elements.lowerBound + index
      guard left[index].isFinite, right[index].isFinite else {
        tally.addNonFinite(element, isPermitted: false)
        continue
      }
      tally.add(
        element, difference: abs(Double(left[index]) - Double(right[index])), limit: 0)
    }
  }

  /// F32 or F16, and BF16 that may have been rounded from it.
  private func compareRounded(_ elements: Range<Int>, _ tally: inout ComparisonTally) {
    let isLeftRounded = roundableSides == .left
    let (left, right) = (self.left.values(elements), self.right.values(elements))
    for index in left.indices where !left[index].isSame(as: right[index]) {
      let element = elements.lowerBound + index
      let (narrow, wide) =
        isLeftRounded ? (left[index], right[index]) : (right[index], left[index])
      // A finite number that overflowed is not within any bound.
      guard narrow.isFinite, wide.isFinite else {
        tally.addNonFinite(element, isPermitted: false)
        continue
      }
      let difference = abs(Double(wide) - Double(narrow))
      let isRounded = BFloat16(wide).floatValue == narrow
      let limit = isRounded ? max(Double(BFloat16(narrow).halfSpacing), difference) : 0
      tally.add(element, difference: difference, limit: limit)
    }
  }

  /// Types that are not computed with: equal if their bytes are.
  private func compareBytes(_ elements: Range<Int>, _ tally: inout ComparisonTally) {
    // With several elements in a byte, a byte that differs does not say which element does.
    guard left.encoding == right.encoding, case .plain(let dtype) = left.encoding,
      dtype.bitWidth % 8 == 0
    else {
      for element in elements { tally.addNonFinite(element, isPermitted: false) }
      return
    }
    let width = dtype.bitWidth / 8
    for element in elements {
      let range = element * width..<(element + 1) * width
      let isSame = left.region.bytes.extracting(range).equals(
        right.region.bytes.extracting(range))
      if !isSame { tally.addNonFinite(element, isPermitted: false) }
    }
  }
}

extension TensorEncoding {
  /// Whether values can be had as float32.
  fileprivate var isComputable: Bool {
    switch self {
    case .plain(let dtype): dtype.isComputable
    case .quantized: true
    }
  }
}

extension BFloat16 {
  /// Half the distance of the numbers around this one.
  fileprivate var halfSpacing: Float {
    let magnitude = BFloat16(bitPattern: bitPattern & 0x7FFF)
    return (BFloat16(bitPattern: magnitude.bitPattern + 1).floatValue - magnitude.floatValue) / 2
  }
}
