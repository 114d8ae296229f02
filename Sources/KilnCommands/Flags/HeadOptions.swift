// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KimiLinear

/// Which matrix is the head of a model that has two for it.
struct HeadOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The head of a model with tied embeddings and an lm_head.weight that differs: tied or stored.",
      discussion: "Without it such a model is refused. transformers 5 takes the stored one.",
      valueName: "which"))
  var head: HeadChoice?

  /// What there is to say if the choice is none.
  ///
  /// - Parameter models: All that are run.
  /// - Returns: At most one line.
  func warnings(for models: [CheckedCheckpoint]) -> [String] {
    guard let head, !models.contains(where: \.hasTwoHeads) else { return [] }
    let subject = models.count == 1 ? "the model has" : "both models have"
    return ["--head \(head.rawValue): \(subject) one matrix for the head, so it changes nothing"]
  }
}

extension HeadChoice: ExpressibleByArgument {}
