// SPDX-License-Identifier: Apache-2.0

package import Kernels
import Synchronization
package import TensorCore

/// Runs one sequence token by token, as generation does.
///
/// Weights stay where they are stored; everything that a token needs is taken once, so that a step
/// allocates nothing. A prompt goes through `Model.run`, whose state the decoder takes over.
/// Results do not depend on the number of threads.
package final class Decoder {
  /// How to decode.
  package struct Options: Sendable {
    /// Threads; more than there are processors would only wait for each other.
    package let workers: Workers
    /// Tokens that the sequence may get to; memory for their latents is set aside, and taken as they
    /// come.
    package let contextLimit: Int
    /// The KDA kernel for prompts.
    package let promptKernel: KimiDeltaKernel

    package init(
      workers: Workers, contextLimit: Int, promptKernel: KimiDeltaKernel = .best
    ) {
      self.workers = workers
      self.contextLimit = contextLimit
      self.promptKernel = promptKernel
    }
  }

  /// What is run.
  package let model: Model
  /// How it is run.
  package let options: Options
  /// Tokens so far.
  package internal(set) var tokenCount = 0
  let step: DecodingStep
  private let team: ThreadTeam

  /// Prepares to decode a sequence from its start.
  ///
  /// - Throws: `ModelError.tooLarge` if the context does not fit in memory.
  package init(_ model: Model, options: Options) throws(ModelError) {
    self.model = model
    self.options = options
    let configuration = model.configuration
    var plan = MemoryPlan()
    let decodingPlan = DecodingPlan(
      model, members: options.workers.count, memory: &plan)
    let router = decodingPlan.routers.max { $0.workspaceCount < $1.workspaceCount }
    let scratches = (0..<options.workers.count).map { _ in
      MemberScratch(configuration, router: router, &plan)
    }
    let cacheCount = try Self.checkedCacheCount(model, options, working: plan.count)
    let caches = (0..<configuration.latentLayerCount).map { _ in SharedFloats(count: cacheCount) }
    guard let memory = plan.makeMemory(), !caches.contains(where: { $0 == nil }) else {
      throw .tooLarge(
        model: model.name,
        needed: (plan.count + caches.count * cacheCount) * MemoryLayout<Float>.stride,
        available: PhysicalMemory.byteCount)
    }
    let step = DecodingStep(
      plan: decodingPlan, configuration: configuration, memory: memory,
      caches: caches.compactMap(\.self), scratches: scratches)
    self.step = step
    team = ThreadTeam(count: options.workers.count) { step.run($0) }
  }

  /// Floats of one latent cache.
  private static func checkedCacheCount(
    _ model: Model, _ options: Options, working: Int
  ) throws(ModelError) -> Int {
    guard let dimensions = model.configuration.latentAttention else { return 0 }
    let width = AbsorbedAttention(dimensions).width
    let available = PhysicalMemory.byteCount
    let layers = max(model.configuration.latentLayerCount, 1)
    // Fewer tokens than bytes: nothing below can overflow.
    let tokens = min(max(options.contextLimit, 1), available)
    let (bytes, overflow) = AbsorbedAttention.rowCount(forTokens: tokens)
      .multipliedReportingOverflow(by: width * layers * MemoryLayout<Float>.stride)
    guard !overflow, bytes <= available - min(working * MemoryLayout<Float>.stride, available)
    else {
      throw .tooLarge(
        model: model.name, needed: overflow ? Int.max : bytes, available: available)
    }
    return bytes / (layers * MemoryLayout<Float>.stride)
  }

  /// Runs the tokens of a prompt; the logits are then those after its last token.
  ///
  /// - Parameter tokens: Ids.
  /// - Throws: `ModelError.tokenOutOfRange`, `.contextFull`.
  package func run(prompt tokens: [Int]) throws {
    guard tokens.count <= options.contextLimit - tokenCount else {
      throw ModelError.contextFull(model: model.name, limit: options.contextLimit)
    }
    for token in tokens { try check(token) }
    // What comes behind a context that is already here goes step by step, as generated tokens do.
    let (first, rest) = tokenCount == 0 ? (tokens.dropLast(), tokens.suffix(1)) : ([], tokens[...])
    if !first.isEmpty {
      var states = [SequenceState(model.configuration)]
      for start in stride(from: 0, to: first.count, by: Self.promptTokensAtATime) {
        let piece = Array(first[start..<min(start + Self.promptTokensAtATime, first.count)])
        _ = try model.run(
          piece, sequences: [0..<piece.count], states: &states,
          options: Model.Options(kernel: options.promptKernel, workers: options.workers))
      }
      try take(states[0])
    }
    for token in rest { try step(token) }
  }

  /// Tokens of a prompt that go through the layers together.
  private static let promptTokensAtATime = 512

  /// Runs one token.
  ///
  /// - Parameter token: Its id.
  /// - Throws: `ModelError.tokenOutOfRange`, `.contextFull`.
  package func step(_ token: Int) throws(ModelError) {
    try check(token)
    guard tokenCount < options.contextLimit else {
      throw .contextFull(model: model.name, limit: options.contextLimit)
    }
    step.memory.withMutable(step.plan.places.hidden) {
      widen(step.plan.embedding, rows: token..<token + 1, into: &$0)
    }
    step.position.store(tokenCount, ordering: .relaxed)
    team.run()
    tokenCount += 1
  }

  /// Has the clock run in the steps of `body`.
  ///
  /// - Returns: Seconds that each part of the model took in them.
  /// - Throws: What `body` throws.
  package func secondsOfParts(_ body: () throws -> Void) rethrows -> [ModelPart: Double] {
    let before = step.clock.seconds
    step.isTimed.store(true, ordering: .relaxed)
    defer { step.isTimed.store(false, ordering: .relaxed) }
    try body()
    return step.clock.seconds.merging(before) { $0 - $1 }
  }

  private func check(_ token: Int) throws(ModelError) {
    let size = model.configuration.vocabularySize
    guard (0..<size).contains(token) else {
      throw .tokenOutOfRange(id: token, vocabularySize: size)
    }
  }

  /// Lends the logits `[vocabulary]` after the last token.
  package func withLogits<Result>(_ body: (Span<Float>) throws -> Result) rethrows -> Result {
    let memory = step.memory
    return try body(memory.span(step.plan.places.logits))
  }

  /// Bytes of weights that a token reads.
  package var activeBytes: Int { step.plan.weightByteCount }

  /// Bytes that the sequence keeps: latents of its tokens, KDA states, inputs of convolutions.
  package var cacheBytes: Int {
    model.configuration.stateNumbers(tokens: tokenCount) * MemoryLayout<Float>.stride
  }
}
