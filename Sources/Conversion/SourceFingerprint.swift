// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KilnFormat
import TensorCore

extension Checkpoint {
  /// A checksum that changes when a file of the checkpoint is replaced or written to.
  ///
  /// It is made of identities, sizes and times, without any content. Files beside the tensors are small
  /// and part of the plan.
  var fingerprint: UInt64 {
    var text = ""
    for file in dataFiles {
      text +=
        "\(file.identity.device) \(file.identity.inode) \(file.byteCount)"
        + " \(file.modificationTime)\n"
    }
    return Checksum.of(Array(text.utf8))
  }
}
