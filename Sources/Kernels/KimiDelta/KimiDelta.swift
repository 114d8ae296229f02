// SPDX-License-Identifier: Apache-2.0

internal import CKernels
package import TensorCore

/// Heads of Kimi delta attention and their widths.
package struct KimiDeltaShape: Sendable, Equatable {
  /// H: heads, independent of each other.
  package let heads: Int
  /// K: channels of queries, keys and decays of one head.
  package let keyDimension: Int
  /// V: channels of values and outputs of one head.
  package let valueDimension: Int

  package init(heads: Int, keyDimension: Int, valueDimension: Int) {
    precondition(heads > 0 && keyDimension > 0 && valueDimension > 0, "empty heads")
    self.heads = heads
    self.keyDimension = keyDimension
    self.valueDimension = valueDimension
  }
}

/// What Kimi delta attention remembers of a sequence, whatever its length.
package struct KimiDeltaState: Sendable, Equatable {
  /// `[H, K, V]`.
  package var elements: [Float]

  /// The state before the first token.
  package init(zeros shape: KimiDeltaShape) {
    elements = [Float](
      repeating: 0, count: shape.heads * shape.keyDimension * shape.valueDimension)
  }
}

/// A way to compute Kimi delta attention; all agree within rounding.
package enum KimiDeltaKernel: Sendable, Equatable {
  /// Token by token in four passes over the state, plain loops: what the others are compared with.
  case passes
  /// The recurrence, two tokens a pass, with the state in slices of columns that stay in the cache.
  case recurrent
  /// Runs of `chunk` tokens as matrix products.
  case chunkwise(chunk: Int)

  /// What measures fastest at any number of tokens, with AVX2 and with AVX-512.
  package static let best = KimiDeltaKernel.recurrent

  /// Tokens whose cuts the recurrent kernel does not notice: it prepares that many at a time.
  package static let recurrentRun = 32

  /// The chunk that was fastest with AVX2 and with AVX-512: longer ones only add products of tokens
  /// with tokens, for a state that is in the cache anyway.
  package static let bestChunk = 16
}

/// Kimi delta attention (KDA), fast; `referenceKimiDelta` has the equations.
///
/// All kernels fix the order of every sum: results do not depend on the number of threads or on what
/// else is in the batch. They are the same bits with AVX2 and with AVX-512, whose fused
/// multiply-adds portable code for x86 has to do without. `.recurrent` gives the same bits when a
/// sequence is cut into calls at multiples of `KimiDeltaKernel.recurrentRun`, `.chunkwise` at
/// multiples of the chunk, `.passes` anywhere. Against float64 the relative error (norm of the
/// difference over norm) of outputs and states is below 1e-6 in all golden cases.
///
/// - Parameters:
///   - kernel: How to compute.
///   - queries: `[N, H * K]`, before normalisation.
///   - keys: `[N, H * K]`, before normalisation.
///   - values: `[N, H * V]`; replaced by the outputs, so that none of a long sequence needs memory that
///     was not there before. Rows of no sequence stay as they are.
///   - logDecay: `[N, H * K]`, at most 0; any size, -200 and -infinity included.
///   - beta: `[N, H]`, in 0...1.
///   - sequences: Disjoint ranges of the N rows, one for each sequence.
///   - states: One for each sequence; replaced by the state after its last token.
///   - shape: H, K and V.
///   - workers: Threads; some heads of a sequence are an item of work.
///   - instructions: Which C kernels run.
/// - Complexity: For a token and head 7 * K * V flops as the recurrence counts them, of which
///   `.recurrent` does 6 * K * V and one for each key channel, `.chunkwise`
///   6 * K * V + chunk * (2 K + 2 V). `Docs/Benchmarks.md` has the times.
package func kimiDelta(
  _ kernel: KimiDeltaKernel, queries: Matrix, keys: Matrix, values: inout Matrix,
  logDecay: Matrix, beta: Matrix, sequences: [Range<Int>], states: inout [KimiDeltaState],
  shape: KimiDeltaShape, workers: Workers, on instructions: InstructionSet = .best
) {
  let input = KimiDeltaInput(
    queries: queries, keys: keys, logDecay: logDecay, beta: beta, shape: shape)
  input.check(sequences, states)
  precondition(
    values.rows == queries.rows && values.columns == shape.heads * shape.valueDimension,
    "values are not [N, H * V]")
  if case .chunkwise(let chunk) = kernel { precondition(chunk >= 1, "a chunk of no tokens") }
  // The longest first, so that no thread is left alone with it at the end.
  let order = sequences.indices.sorted { sequences[$0].count > sequences[$1].count }
  let group = headsTogether(kernel, shape, sequences: order.count, workers)
  let groups = shape.heads / group
  // States move into matrices and back; nothing is copied.
  var shared = states.indices.map { index in
    var elements: [Float] = []
    swap(&elements, &states[index].elements)
    return Matrix(
      rows: shape.heads * shape.keyDimension, columns: shape.valueDimension, elements: elements)
  }
  values.withSharedRows { values in
    withSharedRows(of: &shared) { states in
      workers.forEach(order.count * groups) { item in
        let (sequence, first) = (order[item / groups], item % groups * group)
        input.compute(
          kernel, heads: first..<first + group, rows: sequences[sequence],
          values: values, state: states[sequence], on: instructions)
      }
    }
  }
  for index in states.indices { swap(&states[index].elements, &shared[index].elements) }
}

