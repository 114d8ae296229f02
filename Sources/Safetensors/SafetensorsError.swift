// SPDX-License-Identifier: Apache-2.0

public import SystemPackage
public import TensorCore

/// Why a safetensors file or its index was refused.
public enum SafetensorsError: KilnError, Equatable {
  /// The file is too short to hold the length field of its header.
  case tooShort(FilePath, byteCount: Int)
  /// The header length is beyond the limit or beyond the end of the file, in bytes.
  case headerLength(FilePath, declared: UInt64, limit: Int)
  /// The header is not what the format asks; `problem` says what was found and expected.
  case header(FilePath, problem: String)
  /// A tensor's entry is wrong; `problem` says what was found and expected.
  case tensor(FilePath, name: String, problem: String)
  /// The header describes more bytes than the file has.
  case truncated(FilePath, byteCount: Int, expected: Int)
  /// Bytes of the file that belong to no tensor, or to two.
  case coverage(FilePath, problem: String)
  /// The index is wrong.
  case index(FilePath, problem: String)
  /// The index names a tensor that its shard does not hold.
  case missingTensor(FilePath, name: String, shard: String)

  /// Bad data, always.
  public var category: ErrorCategory { .badData }

  /// One line: the file, the tensor, what was found, what was expected.
  public var description: String {
    switch self {
    case .tooShort(let path, let byteCount):
      byteCount == 0
        ? "\(path): is empty (0 bytes); the download did not finish, download it again"
        : "\(path): \(byteCount) bytes, too short for a safetensors file"
    case .headerLength(let path, let declared, let limit):
      "\(path): header of \(declared) bytes, expected at most \(limit)"
        + (limit < SafetensorsHeader.maximumByteCount
          && declared < SafetensorsHeader.maximumByteCount
          ? "; if it is a safetensors file, it is truncated: download it again" : "")
    case .header(let path, let problem):
      "\(path): safetensors header: \(problem)"
    case .tensor(let path, let name, let problem):
      "\(path): tensor \"\(name)\": \(problem)"
    case .truncated(let path, let byteCount, let expected):
      "\(path): truncated: \(byteCount) of \(expected) bytes; download it again"
    case .coverage(let path, let problem):
      "\(path): \(problem)"
    case .index(let path, let problem):
      "\(path): \(problem)"
    case .missingTensor(let path, let name, let shard):
      "\(path): tensor \"\(name)\" is not in \(shard), where the index says it is"
    }
  }
}
