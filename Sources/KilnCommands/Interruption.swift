// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Synchronization
import TensorCore

/// Ends the process cleanly on SIGINT and SIGTERM: incomplete outputs are removed.
enum Interruption {
  private static let sources = Mutex<[any DispatchSourceSignal]>([])

  /// Takes the signals over. The handler has a thread of its own, since all others may be computing.
  static func install() {
    let queue = DispatchQueue(label: "kiln.interruption", qos: .userInteractive)
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler {
        TemporaryOutputs.removeAll()
        _exit(128 + number)
      }
      source.activate()
      sources.withLock { $0.append(source) }
    }
  }
}
