// SPDX-License-Identifier: Apache-2.0

public import SystemPackage
public import TensorCore

/// Why a packed file was refused (`Formats/Kiln.md`).
public enum KilnFormatError: KilnError, Equatable {
  /// The file does not begin as a packed file does.
  case notKiln(FilePath)
  /// A version that this reader does not know.
  case version(FilePath, found: UInt32, supported: UInt32)
  /// Required features that this reader does not know, as a bit set.
  case features(FilePath, unknown: UInt32)
  /// The prelude or the header was damaged: the checksum does not match.
  case checksum(FilePath, part: String)
  /// The file is shorter or longer than it says, in bytes.
  case size(FilePath, declared: UInt64, found: Int)
  /// Something in the header contradicts the format; `problem` says what.
  case header(FilePath, problem: String)
  /// An entry of the header is wrong; `problem` says what was found and expected.
  case entry(FilePath, name: String, problem: String)

  /// Bad data, always.
  public var category: ErrorCategory { .badData }

  /// One line: the file, the entry, what was found, what was expected.
  public var description: String {
    switch self {
    case .notKiln(let path):
      "\(path): does not begin like a .kiln file"
    case .version(let path, let found, let supported):
      "\(path): format version \(found), this program reads version \(supported)"
    case .features(let path, let unknown):
      "\(path): needs features that this program does not know (bits 0x\(String(unknown, radix: 16)))"
    case .checksum(let path, let part):
      "\(path): the \(part) is damaged: its checksum does not match"
    case .size(let path, let declared, let found):
      UInt64(found) < declared
        ? "\(path): truncated: \(found) of \(declared) bytes; copy or download it again"
        : "\(path): the file has \(found) bytes, expected \(declared)"
    case .header(let path, let problem):
      "\(path): header: \(problem)"
    case .entry(let path, let name, let problem):
      "\(path): \"\(name)\": \(problem)"
    }
  }
}
