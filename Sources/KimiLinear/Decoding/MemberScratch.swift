// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// Places in the memory of a decoder that one member of the team has for itself.
struct MemberScratch: Sendable {
  /// The normalised residual stream, `[d]`.
  let normalized: Range<Int>
  /// The normalised low-rank query of MLA.
  let query: Range<Int>
  /// Products of one block of rows, and a second one of the same size behind them.
  let products: Range<Int>
  /// Query, key, decay and gate of one KDA head, `[4, K]`.
  let head: Range<Int>
  /// Scratch memory of a kernel.
  let workspace: Range<Int>
  /// Latent of one MLA head.
  let latent: Range<Int>
  /// Chosen experts and their weights, `[2, perToken]`.
  let choice: Range<Int>
  private let arranged: Range<Int>
  private let arrangedLength: Int
  private let slots: Range<Int>
  private let slotLength: Int

  /// Rows of a block, of which there may be two at a time.
  static let rowCount = 512

  init(_ configuration: ModelConfiguration, router: Router?, _ memory: inout MemoryPlan) {
    let linear = configuration.linearAttention
    let latent = configuration.latentAttention
    let experts = configuration.experts
    normalized = memory.take(configuration.hiddenSize)
    query = memory.take(latent?.queryRank ?? 0)
    products = memory.take(2 * Self.rowCount)
    head = memory.take(4 * (linear?.headDimension ?? 0))
    workspace = memory.take(
      max(
        linear.map { KimiDeltaStep.workspaceCount($0.deltaShape) } ?? 0,
        latent.map { AbsorbedAttention($0).workspaceCount } ?? 0, router?.workspaceCount ?? 0))
    self.latent = memory.take(latent?.latentRank ?? 0)
    choice = memory.take(2 * (experts?.perToken ?? 0))
    // Two vectors at a time, each in every arrangement that there is.
    let longest = [
      configuration.hiddenSize, linear?.width ?? 0,
      latent.map { $0.heads * $0.valueDimension } ?? 0,
      latent?.queryRank ?? 0, latent?.latentRank ?? 0, configuration.intermediateSize,
    ].reduce(0, max)
    arrangedLength = StoredMatrix.arrangedCount(longest)
    arranged = memory.take(2 * StoredMatrix.arrangementCount * arrangedLength)
    slotLength = StoredMatrix.arrangedCount((experts?.width ?? 0) * max(experts?.shared ?? 0, 1))
    slots = memory.take(slotLength * ((experts?.perToken ?? 0) + 1))
  }

  /// Where a vector is arranged for a matrix; `vector` tells the two apart.
  func arranged(for matrix: StoredMatrix, vector: Int = 0) -> Range<Int> {
    let number = vector * StoredMatrix.arrangementCount + matrix.arrangement
    let start = arranged.lowerBound + number * arrangedLength
    return start..<start + StoredMatrix.arrangedCount(matrix.columns)
  }

  /// Where the activations of a chosen expert are arranged for its last matrix.
  func slot(_ slot: Int, for matrix: StoredMatrix) -> Range<Int> {
    let start = slots.lowerBound + slot * slotLength
    return start..<start + StoredMatrix.arrangedCount(matrix.columns)
  }

  /// Part `index` of `head`, `[K]`.
  func headPart(_ index: Int) -> Range<Int> {
    let length = head.count / 4
    return head.lowerBound + index * length..<head.lowerBound + (index + 1) * length
  }

  /// The first or second part of `products`, `count` of it.
  func products(_ count: Int, second: Bool = false) -> Range<Int> {
    let start = products.lowerBound + (second ? Self.rowCount : 0)
    return start..<start + count
  }
}

/// A vector that is multiplied in one phase, arranged by each member when it first needs it.
struct PhaseVector {
  /// The vector, in the memory of the decoder.
  let place: Range<Int>
  /// Which of two vectors of the phase it is.
  var number = 0
  /// One bit for each arrangement that is there.
  var arranged: UInt8 = 0
}
