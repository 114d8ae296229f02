// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// Kimi Delta Attention of one token; `LinearAttentionLayer` has the equations.
extension DecodingStep {
  func advance(
    _ layer: DecodingPlan.LinearPlan, _ position: Int, _ scratch: MemberScratch,
    _ member: ThreadTeam.Member
  ) {
    let places = plan.places
    multiply(
      layer.projections, by: PhaseVector(place: scratch.normalized), scratch, member,
      shifted: layer.ring.place, by: layer.ring.row(position) - layer.ring.place.lowerBound)
    // Everything else of a head needs nothing of the others.
    var forget = PhaseVector(place: places.forgetDown)
    var gate = PhaseVector(place: places.gateDown, number: 1)
    member.forEach(places.beta.count) { head in
      advance(layer, head: head, position, &forget, &gate, scratch)
    }
    let width = places.beta.count * places.forgetDown.count
    addProducts(
      layer.output,
      by: PhaseVector(place: places.mixed.lowerBound..<places.mixed.lowerBound + width), scratch,
      member)
  }

  private func advance(
    _ layer: DecodingPlan.LinearPlan, head: Int, _ position: Int, _ forget: inout PhaseVector,
    _ gate: inout PhaseVector, _ scratch: MemberScratch
  ) {
    let memory = memory
    let (heads, dimension) = (plan.places.beta.count, plan.places.forgetDown.count)
    let channels = head * dimension..<(head + 1) * dimension
    func part(_ place: Range<Int>, _ index: Int, of length: Int) -> Range<Int> {
      place.lowerBound + index * length..<place.lowerBound + (index + 1) * length
    }
    let output = part(plan.places.mixed, head, of: dimension)
    // q, k and v, in whose place the output comes.
    let tapCount = layer.ring.kernel * dimension
    for index in 0..<3 {
      let first = index * heads * dimension + channels.lowerBound
      memory.withMutable(index < 2 ? scratch.headPart(index) : output) { convolved in
        layer.ring.convolve(
          at: position, in: memory, channels: first..<first + dimension,
          taps: memory.span(part(layer.taps, head * 3 + index, of: tapCount)), into: &convolved)
      }
    }
    memory.withMutable(scratch.headPart(2)) { decay in
      multiply(layer.forgetUp, rows: channels, by: &forget, scratch, into: &decay)
      kimiDeltaLogDecay(
        &decay, bias: memory.span(part(layer.decayBias, head, of: dimension)),
        rate: memory[layer.decayRates.lowerBound + head])
    }
    memory.withMutable(scratch.headPart(3)) { output in
      multiply(layer.gateUp, rows: channels, by: &gate, scratch, into: &output)
    }
    memory.withMutable(output) { output in
      memory.withMutable(part(layer.state, head, of: dimension * dimension)) { state in
        memory.withMutable(scratch.workspace) { workspace in
          KimiDeltaStep.advance(
            query: memory.span(scratch.headPart(0)), key: memory.span(scratch.headPart(1)),
            value: &output, logDecay: memory.span(scratch.headPart(2)),
            beta: sigmoid(memory[plan.places.beta.lowerBound + head]),
            shape: KimiDeltaShape(
              heads: heads, keyDimension: dimension, valueDimension: dimension),
            state: &state, workspace: &workspace)
        }
      }
      RMSNorm.normalize(
        &output, weight: memory.span(layer.outputNorm), epsilon: configuration.normEpsilon)
      sigmoidMultiply(&output, gate: memory.span(scratch.headPart(3)))
    }
  }
}
