// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// Dense feed-forward layers and mixtures of experts of one token.
extension DecodingStep {
  /// y = down (SiLU(gate x) * up x), added to the residual stream.
  func feedForward(
    _ matrices: DecodingPlan.GatedMatrices, _ scratch: MemberScratch, _ member: ThreadTeam.Member
  ) {
    let memory = memory
    let (width, rowsPerItem) = (matrices.gate.rows, matrices.rowsPerItem)
    let place = plan.places.activations.lowerBound
    var vector = PhaseVector(place: scratch.normalized)
    member.forEach(itemCount(width, rowsPerItem)) { item in
      gate(
        matrices, rows: itemRows(item, rowsPerItem, of: width), by: &vector, to: place, scratch)
    }
    var activations = PhaseVector(place: place..<place + width)
    let (count, rowsPerSum) = (matrices.down.rows, matrices.rowsPerSum)
    member.forEach(itemCount(count, rowsPerSum)) { item in
      let rows = itemRows(item, rowsPerSum, of: count)
      let products = scratch.products(rows.count)
      memory.withMutable(products) {
        multiply(matrices.down, rows: rows, by: &activations, scratch, into: &$0)
      }
      addToHidden(products, rows: rows)
    }
  }

  /// Scores of all experts, and gate and up of the shared ones.
  func route(
    _ layer: DecodingPlan.ExpertsPlan, _ scratch: MemberScratch, _ member: ThreadTeam.Member
  ) {
    let memory = memory
    // The shared experts need no choice, so they keep members busy beside the few rows of the router.
    var vector = PhaseVector(place: scratch.normalized)
    let sharedWidth = layer.shared?.gate.rows ?? 0
    let rowsPerShared = layer.shared?.rowsPerItem ?? 1
    member.forEach(layer.gate.count + itemCount(sharedWidth, rowsPerShared)) { item in
      if let shared = layer.shared, item >= layer.gate.count {
        gate(
          shared, rows: itemRows(item - layer.gate.count, rowsPerShared, of: sharedWidth),
          by: &vector, to: activationPlace(layer.perToken, of: layer), scratch)
      } else {
        let block = plan.blocks[layer.gate.lowerBound + item]
        memory.withMutable(block.output) {
          multiply(block.matrix, rows: block.rows, by: &vector, scratch, into: &$0)
        }
      }
    }
  }

  /// The chosen experts and the shared ones, added to the residual stream.
  func mixture(
    _ layer: DecodingPlan.ExpertsPlan, _ scratch: MemberScratch, _ member: ThreadTeam.Member
  ) {
    var vector = PhaseVector(place: scratch.normalized)
    choose(layer, scratch)
    let itemsPerExpert = itemCount(layer.width, layer.rowsPerItem)
    member.forEach(layer.perToken * itemsPerExpert) { item in
      let slot = item / itemsPerExpert
      gate(
        expert(slot, of: layer, scratch),
        rows: itemRows(item % itemsPerExpert, layer.rowsPerItem, of: layer.width), by: &vector,
        to: activationPlace(slot, of: layer), scratch)
    }
    addExperts(layer, scratch, member)
  }

  /// Sums the experts' outputs, a few rows at a time: the chosen ones in their order, then the shared.
  private func addExperts(
    _ layer: DecodingPlan.ExpertsPlan, _ scratch: MemberScratch, _ member: ThreadTeam.Member
  ) {
    let memory = memory
    for slot in 0..<layer.perToken {
      arrange(slot, for: expert(slot, of: layer, scratch).down, of: layer, scratch)
    }
    if let shared = layer.shared { arrange(layer.perToken, for: shared.down, of: layer, scratch) }
    let (count, rowsPerSum) = (plan.places.hidden.count, layer.rowsPerSum)
    member.forEach(itemCount(count, rowsPerSum)) { item in
      let rows = itemRows(item, rowsPerSum, of: count)
      let sum = scratch.products(rows.count)
      memory.withMutable(sum) { sum in
        for index in 0..<sum.count { sum[index] = 0 }
        for slot in 0..<layer.perToken {
          add(
            expert(slot, of: layer, scratch).down, slot: slot, rows: rows,
            times: memory[scratch.choice.lowerBound + layer.perToken + slot], to: &sum, scratch)
        }
        if let shared = layer.shared {
          add(shared.down, slot: layer.perToken, rows: rows, times: 1, to: &sum, scratch)
        }
      }
      addToHidden(sum, rows: rows)
    }
  }

