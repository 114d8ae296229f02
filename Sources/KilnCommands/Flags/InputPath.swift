// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import TensorCore

/// A name of something that is read.
enum InputPath {
  /// The path that a word of the command line gives.
  ///
  /// - Throws: A `ValidationError` for an empty name, which is often that of a variable that is not set.
  static func read(_ argument: String) throws -> FilePath {
    guard !argument.isEmpty else { throw ValidationError("the name is empty") }
    return FilePath(argument: argument)
  }
}
