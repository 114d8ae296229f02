// SPDX-License-Identifier: Apache-2.0

/// A part of a layer of Kimi Delta Attention, for measurements of where the time of `ModelPart.kda` goes.
package enum LinearAttentionPart: String, CaseIterable, Sendable {
  /// Products with weights and the packing of what they multiply, the norm before the layer included, but for the
  /// output projection's.
  case projections
  /// Short convolutions of q, k and v, with SiLU.
  case convolution
  /// Log decays and beta from what was projected.
  case gates
  /// The recurrence, in whatever form.
  case kernel
  /// The gated norm of the outputs, which are packed for the output projection at once.
  case norm
}
