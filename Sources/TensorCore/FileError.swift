// SPDX-License-Identifier: Apache-2.0

public import SystemPackage

/// Why a file could not be opened, read or written.
public enum FileError: KilnError, Equatable {
  /// Nothing is at that path.
  case missing(FilePath)
  /// Something is there that is not a regular file: a folder, a FIFO, a device.
  case notRegular(FilePath, found: String)
  /// The content is recognized as something else than what is to be read here.
  case foreign(FilePath, ForeignContent, expected: ForeignContent.Purpose)
  /// A link whose target is not there.
  case danglingLink(FilePath)
  /// The output exists and nobody asked to replace it.
  case exists(FilePath)
  /// Another process is writing the same output.
  case busy(FilePath)
  /// The output is one of the inputs, perhaps under another name.
  case outputIsInput(FilePath)
  /// The file is larger than what is accepted for its purpose, in bytes.
  case tooLarge(FilePath, size: Int, limit: Int)
  /// Not enough room in the file system of the output, in bytes.
  case noSpace(FilePath, needed: Int, available: Int)
  /// The output could not be made: a system call failed.
  case cannotCreate(FilePath, operation: String, Errno)
  /// A system call failed while reading or writing.
  case system(FilePath, operation: String, Errno)
  /// The file became shorter while it was read, in bytes; or, if it did not, its disk failed.
  case shrank(FilePath, expected: Int, found: Int)

  /// The kind of failure.
  public var category: ErrorCategory {
    switch self {
    case .missing, .danglingLink: .missingInput
    case .notRegular, .foreign, .tooLarge: .badData
    case .exists, .busy, .outputIsInput, .cannotCreate, .noSpace: .cannotCreateOutput
    case .system, .shrank: .inputOutput
    }
  }

  /// One line: the path, what was found, what was expected.
  public var description: String {
    switch self {
    case .missing(let path):
      "\(path): no such file or folder"
    case .notRegular(let path, let found):
      "\(path): is \(found), expected a regular file"
    case .foreign(let path, let content, let expected):
      "\(path): is \(content), expected \(expected.description): \(content.advice)"
    case .danglingLink(let path):
      "\(path): is a link to a file that is not there; the download is not complete"
    case .exists(let path):
      "\(path): exists already; give --force to replace it"
    case .busy(let path):
      "\(path): another process is writing this output"
    case .outputIsInput(let path):
      "\(path): the output is, or holds, an input of this command; choose another name"
    case .tooLarge(let path, let size, let limit):
      "\(path): \(size) bytes, expected at most \(limit)"
    case .noSpace(let path, let needed, let available):
      "\(path): needs \(needed) bytes, the file system has \(available) free"
    case .cannotCreate(let path, let operation, let error):
      "\(path): cannot create: \(operation): \(error)"
    case .system(let path, let operation, let error):
      "\(path): \(operation) failed: \(error)"
    case .shrank(let path, let expected, let found) where found >= expected:
      "\(path): could not be read"
    case .shrank(let path, let expected, let found):
      "\(path): became shorter while it was read: \(found) bytes, expected \(expected)"
    }
  }
}
