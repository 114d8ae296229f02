// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import TensorCore

/// Why a path is not a checkpoint that Kiln can read.
package enum CheckpointError: KilnError, Equatable {
  /// Neither a safetensors file nor a packed one, nor a folder of them.
  case unrecognized(FilePath)
  /// A folder with several shards but no index that says what they hold.
  case missingIndex(FilePath, shards: Int)
  /// A file that a command needs (`config.json`, `tiktoken.model`) is not there.
  case missingFile(FilePath, name: String)
  /// A file that is needed is a link that leads out of the folder.
  case linkOutside(FilePath, target: FilePath)
  /// A tensor that is fused or renamed in its dialect does not have a shape that can be split.
  case fusedTensor(FilePath, name: String, shape: String, expected: String)
  /// Two tensors of the checkpoint stand for the same tensor of the model.
  case ambiguous(FilePath, name: String)
  /// More tensors than any model has.
  case tooManyTensors(FilePath, limit: Int)

  package var category: ErrorCategory {
    switch self {
    case .missingIndex, .missingFile: .missingInput
    case .unrecognized, .linkOutside, .fusedTensor, .ambiguous, .tooManyTensors: .badData
    }
  }

  package var description: String {
    switch self {
    case .unrecognized(let path):
      "\(path): holds neither safetensors nor .kiln data"
    case .missingIndex(let path, let shards):
      "\(path)/model.safetensors.index.json: missing, but the folder holds \(shards) safetensors"
        + " files"
    case .missingFile(let path, let name):
      "\(path): has no \(name)"
    case .linkOutside(let path, let target):
      "\(path): is a link to \(target), outside the folder"
    case .fusedTensor(let path, let name, let shape, let expected):
      "\(path): tensor \"\(name)\" has shape \(shape), expected \(expected)"
    case .ambiguous(let path, let name):
      "\(path): tensor \"\(name)\" is given twice, under two names"
    case .tooManyTensors(let path, let limit):
      "\(path): holds more than \(limit) tensors"
    }
  }
}
