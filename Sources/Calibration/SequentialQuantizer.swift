// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
package import KimiLinear
package import Quantization
import SystemPackage
package import TensorCore

/// Quantizes the matrices of a model in the order of the computation, each against what it will really get.
///
/// The tokens of a sample go through one layer after the other. Before a matrix is quantized the moments of its
/// inputs are summed; its outputs then come from the quantized one. So every matrix is rounded for the inputs that it
/// will have.
///
/// Memory holds the hidden states of all tokens, one layer's quantized weights and the moments of one matrix, or of
/// the experts that are worked on at a time. Results depend on the sample and the weights alone.
package final class SequentialQuantizer {
  /// What becomes of one matrix.
  package struct Target: Sendable {
    package let encoding: TensorEncoding
    package let method: RoundingMethod

    package init(encoding: TensorEncoding, method: RoundingMethod) {
      self.encoding = encoding
      self.method = method
    }
  }

  let source: CheckedCheckpoint
  let targets: [ExactString: Target]
  let sample: CalibrationSample
  let options: Model.Options
  let rounding: CalibratedRounding
  let stages: LayerStages
  private let progress: Progress.Handler
  let finite: FiniteCheck
  private let work: CalibrationWork
  /// What was done of the stage that is under way.
  private var stageWork = 0.0
  private var stageMatrixCount = 0
  private var finishedMatrixCount = 0

  /// Matrices that were quantized and not yet fetched.
  private var finished: [ExactString: QuantizedTensor] = [:]
  /// The layer's quantized matrices, which the rest of the layer runs with.
  var replacements: [ExactString: EncodedTensor] = [:]
  var stream: TokenStream?
  private var nextStage = -1
  /// Tensors that the model does not run through.
  private let unknown: Set<ExactString>
  /// Coverage of the experts, one entry for each layer that has some.
  package private(set) var coverage: [ExpertCoverage] = []
  /// What was measured of each matrix, in the order in which they were quantized.
  package private(set) var measurements: [Measurement] = []

  /// What was measured of one matrix.
  package struct Measurement: Sendable {
    package let name: ExactString
    /// Errors of the product's outputs; nil if no tokens got there.
    package let outputError: OutputError?
    /// Why the method that was asked for was not used, if so.
    package let note: String?
  }

  /// - Parameters:
  ///   - source: The model.
  ///   - targets: What becomes of its matrices; all that are to be quantized.
  ///   - sample: The tokens.
  ///   - rounding: How matrices are rounded against moments.
  ///   - options: How to run the model.
  ///   - progress: Told after each matrix.
  /// - Throws: What `CheckedCheckpoint.checkRunnable` throws, `ModelError.tokenOutOfRange` or `.tooLarge`.
  package init(
    _ source: CheckedCheckpoint, targets: [ExactString: Target], sample: CalibrationSample,
    rounding: CalibratedRounding = CalibratedRounding(), options: Model.Options,
    progress: @escaping Progress.Handler
  ) throws {
    try source.checkRunnable(workers: options.workers)
    self.source = source
    self.targets = targets
    self.sample = sample
    self.rounding = rounding
    self.options = options
    self.progress = progress
    unknown = Set(source.unknownTensors)
    finite = FiniteCheck(source)
    work = CalibrationWork(source, targets: targets, tokenCount: sample.tokens.count)
    stages = LayerStages(source.configuration, options: options)
    let vocabulary = source.configuration.vocabularySize
    for id in sample.tokens where !(0..<vocabulary).contains(id) {
      throw ModelError.tokenOutOfRange(id: id, vocabularySize: vocabulary)
    }
    let needed = Self.peakMemoryByteCount(source, sample: sample)
    guard needed <= PhysicalMemory.byteCount else {
      throw ModelError.tooLarge(
        model: source.checkpoint.path.string, needed: needed,
        available: PhysicalMemory.byteCount)
    }
  }

  /// Hands out a quantized matrix; computes up to it if need be.
  ///
  /// - Parameter name: A matrix that `reaches` says yes to; matrices that are not fetched stay in memory.
  /// - Returns: The matrix, which is then forgotten here.
  /// - Throws: `CalibrationError.notThere` if it was handed out or passed by before, what is wrong with a compressed
  ///   block, or `Errno` if there is no memory.
  package func take(_ name: ExactString) throws -> QuantizedTensor {
    while reaches(name), finished[name] == nil, nextStage <= source.configuration.layers.count {
      try runNextStage()
    }
    guard let tensor = finished.removeValue(forKey: name) else {
      throw CalibrationError.notThere(
        model: source.checkpoint.path.string, name: name.text)
    }
    return tensor
  }

  /// Runs what is left, so that everything is measured, whatever was fetched.
  ///
  /// - Throws: As `take`.
  package func finish() throws {
    while nextStage <= source.configuration.layers.count { try runNextStage() }
  }

  /// How far it is, before anything is asked for.
  package var progressSoFar: Progress { state() }

  /// Whether a matrix is quantized here: it has a target, and the model runs through it.
  package func reaches(_ name: ExactString) -> Bool {
    targets[name] != nil && !unknown.contains(name)
  }

  /// The embedding, then each layer, then the head.
  private func runNextStage() throws {
    let layers = source.configuration.layers.count
    replacements = [:]
    // Files have the order of the computation: what was not fetched by now never will be.
    finished = [:]
    switch nextStage {
    case -1: try embed()
    case 0..<layers: try runLayer(nextStage)
    default: try quantizeHead()
    }
    if let stream { try finite.check(stream.hidden, "hidden states behind \(stageName)") }
    nextStage += 1
    (stageWork, stageMatrixCount) = (0, 0)
    report()
  }

  /// Says how far it is.
  ///
  /// - Parameter unfinished: A share of the work for a matrix that is not quantized yet.
  func report(unfinished: (name: String, share: Double)? = nil) {
    progress(state(unfinished: unfinished))
  }

  /// How far it is.
  private func state(unfinished: (name: String, share: Double)? = nil) -> Progress {
    let partly = unfinished.map { work.cost(of: ExactString($0.name)) * $0.share } ?? 0
    return Progress(
      activity: "calibrate", detail: stageDetail, completed: finishedMatrixCount,
      total: work.matrixCount, unit: .matrices,
      work: Progress.Work(
        completed: work.start(ofStage: nextStage + 1) + stageWork + partly, total: work.total))
  }

  private var stageDetail: String {
    guard nextStage >= 0 else { return "embedding" }
    guard nextStage < source.configuration.layers.count else { return "head" }
    return "layer \(nextStage), \(stageMatrixCount) of"
      + " \(work.matrixCount(ofStage: nextStage + 1)) matrices"
  }

  private var stageName: String { nextStage < 0 ? "the embedding" : "layer \(nextStage)" }

  private func embed() throws {
    let name = ExactString("model.embed_tokens.weight")
    guard let stored = source.tensors[name] else { return }
    try quantize(["model.embed_tokens.weight"], knowing: .failure(.lookedUp))
    let tensor = try replacements[name] ?? stored.load(workers: options.workers)
    stream = TokenStream(rows(of: tensor, sample.tokens), context: sample.context)
  }

  private func quantizeHead() throws {
    let name = "lm_head.weight"
    guard let norm = source.tensors[ExactString("model.norm.weight")],
      targets[ExactString(name)] != nil
    else { return }
    let weight = widened(try norm.load(workers: options.workers))
    try quantize([name], knowing: metric(weight, of: "the head") { $0 })
  }

  // MARK: - For the stages

  /// The weights of a layer as they are now: quantized where they were.
  func weights(of layer: Int) throws -> ModelWeights.Layer {
    try ModelWeights.Layer(
      layer, of: source.tensors, replacing: replacements,
      configuration: source.configuration, model: source.checkpoint.path.string,
      workers: options.workers)
  }

  /// Quantizes matrices that share their inputs, those of them that have a target.
  func quantize(_ names: [String], knowing inputs: InputKnowledge) throws {
    let rounder = TensorRounder(rounding: rounding, workers: options.workers)
    for name in names.map({ ExactString($0) }) {
      guard let target = targets[name], let stored = source.tensors[name] else { continue }
      keep(try rounder.quantize(stored, as: target, knowing: inputs), as: name)
    }
  }

  /// Remembers a matrix that was quantized.
  func keep(_ quantized: QuantizedTensor, as name: ExactString) {
    finished[name] = quantized
    measurements.append(
      Measurement(name: name, outputError: quantized.outputError, note: quantized.note))
    replacements[name] = quantized.tensor
    stageWork += work.cost(of: name)
    stageMatrixCount += 1
    finishedMatrixCount += 1
    report()
  }

  func keep(_ coverage: ExpertCoverage) { self.coverage.append(coverage) }

  /// About how much memory calibration takes, in bytes: hidden states before and after a layer;
  /// what an attention mixes; moments in several forms; the quantized weights of a layer.
  package static func peakMemoryByteCount(
    _ source: CheckedCheckpoint, sample: CalibrationSample
  ) -> Int {
    let configuration = source.configuration
    let width = configuration.hiddenSize
    let mixed = max(
      configuration.linearAttention?.width ?? 0,
      configuration.latentAttention.map { $0.heads * $0.valueDimension } ?? 0)
    let inner = max(mixed, width, configuration.intermediateSize)
    let perLayer =
      source.tensors.tensors.reduce(0) { $0 + $1.shape.elementCount }
      / max(configuration.layers.count, 1)
    let (states, overflow) = sample.tokens.count.multipliedReportingOverflow(
      by: (2 * width + max(mixed, configuration.intermediateSize)) * 4)
    guard !overflow, inner < 1 << 24 else { return Int.max }
    return states + inner * inner * 64 + perLayer + 256 << 20
  }
}
