// SPDX-License-Identifier: Apache-2.0

import Kernels
import Synchronization
import TensorCore

/// One token through all layers, by a team of threads.
///
/// A layer is a handful of phases with a barrier behind each: products of the normalised stream, what
/// works head by head, the output projection, the experts. In a phase members take blocks of rows,
/// heads or segments of the cache as they become free. Every number is computed by one member in a
/// fixed order, and nothing is allocated.
final class DecodingStep: Sendable {
  let plan: DecodingPlan
  let configuration: ModelConfiguration
  let memory: SharedFloats
  /// Latents of each MLA layer, `[rows, width]`.
  let caches: [SharedFloats]
  let scratches: [MemberScratch]
  /// Tokens before the one that is computed.
  let position = Atomic(0)
  /// Whether the clock runs.
  let isTimed = Atomic(false)
  /// Where the time of timed steps went, as the first member saw it.
  let clock = PartClock()

  init(
    plan: DecodingPlan, configuration: ModelConfiguration, memory: SharedFloats,
    caches: [SharedFloats], scratches: [MemberScratch]
  ) {
    self.plan = plan
    self.configuration = configuration
    self.memory = memory
    self.caches = caches
    self.scratches = scratches
  }

  /// What each member does: from the embedding in `hidden` to the logits.
  func run(_ member: ThreadTeam.Member) {
    let scratch = scratches[member.index]
    let position = position.load(ordering: .relaxed)
    let clock = member.index == 0 && isTimed.load(ordering: .relaxed) ? clock : nil
    clock?.resume()
    for index in plan.layers.indices {
      normalize(plan.layers[index].inputNorm, scratch)
      switch plan.layers[index].attention {
      case .linear(let linear):
        advance(linear, position, scratch, member)
        clock?.ended(.kda)
      case .latent(let latent):
        attend(latent, position, scratch, member)
        clock?.ended(.mla)
      }
      normalize(plan.layers[index].feedForwardNorm, scratch)
      switch plan.layers[index].feedForward {
      case .dense(let matrices):
        feedForward(matrices, scratch, member)
        clock?.ended(.dense)
      case .experts(let experts):
        route(experts, scratch, member)
        clock?.ended(.router)
        mixture(experts, scratch, member)
        clock?.ended(.experts)
      }
    }
    normalize(plan.finalNorm, scratch)
    multiply(plan.head, by: PhaseVector(place: scratch.normalized), scratch, member)
    clock?.ended(.head)
  }

  /// The residual stream, normalised by each member for itself: that is shorter than a barrier.
  private func normalize(_ weight: Range<Int>, _ scratch: MemberScratch) {
    let memory = memory
    memory.withMutable(scratch.normalized) { row in
      row.copy(from: memory.span(plan.places.hidden))
      RMSNorm.normalize(
        &row, weight: memory.span(weight), epsilon: configuration.normEpsilon)
    }
  }

  /// A phase of products: each block of rows goes to its output, `shift` floats on if that lies in
  /// `shifted`.
  func multiply(
    _ blocks: Range<Int>, by vector: PhaseVector, _ scratch: MemberScratch,
    _ member: ThreadTeam.Member, shifted: Range<Int> = 0..<0, by shift: Int = 0
  ) {
    let memory = memory
    var vector = vector
    member.forEach(blocks.count) { item in
      let block = plan.blocks[blocks.lowerBound + item]
      let shift = shifted.contains(block.output.lowerBound) ? shift : 0
      let output = block.output.lowerBound + shift..<block.output.upperBound + shift
      memory.withMutable(output) {
        multiply(block.matrix, rows: block.rows, by: &vector, scratch, into: &$0)
      }
    }
  }

  /// A phase of products that are added to the residual stream.
  func addProducts(
    _ blocks: Range<Int>, by vector: PhaseVector, _ scratch: MemberScratch,
    _ member: ThreadTeam.Member
  ) {
    let memory = memory
    var vector = vector
    member.forEach(blocks.count) { item in
      let block = plan.blocks[blocks.lowerBound + item]
      let products = scratch.products(block.rows.count)
      memory.withMutable(products) {
        multiply(block.matrix, rows: block.rows, by: &vector, scratch, into: &$0)
      }
      memory.withMutable(block.output) { add(memory.span(products), to: &$0) }
    }
  }

  /// Some rows of a matrix times a vector of the phase.
  func multiply(
    _ matrix: StoredMatrix, rows: Range<Int>, by vector: inout PhaseVector,
    _ scratch: MemberScratch, into output: inout MutableSpan<Float>
  ) {
    let memory = memory
    let arranged = scratch.arranged(for: matrix, vector: vector.number)
    let bit: UInt8 = 1 << matrix.arrangement
    if vector.arranged & bit == 0 {
      memory.withMutable(arranged) { matrix.arrange(memory.span(vector.place), into: &$0) }
      vector.arranged |= bit
    }
    matrix.multiply(rows: rows, by: memory.span(arranged), into: &output)
  }
}
