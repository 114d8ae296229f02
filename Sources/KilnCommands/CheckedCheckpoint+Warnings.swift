// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KimiLinear
import SystemPackage
import TensorCore

extension CheckedCheckpoint {
  /// A line about tensors that the configuration does not imply.
  var unknownWarnings: [String] {
    // A head next to tied embeddings is customary, and reported where it differs from them.
    let tensors = unknownTensors.filter { $0 != "lm_head.weight" }
    guard let first = tensors.first else { return [] }
    let subject =
      tensors.count == 1
      ? "tensor \"\(first)\" is" : "\(tensors.count) tensors, such as \"\(first)\", are"
    return ["\(checkpoint.path): \(subject) not part of the architecture: kept but not used"]
  }

  /// A line about configuration keys that are unknown, but do not speak of anything that is computed.
  var unknownKeyNotes: [String] {
    let keys = unknownKeys.others
    guard !keys.isEmpty else { return [] }
    return [
      "\(unknownKeys.file): keys that Kiln does not know, and that do not look as if they mattered: "
        + keys.prefix(10).map(\.path).joined(separator: ", ")
        + (keys.count > 10 ? " and \(keys.count - 10) more" : "")
    ]
  }

  /// Lines about what keeps Kiln from running the model, for commands that do not run it.
  ///
  /// - Parameter workers: Threads that unpack compressed tensors.
  /// - Returns: One line each.
  /// - Throws: What is wrong with a compressed block.
  func obstacleWarnings(workers: Workers) throws -> [String] {
    let ambiguous: [ModelError] =
      try hasAmbiguousHead(workers: workers)
      ? [.ambiguousHead(model: checkpoint.path.string)] : []
    return obstacles.map { "\($0); Kiln will not run this model" } + ambiguous.map { "\($0)" }
  }
}
