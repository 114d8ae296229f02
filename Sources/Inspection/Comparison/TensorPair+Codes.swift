// SPDX-License-Identifier: Apache-2.0

import Quantization
import TensorCore

extension TensorPair {
  /// Codes on one side, and on the other the weights that they may stand for.
  ///
  /// - Parameters:
  ///   - elements: Whole rows of elements.
  ///   - canRoundCodes: Whether the weights may have been rounded from the values of the codes, too.
  ///   - tally: What was measured, against the bound of the codes.
  func compareCodes(
    _ elements: Range<Int>, canRoundCodes: Bool, _ tally: inout ComparisonTally
  ) {
    let isLeft = left.encoding.isQuantized
    let (codes, plain) = isLeft ? (left, right) : (right, left)
    let isCalibrated = isLeft ? isLeftCalibrated : isRightCalibrated
    let (values, weights) = (codes.values(elements), plain.values(elements))
    if !canRoundCodes || !isRounded(weights, from: values) { tally.isRoundedFromCodes = false }
    let groups = Groups(of: codes, isCalibrated: isCalibrated)
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
      for index in range where !values[index].isSame(as: weights[index]) {
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

  /// Whether every weight is the BF16 number next to the value of its code.
  private func isRounded(_ weights: [Float], from values: [Float]) -> Bool {
    zip(weights, values).allSatisfy { weight, value in
      weight.isSame(as: BFloat16(value).floatValue)
    }
  }
}

/// The scales of a quantized tensor.
private struct Groups {
  let tensor: EncodedTensor
  let length: Int
  let bound: RoundingBound

  init(of tensor: EncodedTensor, isCalibrated: Bool) {
    self.tensor = tensor
    length = max(tensor.encoding.groupSize(columns: tensor.shape.columns), 1)
    let bits = if case .quantized(let bits, _) = tensor.encoding { bits } else { 8 }
    bound = RoundingBound(bits: bits, isCalibrated: isCalibrated)
  }

  /// The scale of an element.
  func scale(of element: Int) -> BFloat16 {
    BFloat16(
      bitPattern: tensor.region.bytes.load(
        at: tensor.codeByteCount + element / length * 2, as: UInt16.self))
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
