// SPDX-License-Identifier: Apache-2.0

/// Why a compressed block could not be read.
///
/// It is bad data, always; who knows the file and the tensor turns this into an error that names them.
public enum CompressionError: Error, Equatable, CustomStringConvertible {
  /// The block does not begin with the frame that the format asks for; the text says why.
  case frame(String)
  /// The frame is damaged: zstd's own word for it.
  case damaged(String)

  /// What is wrong with the block.
  public var description: String {
    switch self {
    case .frame(let problem): problem
    case .damaged(let problem): "zstd: \(problem)"
    }
  }
}
