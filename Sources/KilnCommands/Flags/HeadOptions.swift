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
}

extension HeadChoice: ExpressibleByArgument {}
