// SPDX-License-Identifier: Apache-2.0

/// What the names of unknown keys speak of, told by the words in them.
extension KnownKeys {
  /// Whether the name of a key speaks of something that a forward pass computes.
  static func speaksOfComputation(_ key: String) -> Bool {
    let words = words(of: key)
    guard !isOfTraining(words) else { return false }
    // `useMoE` is split like `useMo` and `E`: what neighbours spell together is a word as well.
    let joined = zip(words, words.dropFirst()).map { $0 + $1 }
    return (words + joined).contains { word in
      computationWords.contains(word)
        || computationStems.contains { word.hasPrefix($0) || word.hasSuffix($0) }
    }
  }

  /// Whether a number of that name stands in place of the scale of attention, 1/sqrt(d), as Granite's
  /// `attention_multiplier` does: then 1 is a scale like any other.
  static func replacesAttentionScale(_ key: String) -> Bool {
    let words = Set(words(of: key))
    return !words.isDisjoint(with: ["attention", "attn", "softmax", "qk", "score", "scores"])
      && words.isDisjoint(with: ["in", "out", "input", "output"])
      && (words.contains("multiplier") || !words.isDisjoint(with: ["scale", "scaling"]))
  }

  /// The words of a name: `attnLogitSoftcap` and `attn_logit_softcap` have the same.
  ///
  /// A capital begins a word behind a small letter and before one, so that `useMLAGate` has three.
  static func words(of key: String) -> [String] {
    var words: [String] = [""]
    let characters = Array(key)
    for (index, character) in characters.enumerated() {
      if "_-. ".contains(character) {
        words.append("")
        continue
      }
      if character.isUppercase, index > 0 {
        let previous = characters[index - 1]
        let isBeforeSmall = index + 1 < characters.count && characters[index + 1].isLowercase
        if previous.isLowercase || previous.isNumber || (previous.isUppercase && isBeforeSmall) {
          words.append("")
        }
      }
      words[words.count - 1] += character.lowercased()
    }
    return words.filter { !$0.isEmpty }
  }

  /// Whether a name is about training: a loss on router logits changes no forward pass.
  ///
  /// `coef`, `init` and `train` alone say nothing: `residual_coef` is a factor in the forward pass, and
  /// `gate_bound_init` may be the bound.
  private static func isOfTraining(_ words: [String]) -> Bool {
    let all = Set(words)
    return words.contains { trainingWords.contains($0) || $0.contains("dropout") }
      || !all.isDisjoint(with: ["aux", "z"]) && !all.isDisjoint(with: ["coef", "coeff"])
  }

  private static let trainingWords: Set<String> = [
    "loss", "initializer", "std", "pdrop", "lr", "optimizer", "checkpointing", "jitter",
  ]

  private static let computationWords: Set<String> = [
    "gate", "gates", "gated", "gating", "act", "mla", "mha", "gqa", "mqa", "kda", "dsa", "swa",
    "ssm", "moe", "mlp", "ffn", "glu", "mtp", "hc", "mhc", "hyper", "cap", "res", "eps", "dt",
    "beta", "gamma", "centered", "shift", "q", "k", "v", "o", "qk", "kv", "qkv", "topk", "top",
    "head", "heads", "layer", "layers", "block", "blocks", "rank", "dim", "hidden", "size",
    "width", "depth", "logit", "logits", "mup", "ntk", "yarn", "nope", "alibi", "causal", "mask",
    "conv", "kernel", "index", "indexer", "state", "delta", "tie", "tied", "shared", "sparse",
    "dense", "parallel", "cross", "lower", "upper",
  ]

  /// Beginnings and endings of words.
  private static let computationStems = [
    "attn", "attention", "expert", "norm", "rope", "rotary", "activation", "scale", "scaling",
    "scaled", "multiplier", "rout", "decay", "latent", "lora", "window", "sliding", "bias",
    "clamp", "clip", "limit", "bound", "residual", "nextn", "predict", "sink", "softcap",
    "softmax", "sigmoid", "softplus", "swiglu", "silu", "gelu", "relu", "embed", "linear",
    "recurr", "mscale", "quant", "position", "eigval", "epsilon", "temperature", "compress",
  ]
}
