// SPDX-License-Identifier: Apache-2.0

package import TensorCore

/// Why a model cannot be run, although its files can be read.
package enum ModelError: KilnError, Equatable {
  /// The configuration contradicts itself; `problem` says how.
  case configuration(file: String, key: String, problem: String)
  /// The configuration asks for something that the runtime does not implement.
  case unsupported(file: String, key: String, found: String, supported: String)
  /// Keys of the configuration that Kiln does not know and that may change what is computed.
  case unknownKeys(file: String, keys: [UnknownKeys.Key])
  /// Embeddings are tied, and there is a head that differs from them.
  case ambiguousHead(model: String)
  /// The embedding was chosen as the head of a model that has another one.
  case headNotTied(model: String)
  /// A tensor that the configuration implies is not in the checkpoint.
  case missingTensor(model: String, name: String, shape: String)
  /// A tensor does not have the shape that the configuration implies.
  case tensorShape(model: String, name: String, found: String, expected: String)
  /// A tensor is stored in a type that the runtime does not compute with.
  case tensorType(model: String, name: String, found: String)
  /// Norms, gates, routers or parameters are NaN or infinite.
  case weightsNotFinite(model: String, weights: NonFiniteWeights)
  /// More experts than the configuration says.
  case extraTensor(model: String, name: String, problem: String)
  /// Running it would take more memory than this machine has, in bytes.
  case tooLarge(model: String, needed: Int, available: Int)
  /// Weights that are compressed do not fit in the memory of this machine, in bytes.
  case compressedTooLarge(model: String, needed: Int, available: Int)
  /// A sequence longer than a decoder was made for.
  case contextFull(model: String, limit: Int)
  /// A state whose layers are not those of the model that is to go on with it.
  case foreignState(model: String)
  /// A token id beyond the vocabulary.
  case tokenOutOfRange(id: Int, vocabularySize: Int)

  package var category: ErrorCategory {
    if case .headNotTied = self { .usage } else { .badData }
  }

  /// Keys that are named in a message.
  private static let maximumListed = 3

  package var description: String {
    switch self {
    case .configuration(let file, let key, let problem):
      "\(file): \"\(key)\": \(problem)"
    case .unsupported(let file, let key, let found, let supported):
      "\(file): \"\(key)\" is \(found), Kiln supports \(supported)"
    case .unknownKeys(let file, let keys):
      "\(file): "
        + keys.prefix(Self.maximumListed).map { "\"\($0.path)\" is \($0.value)" }
        .joined(separator: ", ")
        + (keys.count > Self.maximumListed ? " and \(keys.count - Self.maximumListed) more" : "")
        + ": Kiln does not know \(keys.count == 1 ? "this key, and it" : "these keys, and they")"
        + " may change what the model computes"
    case .ambiguousHead(let model):
      "\(model): \"tie_word_embeddings\" is true, but there is an lm_head.weight that differs from the"
        + " embedding; choose with --head tied (the embedding) or --head stored (as transformers 5 does)"
    case .headNotTied(let model):
      "--head tied: \(model) has an lm_head.weight, and \"tie_word_embeddings\" is not true"
    case .missingTensor(let model, "lm_head.weight", let shape):
      "\(model): tensor \"lm_head.weight\" \(shape) is missing; if the embedding is the head, set"
        + " \"tie_word_embeddings\" to true in config.json"
    case .missingTensor(let model, let name, let shape):
      "\(model): tensor \"\(name)\" \(shape) is missing"
    case .tensorShape(let model, let name, let found, let expected):
      "\(model): tensor \"\(name)\" has shape \(found), expected \(expected)"
    case .tensorType(let model, let name, let found):
      "\(model): tensor \"\(name)\" is stored as \(found), which Kiln does not compute with; expected"
        + " BF16, F16, F32 or a scheme of .kiln files"
    case .weightsNotFinite(let model, let weights):
      "\(model): \(weights); what such a model computes means nothing"
    case .extraTensor(let model, let name, let problem):
      "\(model): tensor \"\(name)\": \(problem)"
    case .tooLarge(let model, let needed, let available):
      "\(model): activations and state take about \(needed) bytes, this machine has \(available);"
        + " try a shorter context"
    case .compressedTooLarge(let model, let needed, let available):
      "\(model): its compressed weights take \(needed) bytes of memory, this machine has \(available);"
        + " write it again without compression first (kiln convert)"
    case .contextFull(let model, let limit):
      "\(model): the context is limited to \(limit) tokens"
    case .foreignState(let model):
      "\(model): the state of a sequence is that of another model"
    case .tokenOutOfRange(let id, let vocabularySize):
      "token id \(id) is not in the vocabulary of \(vocabularySize)"
    }
  }
}
