// SPDX-License-Identifier: Apache-2.0

import KilnFormat
package import SystemPackage
package import TensorCore

/// Why a conversion was not done.
package enum ConversionError: KilnError, Equatable {
  /// A tensor is quantized already and would have to be rounded a second time.
  case alreadyQuantized(FilePath, name: String, stored: String, asked: String)
  /// A method was asked for that rounds by a calibration text, and there is none.
  case needsCalibration(FilePath, name: String, method: String)
  /// The shards would be too small for the model.
  case tooManyShards(FilePath, count: Int)
  /// The shards of an export would be more than an index may name.
  case tooManyFiles(FilePath, count: Int, limit: Int)
  /// A shard was asked for that the plan does not have.
  case noSuchShard(number: Int, count: Int)
  /// The layout does not fit any file.
  case tooLarge(FilePath)

  package var category: ErrorCategory {
    switch self {
    case .alreadyQuantized, .needsCalibration, .tooManyShards, .tooManyFiles, .noSuchShard: .usage
    case .tooLarge: .badData
    }
  }

  package var description: String {
    switch self {
    case .alreadyQuantized(let path, let name, let stored, let asked):
      "\(path): tensor \"\(name)\" is \(stored) already and \(asked) was asked for; quantize from the"
        + " original checkpoint"
    case .needsCalibration(let path, let name, let method):
      "\(path): tensor \"\(name)\" is to be rounded by \(method), which needs a text: --calibration FILE"
    case .tooManyShards(let path, let count):
      "\(path): would need \(count) shards of that size, expected at most"
        + " \(KilnModel.maximumShardCount)"
    case .tooManyFiles(let path, let count, let limit):
      "\(path): would need \(count) files of that size, expected at most \(limit)"
    case .noSuchShard(let number, let count):
      "there is no shard \(number): the model has \(count) of that size"
    case .tooLarge(let path):
      "\(path): the packed file would be too large"
    }
  }
}
