// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import TensorCore

/// Ends the process cleanly on SIGINT and SIGTERM: incomplete outputs are removed.
enum Interruption {
  /// Takes the signals over.
  ///
  /// The handler has a thread of its own, since all others may be computing.
  static func install() {
    let queue = DispatchQueue(label: "kiln.interruption", qos: .userInteractive)
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler {
        // The handler holds its own source, so that it lives as long as the process.
        withExtendedLifetime(source) { TemporaryOutputs.removeAll() }
        _exit(128 + number)
      }
      source.activate()
    }
  }
}
