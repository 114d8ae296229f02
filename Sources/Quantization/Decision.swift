// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import TensorCore

/// What a recipe decides about one tensor.
package struct Decision: Hashable, Sendable {
  /// How the tensor is to be written; the encoding of the source if it is kept.
  package let encoding: TensorEncoding
  /// How scales are chosen if the encoding is an integer one that the source does not have yet.
  package let method: RoundingMethod
  /// Index of the rule that matched; nil where the recipe's default holds.
  package let rule: Int?
  /// Why the tensor does not get what the rule says; nil if it does.
  package let reason: Reason?

  /// Why a tensor does not get the scheme that was asked for.
  package enum Reason: Hashable, Sendable, CustomStringConvertible {
    /// The group does not divide the row length.
    case group(asked: TensorEncoding, columns: Int)
    /// The role is never quantized.
    case protected(TensorRole)
    /// Only matrices are quantized.
    case rank(Int)
    /// There is nothing in it.
    case empty
    /// The stored type is not one that Kiln computes with.
    case type(DType)
    /// The tensor has codes already, and of another kind: quantizing it again is refused.
    case alreadyQuantized(stored: TensorEncoding, asked: TensorEncoding)

    /// The reason in words, for the plan.
    package var description: String {
      switch self {
      case .group(let asked, let columns):
        "rows of \(columns) do not fit \(asked)"
      case .protected(let role):
        "tensors of role \(role.rawValue) are never quantized"
      case .rank(let rank):
        "rank \(rank); only matrices are quantized"
      case .empty:
        "it has no elements"
      case .type(let dtype):
        "stored as \(dtype.rawValue), which is only carried along"
      case .alreadyQuantized(let stored, let asked):
        "stored as \(stored) already; quantizing it again as \(asked) would round twice"
      }
    }
  }

  /// Why the tensor does not get what the rule says, in words.
  package var note: String? { reason?.description }

  /// Whether the command has to refuse the source because of this tensor.
  package var isRefused: Bool {
    if case .alreadyQuantized = reason { true } else { false }
  }
}