/// How many neighbouring heads of a sequence one thread computes together.
///
/// Their rows are pieces of the same rows of memory: read at about the same time, they share pages,
/// which makes long sequences up to a third faster. It changes no bit, so it may depend on how many
/// threads want work.
private func headsTogether(
  _ kernel: KimiDeltaKernel, _ shape: KimiDeltaShape, sequences: Int, _ workers: Workers
) -> Int {
  guard kernel != .passes else { return 1 }
  return [4, 2].first { group in
    shape.heads % group == 0 && sequences * shape.heads / group >= workers.count
  } ?? 1
}

/// What one call only reads.
private struct KimiDeltaInput: Sendable {
  let queries: Matrix
  let keys: Matrix
  let logDecay: Matrix
  let beta: Matrix
  let shape: KimiDeltaShape

  func check(_ sequences: [Range<Int>], _ states: [KimiDeltaState]) {
    let rows = queries.rows
    let keyColumns = shape.heads * shape.keyDimension
    for matrix in [queries, keys, logDecay] {
      precondition(matrix.rows == rows && matrix.columns == keyColumns, "not [N, H * K]")
    }
    precondition(beta.rows == rows && beta.columns == shape.heads, "beta is not [N, H]")
    precondition(states.count == sequences.count, "one state for each sequence")
    for state in states {
      precondition(
        state.elements.count == keyColumns * shape.valueDimension, "a state of another shape")
    }
    var end = 0
    for sequence in sequences.filter({ !$0.isEmpty }).sorted(by: { $0.lowerBound < $1.lowerBound })
    {
      precondition(sequence.lowerBound >= end, "sequences overlap")
      end = sequence.upperBound
    }
    precondition(end <= rows, "a sequence ends behind the last row")
  }

  /// Neighbouring heads of one sequence, by a C kernel.
  func compute(
    _ kernel: KimiDeltaKernel, heads: Range<Int>, rows: Range<Int>, values: SharedRows,
    state: SharedRows, on instructions: InstructionSet
  ) {
    guard !rows.isEmpty else { return }
    let head = heads.lowerBound
    let keyOffset = rows.lowerBound * keys.columns + head * shape.keyDimension
    unsafe queries.elements.withUnsafeBufferPointer { queries in
      unsafe keys.elements.withUnsafeBufferPointer { keys in
        unsafe logDecay.elements.withUnsafeBufferPointer { logDecay in
          unsafe beta.elements.withUnsafeBufferPointer { beta in
            var arguments = unsafe kiln_delta_head(
              tokens: rows.count, key_dimension: shape.keyDimension,
              value_dimension: shape.valueDimension, key_stride: self.keys.columns,
              value_stride: shape.heads * shape.valueDimension, beta_stride: self.beta.columns,
              queries: queries.baseAddress.map { unsafe $0 + keyOffset },
              keys: keys.baseAddress.map { unsafe $0 + keyOffset },
              log_decay: logDecay.baseAddress.map { unsafe $0 + keyOffset },
              values: values.address(row: rows.lowerBound, column: head * shape.valueDimension),
              beta: beta.baseAddress.map {
                unsafe $0 + rows.lowerBound * shape.heads + head
              },
              state: state.address(row: head * shape.keyDimension, column: 0))
            unsafe run(kernel, &arguments, heads: heads.count, on: instructions)
          }
        }
      }
    }
  }

  @unsafe
  private func run(
    _ kernel: KimiDeltaKernel, _ arguments: inout kiln_delta_head, heads: Int,
    on instructions: InstructionSet
  ) {
    switch kernel {
    case .passes:
      let size = unsafe kiln_delta_passes_workspace(&arguments)
      unsafe withWorkspace(size) { unsafe kiln_delta_passes(instructions.code, &arguments, $0) }
    case .recurrent:
      let size = unsafe kiln_delta_recurrent_workspace(&arguments, heads)
      unsafe withWorkspace(size) {
        unsafe kiln_delta_recurrent(instructions.code, &arguments, heads, $0)
      }
    case .chunkwise(let chunk):
      // A chunk longer than the sequence only costs memory.
      let chunk = unsafe min(chunk, arguments.tokens)
      let size = unsafe kiln_delta_chunkwise_workspace(&arguments, heads, chunk)
      unsafe withWorkspace(size) {
        unsafe kiln_delta_chunkwise(instructions.code, &arguments, heads, chunk, $0)
      }
    }
  }
}

/// Lends uninitialised scratch memory, one allocation for all tokens of a head.
private func withWorkspace(_ count: Int, _ body: (UnsafeMutablePointer<Float>?) -> Void) {
  unsafe withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { buffer in
    unsafe body(buffer.baseAddress)
  }
}
