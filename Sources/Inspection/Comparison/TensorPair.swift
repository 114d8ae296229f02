// SPDX-License-Identifier: Apache-2.0

import Kernels
import Quantization
import TensorCore

/// Two tensors with as many elements, compared a run of elements at a time.
struct TensorPair: Sendable {
  let left: EncodedTensor
  let right: EncodedTensor
  /// Whether a calibration chose the codes of either side, so that they need not be the nearest ones.
  var isCalibrated = false

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

  /// Compares some elements.
  ///
  /// - Parameter elements: `stepLength` of them from a multiple of it on, or the last ones.
  /// - Returns: What was measured; equal bytes are not looked at any closer.
  func compare(_ elements: Range<Int>) -> ComparisonTally {
    var tally = ComparisonTally()
    if left.encoding == right.encoding, hasSameBytes(elements) { return tally }
    tally.hasSameBytes = false
    switch (left.encoding, right.encoding) {
    case (.plain(let dtype), .plain(let other)):
      if dtype.isComputable, other.isComputable {
        comparePlain(elements, dtype, other, &tally)
      } else {
        compareBytes(elements, &tally)
      }
    case (.quantized, .plain(let dtype)), (.plain(let dtype), .quantized):
      let (codes, weights) = left.encoding.isQuantized ? (left, right) : (right, left)
      if dtype.isComputable {
        compare(codes, weights, elements, &tally)
      } else {
        compareBytes(elements, &tally)
      }
    case (.quantized, .quantized): compareCodes(elements, &tally)
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

  // MARK: - Plain elements

  private func comparePlain(
    _ elements: Range<Int>, _ dtype: DType, _ other: DType, _ tally: inout ComparisonTally
  ) {
    let (left, right) = (self.left.values(elements), self.right.values(elements))
    // The scheme `bf16` rounds, so the other side may have the number that this one was rounded to.
    let isLeftRounded = dtype == .bf16 && other != .bf16
    let isRounded = isLeftRounded || other == .bf16 && dtype != .bf16
    for index in left.indices where !Self.isEqual(left[index], right[index]) {
      let element = elements.lowerBound + index
      let (narrow, wide) =
        isLeftRounded ? (left[index], right[index]) : (right[index], left[index])
      let isPermitted = isRounded && BFloat16(wide).floatValue == narrow
      guard narrow.isFinite, wide.isFinite else {
        tally.addNonFinite(element, isPermitted: isPermitted)
        continue
      }
      let limit = isRounded ? Double(BFloat16(narrow).halfSpacing) : 0
      let difference = abs(Double(wide) - Double(narrow))
      tally.add(
        element, difference: difference, limit: isPermitted ? max(limit, difference) : 0)
    }
  }

  /// Types that are not computed with: equal if their bytes are.
  private func compareBytes(_ elements: Range<Int>, _ tally: inout ComparisonTally) {
    // Of several elements in a byte nobody says which one it is that differs.
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

  // MARK: - Codes

  /// Weights and what quantization made of them.
  private func compare(
    _ codes: EncodedTensor, _ weights: EncodedTensor, _ elements: Range<Int>,
    _ tally: inout ComparisonTally
  ) {
    let (values, weights) = (codes.values(elements), weights.values(elements))
    let groups = codes.groups(isCalibrated: isCalibrated)
    let bound = groups.bound
    for group in stride(from: 0, to: values.count, by: groups.length) {
      let range = group..<group + groups.length
      let scale = groups.scale(of: elements.lowerBound + group)
      let distance = GroupDistance(values, weights, range)
      let rounding =
        distance.isEmpty && !isCalibrated ? bound.empty : bound.rounding(scale: scale.floatValue)
      // Nearly always, and without a look at single elements.
      if !distance.hasNaN, distance.largest < rounding {
        tally.add(distance, of: values, weights, at: elements.lowerBound, limit: rounding)
        continue
      }
      let clipping = bound.clipping(weights: weights.span, in: range, scale: scale)
      for index in range where !Self.isEqual(values[index], weights[index]) {
        let (value, weight) = (values[index], weights[index])
        let element = elements.lowerBound + index
        guard value.isFinite, weight.isFinite else {
          tally.addNonFinite(
            element,
            isPermitted: bound.permits(value, forNonFinite: weight, scale: scale.floatValue))
          continue
        }
        var limit = rounding
        if (weight > value) == (value > 0), value != 0,
          bound.isLast(value, scale: scale.floatValue)
        {
          limit = max(limit, clipping.distance(beyond: value))
        }
        tally.add(element, difference: abs(Double(weight) - Double(value)), limit: Double(limit))
      }
    }
  }

  /// Two quantizations of weights that are not known.
  private func compareCodes(_ elements: Range<Int>, _ tally: inout ComparisonTally) {
    let (left, right) = (self.left.values(elements), self.right.values(elements))
    let (leftGroups, rightGroups) = (
      self.left.groups(isCalibrated: isCalibrated), self.right.groups(isCalibrated: isCalibrated)
    )
    let haveSameCodes = leftGroups.bits == rightGroups.bits && !isCalibrated
    for index in left.indices where !Self.isEqual(left[index], right[index]) {
      let element = elements.lowerBound + index
      guard left[index].isFinite, right[index].isFinite else {
        tally.addNonFinite(element, isPermitted: false)
        continue
      }
      let scales = (leftGroups.scale(of: element), rightGroups.scale(of: element))
      let difference = abs(Double(left[index]) - Double(right[index]))
      // Codes follow from the scale and the weight, so with the same scale they are the same.
      guard !(haveSameCodes && scales.0 == scales.1) else {
        tally.add(element, difference: difference, limit: 0)
        continue
      }
      let limit =
        leftGroups.limit(left[index], towards: right[index], scale: scales.0)
        + rightGroups.limit(right[index], towards: left[index], scale: scales.1)
      tally.add(element, difference: difference, limit: limit)
    }
  }

  // MARK: - Values

  private static func isEqual(_ left: Float, _ right: Float) -> Bool {
    left == right || left.isNaN && right.isNaN
  }
}

/// What the values of a group and the weights that they stand for have between them.
private struct GroupDistance {
  let range: Range<Int>
  private(set) var largest: Float = 0
  private(set) var hasNaN = false
  private(set) var unequalCount = 0
  /// Whether all values are 0.
  private(set) var isEmpty = true

  init(_ values: [Float], _ weights: [Float], _ range: Range<Int>) {
    self.range = range
    var magnitude: Float = 0
    for index in range {
      let distance = abs(weights[index] - values[index])
      largest = distance > largest ? distance : largest
      hasNaN = hasNaN || distance.isNaN
      unequalCount += distance == 0 ? 0 : 1
      magnitude = max(magnitude, abs(values[index]))
    }
    isEmpty = magnitude == 0
  }
}

extension ComparisonTally {
  /// Counts a group in which every distance is permitted.
  fileprivate mutating func add(
    _ group: GroupDistance, of values: [Float], _ weights: [Float], at start: Int, limit: Float
  ) {
    unequalCount += group.unequalCount
    let isWorst = Double(group.largest) > worstRatio * Double(limit)
    guard group.largest > 0, isWorst || Double(group.largest) > largestDifference else { return }
    for index in group.range where abs(weights[index] - values[index]) == group.largest {
      measure(
        start + index, difference: abs(Double(weights[index]) - Double(values[index])),
        limit: Double(limit))
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

/// The scales of a quantized tensor.
private struct Groups {
  let tensor: EncodedTensor
  let bits: Int
  let length: Int
  let bound: RoundingBound

  /// The scale of an element.
  func scale(of element: Int) -> BFloat16 {
    BFloat16(
      bitPattern: tensor.region.bytes.load(
        at: tensor.codeByteCount + element / length * 2, as: UInt16.self))
  }

  /// How far the weight behind a value may be from it, in the direction of another value.
  func limit(_ value: Float, towards other: Float, scale: BFloat16) -> Double {
    let rounding = bound.rounding(scale: scale.floatValue)
    guard (other > value) == (value > 0), value != 0,
      bound.isLast(value, scale: scale.floatValue)
    else { return Double(rounding) }
    return Double(max(rounding, bound.clipping(scale: scale).distance(beyond: value)))
  }
}

extension EncodedTensor {
  /// The scales; of a plain tensor nothing that anybody may ask for.
  fileprivate func groups(isCalibrated: Bool) -> Groups {
    let length = max(encoding.groupSize(columns: shape.columns), 1)
    let bits = if case .quantized(let bits, _) = encoding { bits } else { 8 }
    return Groups(
      tensor: self, bits: bits, length: length,
      bound: RoundingBound(bits: bits, groupLength: length, isCalibrated: isCalibrated))
  }

  /// Where the bytes of some elements are: codes and scales, or the elements themselves.
  fileprivate func byteRanges(of elements: Range<Int>) -> [Range<Int>] {
    switch encoding {
    case .plain(let dtype):
      let bits = dtype.bitWidth
      return [elements.lowerBound * bits / 8..<(elements.upperBound * bits + 7) / 8]
    case .quantized(let bits, _):
      let length = max(encoding.groupSize(columns: shape.columns), 1)
      return [
        elements.lowerBound * bits / 8..<elements.upperBound * bits / 8,
        codeByteCount + elements.lowerBound / length * 2..<codeByteCount
          + elements.upperBound / length * 2,
      ]
    }
  }

  /// Some elements as float32.
  fileprivate func values(_ elements: Range<Int>) -> [Float] {
    var values = [Float](repeating: 0, count: elements.count)
    var span = values.mutableSpan
    switch encoding {
    case .plain(let dtype):
      widen(dtype, region.bytes.extracting(byteRanges(of: elements)[0]), into: &span)
    case .quantized(let bits, _):
      let ranges = byteRanges(of: elements)
      widenCodes(
        bits: bits, group: encoding.groupSize(columns: shape.columns),
        codes: region.bytes.extracting(ranges[0]), scales: region.bytes.extracting(ranges[1]),
        into: &span)
    }
    return values
  }
}
