// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import TensorCore

/// The tensors of one role about which the same was found.
package struct ComparisonGroup: Sendable {
  package let role: TensorRole
  package let verdict: TensorComparison.Verdict
  /// How many there are.
  package private(set) var tensorCount = 0
  /// First and last of their layers; nil for tensors outside the layers.
  package private(set) var layers: ClosedRange<Int>?
  /// The one that is the furthest from what is permitted; of equally bad ones the first.
  package private(set) var worst: TensorComparison

  /// Groups the tensors with some of the verdicts, by role and verdict, each in the order of its cases.
  package static func groups(
    of tensors: [TensorComparison], where isIncluded: (TensorComparison.Verdict) -> Bool
  ) -> [ComparisonGroup] {
    var groups: [TensorRole: [TensorComparison.Verdict: ComparisonGroup]] = [:]
    for tensor in tensors where isIncluded(tensor.verdict) {
      groups[tensor.role, default: [:]][
        tensor.verdict,
        default: ComparisonGroup(role: tensor.role, verdict: tensor.verdict, worst: tensor)
      ].add(tensor)
    }
    return TensorRole.allCases.flatMap { role in
      TensorComparison.Verdict.allCases.compactMap { groups[role]?[$0] }
    }
  }

  private mutating func add(_ tensor: TensorComparison) {
    tensorCount += 1
    if let layer = LayerNumber.of(tensor.name) {
      layers = min(layers?.lowerBound ?? layer, layer)...max(layers?.upperBound ?? layer, layer)
    }
    if (worst.tally.worstRatio, worst.tally.largestDifference)
      < (tensor.tally.worstRatio, tensor.tally.largestDifference)
    {
      worst = tensor
    }
  }
}
