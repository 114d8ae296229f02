// SPDX-License-Identifier: Apache-2.0

internal import CKernels

/// One token of one head of Kimi delta attention, for decoding: nothing is allocated.
///
/// The recurrence of `referenceKimiDelta`, reading and writing the state once.
package enum KimiDeltaStep {
  /// Floats of scratch memory for one head.
  package static func workspaceCount(_ shape: KimiDeltaShape) -> Int {
    // Either kernel: the general one takes any width, and keeps a copy of the state.
    var head = unsafe kiln_delta_head()
    unsafe head.tokens = 1
    unsafe head.key_dimension = shape.keyDimension
    unsafe head.value_dimension = shape.valueDimension
    return unsafe max(3 * shape.keyDimension, kiln_delta_recurrent_workspace(&head, 1))
  }

  /// Advances the state of one head by one token.
  ///
  /// - Parameters:
  ///   - query: `[K]`, before normalisation.
  ///   - key: `[K]`, before normalisation.
  ///   - value: `[V]`; replaced by the output.
  ///   - logDecay: `[K]`, at most 0.
  ///   - beta: In 0...1.
  ///   - shape: K and V.
  ///   - state: `[K, V]`; replaced.
  ///   - workspace: `workspaceCount` floats.
  ///   - instructions: Which C kernels run.
  package static func advance(
    query: Span<Float>, key: Span<Float>, value: inout MutableSpan<Float>, logDecay: Span<Float>,
    beta: Float, shape: KimiDeltaShape, state: inout MutableSpan<Float>,
    workspace: inout MutableSpan<Float>, on instructions: InstructionSet = .best
  ) {
    let (keyCount, valueCount) = (shape.keyDimension, shape.valueDimension)
    precondition(
      query.count == keyCount && key.count == keyCount && logDecay.count == keyCount
        && value.count == valueCount
        && state.count == keyCount * valueCount && workspace.count >= workspaceCount(shape),
      "one head of another shape")
    var beta = beta
    unsafe query.withUnsafeBufferPointer { query in
      unsafe key.withUnsafeBufferPointer { key in
        unsafe value.withUnsafeMutableBufferPointer { value in
          unsafe logDecay.withUnsafeBufferPointer { logDecay in
            unsafe state.withUnsafeMutableBufferPointer { state in
              unsafe workspace.withUnsafeMutableBufferPointer { workspace in
                unsafe withUnsafePointer(to: &beta) { beta in
                  var head = unsafe kiln_delta_head(
                    tokens: 1, key_dimension: keyCount, value_dimension: valueCount,
                    key_stride: keyCount, value_stride: valueCount, beta_stride: 1,
                    queries: query.baseAddress, keys: key.baseAddress,
                    log_decay: logDecay.baseAddress, values: value.baseAddress, beta: beta,
                    state: state.baseAddress)
                  if valueCount % 16 == 0 {
                    unsafe kiln_delta_step(instructions.code, &head, workspace.baseAddress)
                  } else {
                    unsafe kiln_delta_recurrent(
                      instructions.code, &head, 1, workspace.baseAddress)
                  }
                }
              }
            }
          }
        }
      }
    }
  }
}
