// SPDX-License-Identifier: Apache-2.0

import Checkpoints
package import KimiLinear
package import Quantization
import SystemPackage
package import TensorCore

/// What each unit of a model loses when it alone is rounded: the part of an allocation that takes time, and that
/// does not depend on the size that is asked for.
package struct UnitSensitivities: Sendable, Equatable {
  /// What one unit loses.
  package struct Loss: Sendable, Equatable {
    package let unit: AllocationUnit
    /// KL divergence with the unit alone at `SensitivityScan.measured`, in nats for each token.
    package let loss: Double

    package init(unit: AllocationUnit, loss: Double) {
      self.unit = unit
      self.loss = loss
    }
  }

  /// How units were rounded.
  package let method: RoundingMethod
  /// In the order of the computation.
  package let losses: [Loss]
  /// Tokens of each expert of each layer that has some; none without a method that goes by tokens.
  package let coverage: [ExpertCoverage]

  /// What was measured before.
  package init(method: RoundingMethod, losses: [Loss], coverage: [ExpertCoverage]) {
    self.method = method
    self.losses = losses
    self.coverage = coverage
  }

  /// Measures.
  ///
  /// - Parameters:
  ///   - source: The model.
  ///   - sample: Tokens to calibrate with; some of them are those to measure with.
  ///   - method: How weights are rounded.
  ///   - options: How to run the model.
  ///   - progress: Told after each layer that was run and each matrix that was quantized.
  /// - Throws: `CalibrationError` for a model that has nothing to quantize, or whose numbers are not finite; what is
  ///   wrong with a compressed block, or `Errno` if there is no memory.
  package init(
    _ source: CheckedCheckpoint, sample: CalibrationSample, method: RoundingMethod,
    options: Model.Options, progress: @escaping Progress.Handler
  ) throws {
    let units = AllocationUnit.all(of: source)
    guard !units.isEmpty else {
      throw CalibrationError.nothingToQuantize(model: source.checkpoint.path.string)
    }
    try FiniteCheck.checkWeights(
      of: source, sample: sample, workers: options.workers, progress: progress)
    var targets: [ExactString: SequentialQuantizer.Target] = [:]
    for tensor in units.flatMap(\.tensors)
    where method.needsCalibration && SensitivityScan.measured.fits(columns: tensor.shape.columns) {
      targets[tensor.name] = .init(encoding: SensitivityScan.measured, method: method)
    }
    let reporter = SensitivityProgress(progress)
    let quantizer =
      targets.isEmpty
      ? nil
      : try SequentialQuantizer(
        source, targets: targets, sample: sample, options: options, progress: reporter.calibrated)
    let losses = try SensitivityScan(
      source, sample: sample.spread(SensitivityScan.defaultWindows), options: options
    ).losses(of: units, quantizer: quantizer, progress: reporter)
    try quantizer?.finish()
    self.init(
      method: method,
      losses: zip(units, losses).map { Loss(unit: $0.unit, loss: $1) },
      coverage: quantizer?.coverage ?? [])
  }

  /// Whether these are the losses of exactly these units, in this order.
  package func covers(_ units: [AllocationUnit]) -> Bool { losses.map(\.unit) == units }
}
