// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import TensorCore

/// Why a path is not a checkpoint that Kiln can read.
package enum CheckpointError: KilnError, Equatable {
  /// Neither a safetensors file nor a packed one, nor a folder of them.
  case unrecognized(FilePath)
  /// A folder without tensors that Kiln reads, but with weights of another kind.
  case foreignWeights(FilePath, name: String, ForeignContent)
  /// A folder into which a download was not finished.
  case unfinished(FilePath, name: String)
  /// The tensors are updates of low rank to another model.
  case adapter(FilePath)
  /// What `perplexity --save-base` or `calibrate` wrote, where a model is expected.
  case notAModel(FilePath, isBase: Bool)
  /// An index none of whose shards is there, next to a file that could be what is meant.
  case staleIndex(FilePath, shard: String, file: String)
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
    case .missingIndex, .missingFile, .unfinished, .staleIndex: .missingInput
    case .unrecognized, .foreignWeights, .adapter, .notAModel, .linkOutside, .fusedTensor,
      .ambiguous,
      .tooManyTensors:
      .badData
    }
  }

  package var description: String {
    switch self {
    case .unrecognized(let path):
      "\(path): holds neither safetensors nor .kiln data"
    case .foreignWeights(let path, let name, let content):
      "\(path): holds neither safetensors nor .kiln data; \(name) is \(content): \(content.advice)"
    case .adapter(let path):
      "\(path): is a LoRA adapter and not a model; merge it into its base model first, such as with"
        + " merge_and_unload of peft"
    case .notAModel(let path, let isBase):
      isBase
        ? "\(path): is a saved base, not a model; give it to perplexity with --against"
        : "\(path): is a saved calibration, not a model; give it to quantize with --calibration"
    case .unfinished(let path, let name):
      "\(path): holds neither safetensors nor .kiln data; \(name) is a download that is not finished"
    case .staleIndex(let path, let shard, let file):
      "\(path): names \(shard) and others, none of which is there; if \(file) is the model, remove the"
        + " index"
    case .missingIndex(let path, let shards):
      "\(path)/model.safetensors.index.json: missing, but the folder holds \(shards) safetensors"
        + (shards == 1 ? " file, one of several" : " files")
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
