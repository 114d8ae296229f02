// SPDX-License-Identifier: Apache-2.0

import Kernels

extension InstructionSet {
  /// Whether exponentials have the bits that the best set gives them: without fused multiply-adds the last
  /// ones are others.
  var hasBitsOfTheBest: Bool { (self == .portable) == (InstructionSet.best == .portable) }
}
