// SPDX-License-Identifier: Apache-2.0

/// What kind of thing went wrong, so that a program can choose an exit code without reading text.
public enum ErrorCategory: Sendable, Equatable {
  /// The request makes no sense: flags that exclude each other, an unknown scheme name.
  case usage
  /// A file is there but its content is wrong.
  case badData
  /// A file or a folder that was named is not there.
  case missingInput
  /// The output exists already, or its place cannot be written.
  case cannotCreateOutput
  /// The system failed while reading or writing.
  case inputOutput
}

/// An error of one of Kiln's modules.
///
/// `description` is one line that names the file, the tensor or key, what was found and what was
/// expected. It may quote bytes of the input: a program that prints it removes control characters.
public protocol KilnError: Error, Sendable, CustomStringConvertible {
  /// The kind of failure.
  var category: ErrorCategory { get }
}