  // MARK: - One item

  private func itemCount(_ rows: Int, _ rowsPerItem: Int) -> Int {
    (rows + rowsPerItem - 1) / rowsPerItem
  }

  private func itemRows(_ item: Int, _ rowsPerItem: Int, of rows: Int) -> Range<Int> {
    item * rowsPerItem..<min((item + 1) * rowsPerItem, rows)
  }

  /// SiLU(gate x) * up x for some rows, into the activations that begin at `place`.
  private func gate(
    _ matrices: DecodingPlan.GatedMatrices, rows: Range<Int>, by vector: inout PhaseVector,
    to place: Int, _ scratch: MemberScratch
  ) {
    let memory = memory
    let raised = scratch.products(rows.count)
    memory.withMutable(raised) {
      multiply(matrices.up, rows: rows, by: &vector, scratch, into: &$0)
    }
    memory.withMutable(place + rows.lowerBound..<place + rows.upperBound) { output in
      multiply(matrices.gate, rows: rows, by: &vector, scratch, into: &output)
      siluMultiply(&output, by: memory.span(raised))
    }
  }

  private func add(
    _ down: StoredMatrix, slot: Int, rows: Range<Int>, times weight: Float,
    to sum: inout MutableSpan<Float>, _ scratch: MemberScratch
  ) {
    let memory = memory
    let products = scratch.products(rows.count, second: true)
    memory.withMutable(products) {
      down.multiply(rows: rows, by: memory.span(scratch.slot(slot, for: down)), into: &$0)
    }
    Kernels.add(memory.span(products), times: weight, to: &sum)
  }

  private func addToHidden(_ products: Range<Int>, rows: Range<Int>) {
    let memory = memory
    let start = plan.places.hidden.lowerBound
    memory.withMutable(start + rows.lowerBound..<start + rows.upperBound) {
      Kernels.add(memory.span(products), to: &$0)
    }
  }

  // MARK: - Chosen experts

  /// Each member chooses for itself, which is shorter than to wait for another.
  private func choose(_ layer: DecodingPlan.ExpertsPlan, _ scratch: MemberScratch) {
    let memory = memory
    memory.withMutable(scratch.choice) { choice in
      memory.withMutable(scratch.workspace) { workspace in
        plan.routers[layer.router].choose(
          memory.span(plan.places.routing), into: &choice, workspace: &workspace)
      }
    }
  }

  private func expert(
    _ slot: Int, of layer: DecodingPlan.ExpertsPlan, _ scratch: MemberScratch
  ) -> DecodingPlan.GatedMatrices {
    let memory = memory
    return plan.experts[layer.firstExpert + Int(memory[scratch.choice.lowerBound + slot])]
  }

  /// Where the activations of a chosen expert begin; those of the shared ones are behind them.
  private func activationPlace(_ slot: Int, of layer: DecodingPlan.ExpertsPlan) -> Int {
    plan.places.activations.lowerBound + slot * layer.width
  }

  private func arrange(
    _ slot: Int, for down: StoredMatrix, of layer: DecodingPlan.ExpertsPlan,
    _ scratch: MemberScratch
  ) {
    let memory = memory
    let place = activationPlace(slot, of: layer)
    memory.withMutable(scratch.slot(slot, for: down)) {
      down.arrange(memory.span(place..<place + down.columns), into: &$0)
    }
  }
}
