// SPDX-License-Identifier: Apache-2.0

extension Experiment {
  /// All experiments, in the order of their promises.
  static let all: [Experiment] = [
    CorpusExperiment.experiment, OddInputs.experiment, SpecialValues.experiment,
    DamageExperiment.found, DamageExperiment.survived, DamageExperiment.large, BitFlips.experiment,
    RandomSignals.kills, Injections.kills, Resumption.small, Resumption.large, Injections.errors,
    Limits.experiment,
    CallOrder.experiment,
    RandomSignals.ends,
    OutputOntoInput.experiment, ShrinkingFiles.experiment, Bounds.experiment,
    Growth.experiment, Determinism.experiment, OldFiles.experiment, SourceScan.experiment,
  ]
}
