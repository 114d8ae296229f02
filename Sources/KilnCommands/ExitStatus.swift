// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
package import TensorCore

/// The exit codes of the tool (`Docs/CommandLine.md`), after BSD's sysexits.
enum ExitStatus: Int32 {
  case success = 0
  case failure = 1
  /// A check ran and found something.
  case checkFailed = 2
  case usage = 64
  case badData = 65
  case missingInput = 66
  case cannotCreateOutput = 73
  case inputOutput = 74
  /// The reader of standard output has gone; what a shell reports of a process that SIGPIPE ended.
  case closedPipe = 141

  /// The code for a kind of error.
  init(_ category: ErrorCategory) {
    switch category {
    case .usage: self = .usage
    case .badData: self = .badData
    case .missingInput: self = .missingInput
    case .cannotCreateOutput: self = .cannotCreateOutput
    case .inputOutput: self = .inputOutput
    }
  }
}

/// A request that makes no sense, found by a command after its flags were parsed.
package struct UsageError: KilnError {
  package let description: String
  package var category: ErrorCategory { .usage }

  /// An error with its message.
  package init(_ description: String) {
    self.description = description
  }
}
