// SPDX-License-Identifier: Apache-2.0

extension Experiment {
  /// All experiments, in the order of their promises.
  static let all: [Experiment] = [
    CorpusExperiment.experiment, OddInputs.experiment, SpecialValues.experiment,
    DamageExperiment.found, DamageExperiment.survived, DamageExperiment.large, BitFlips.experiment,
  ]
}
