// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore

/// Multi-head Latent Attention of one token, absorbed; `AbsorbedAttention` has the equations.
extension DecodingStep {
  func attend(
    _ layer: DecodingPlan.LatentPlan, _ position: Int, _ scratch: MemberScratch,
    _ member: ThreadTeam.Member
  ) {
    let memory = memory
    guard let dimensions = configuration.latentAttention else { return }
    let attention = AbsorbedAttention(dimensions)
    let places = plan.places
    multiply(layer.projections, by: PhaseVector(place: scratch.normalized), scratch, member)
    if !layer.queryUp.isEmpty {
      // Each member normalises the low-rank query for itself.
      memory.withMutable(scratch.query) { row in
        row.copy(from: memory.span(places.queryDown))
        RMSNorm.normalize(
          &row, weight: memory.span(layer.queryNorm),
          epsilon: ModelConfiguration.latentNormEpsilon)
      }
      multiply(layer.queryUp, by: PhaseVector(place: scratch.query), scratch, member)
    }
    // The queries of all heads move to the side of the latents; the last item stores the new one.
    member.forEach(dimensions.heads + 1) { item in
      if item < dimensions.heads {
        absorb(layer, head: item, dimensions, attention)
      } else {
        store(layer, position, dimensions, attention)
      }
    }
    let segments = attention.segments(tokens: position + 1).count
    member.forEach(segments) { segment in
      let start = places.partials.lowerBound + segment * attention.partialCount
      memory.withMutable(start..<start + attention.partialCount) { partial in
        memory.withMutable(scratch.workspace) { workspace in
          attention.attend(
            segment: segment, tokens: position + 1, queries: memory.span(places.absorbed),
            cache: caches[layer.cache], into: &partial, workspace: &workspace)
        }
      }
    }
    member.forEach(dimensions.heads) { head in
      mix(layer, head: head, segments: segments, dimensions, attention, scratch)
    }
    let width = dimensions.heads * dimensions.valueDimension
    addProducts(
      layer.output,
      by: PhaseVector(place: places.mixed.lowerBound..<places.mixed.lowerBound + width), scratch,
      member)
  }

  /// The query of one head in the space of latents, times the scale of the scores.
  private func absorb(
    _ layer: DecodingPlan.LatentPlan, head: Int,
    _ dimensions: ModelConfiguration.LatentAttention, _ attention: AbsorbedAttention
  ) {
    let memory = memory
    let start = plan.places.queries.lowerBound + head * dimensions.keyDimension
    let nope = start..<start + dimensions.nopeDimension
    let firstRow = head * dimensions.expandedDimension
    let target = plan.places.absorbed.lowerBound + head * attention.width
    memory.withMutable(target..<target + dimensions.cacheWidth) { query in
      var latent = query._mutatingExtracting(0..<dimensions.latentRank)
      layer.up.addRows(
        firstRow..<firstRow + dimensions.nopeDimension, times: memory.span(nope), into: &latent)
      var rope = query._mutatingExtracting(dimensions.latentRank..<dimensions.cacheWidth)
      rope.copy(from: memory.span(nope.upperBound..<start + dimensions.keyDimension))
      scale(&query, by: 1 / Float(dimensions.keyDimension).squareRoot())
    }
  }

  /// Puts the new latent, normalised, and the shared key behind those of earlier tokens.
  private func store(
    _ layer: DecodingPlan.LatentPlan, _ position: Int,
    _ dimensions: ModelConfiguration.LatentAttention, _ attention: AbsorbedAttention
  ) {
    let memory = memory
    let start = position * attention.width
    caches[layer.cache].withMutable(start..<start + dimensions.cacheWidth) { row in
      row.copy(from: memory.span(plan.places.latent))
      var latent = row._mutatingExtracting(0..<dimensions.latentRank)
      RMSNorm.normalize(
        &latent, weight: memory.span(layer.latentNorm),
        epsilon: ModelConfiguration.latentNormEpsilon)
    }
  }

  /// The value of one head from its sum of latents.
  private func mix(
    _ layer: DecodingPlan.LatentPlan, head: Int, segments: Int,
    _ dimensions: ModelConfiguration.LatentAttention, _ attention: AbsorbedAttention,
    _ scratch: MemberScratch
  ) {
    let memory = memory
    memory.withMutable(scratch.latent) { latent in
      attention.merge(
        head: head, partials: memory.span(plan.places.partials), segments: segments, into: &latent)
    }
    var latent = PhaseVector(place: scratch.latent)
    let firstRow = head * dimensions.expandedDimension + dimensions.nopeDimension
    let output = plan.places.mixed.lowerBound + head * dimensions.valueDimension
    memory.withMutable(output..<output + dimensions.valueDimension) { output in
      multiply(
        layer.up, rows: firstRow..<firstRow + dimensions.valueDimension, by: &latent, scratch,
        into: &output)
    }
  }
}
