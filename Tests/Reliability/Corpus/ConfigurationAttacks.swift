// SPDX-License-Identifier: Apache-2.0

import JSON
import TestSupport

/// `config.json` with each of its fields wrong in each way.
enum ConfigurationAttacks {
  static var cases: [MalformedCase] {
    texts + sizes + numbers + flags + words + lists + contradictions
  }

  private static let base = Models.tiny.configuration

  private static func document(
    _ name: String, _ bytes: [UInt8], refusedBy: Set<Subject> = Subject.all, promises: [String] = []
  ) -> MalformedCase {
    .folder(
      "config: " + name, replacing: "config.json", with: bytes, refusedBy: refusedBy,
      promises: promises)
  }

  /// One field with another value, given as JSON text; nil leaves the field out.
  static func field(
    _ path: String, _ text: String?, refusedBy: Set<Subject> = Subject.all,
    promises: [String] = []
  ) -> MalformedCase {
    // A text in a place of its own is put in afterwards: it need not be JSON.
    let mark = "value-under-test"
    let json = String(
      decoding: JSONWriter.pretty(base.setting(path, to: text.map { _ in .string(mark) })),
      as: UTF8.self)
    let parts = json.split(separator: "\"\(mark)\"", omittingEmptySubsequences: false)
    return document(
      "\(path) = \(text.map { String($0.prefix(40)) } ?? "nothing")",
      Array(parts.joined(separator: text ?? "").utf8), refusedBy: refusedBy, promises: promises)
  }

  private static var texts: [MalformedCase] {
    let text = String(decoding: JSONWriter.pretty(base), as: UTF8.self)
    let body = text.drop { $0 != "{" }.dropFirst()
    let units = Array(text.utf16)
    let twice = ["hidden_size", "vocab_size", "linear_attn_config", "hid\\u0064en_size", "unknown"]
    let whole: [(String, String)] = [
      ("no text", ""), ("an array", "[]"), ("null", "null"), ("a number", "1"), ("no keys", "{}"),
      ("cut", String(text.dropLast(3))), ("text behind it", "\(text)x"), ("two", "\(text)\(text)"),
      ("a mark", "\u{FEFF}\(text)"), ("a comment", "// x\n\(text)"), ("NaN", "{\"x\":NaN,\(body)"),
      ("a comma at the end", "\(text.dropLast(2)),}"), ("single quotes", "{'x':1,\(body)"),
      ("nested 129 deep", "\(nested(128))\(body)"),
      ("nested 100,000 deep", "\(nested(100_000))\(body)"),
      ("a lone surrogate", "{\"x\":\"\\udead\",\(body)"),
    ]
    let again = twice.map { key in
      let member = key == "unknown" ? "\"unknown\":1,\"unknown\":1," : "\"\(key)\":1,"
      return document("\(key) twice", Array("{\(member)\(body)".utf8), promises: ["R4"])
    }
    return whole.map { document($0.0, Array($0.1.utf8)) } + again + [
      document("UTF-16", units.flatMap(\.littleEndianBytes)),
      document("not UTF-8", Array("{\"x\":\"".utf8) + [0xC3, 0x28] + Array("\",\(body)".utf8)),
      document("zeros", [UInt8](repeating: 0, count: 100)),
      document("16 MiB and a byte", Array(text.utf8) + [UInt8](repeating: 0x20, count: 1 << 24)),
    ]
  }

  private static func nested(_ depth: Int) -> String {
    "{\"x\":\(String(repeating: "[", count: depth))\(String(repeating: "]", count: depth)),"
  }

  /// What is no whole number from 1 on, nor anything near it.
  private static let noSize = [
    "-1", "0", "1.5", "\"64\"", "true", "[]", "[64]", "{}", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "18446744073709551616", "1e30", "1e400",
    "-1e400",
    "64.0", "6.4e1", "NaN", "Infinity", "0x40", "4294967296",
  ]

  private static var sizes: [MalformedCase] {
    let required = [
      "vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads",
      "kv_lora_rank", "qk_nope_head_dim", "v_head_dim", "moe_intermediate_size",
      "num_experts_per_token", "linear_attn_config.num_heads", "linear_attn_config.head_dim",
      "linear_attn_config.short_conv_kernel_size",
    ]
    let other = required.flatMap { path in
      (noSize + ["null", nil]).map { field(path, $0) }
    }
    // No experts, or none given, is a model without; the tensors then say otherwise.
    let experts = noSize.map {
      field("num_experts", $0, refusedBy: $0 == "0" ? Subject.ofTensors : Subject.all)
    }
    let optional = [
      "num_shared_experts", "qk_rope_head_dim", "num_expert_group", "topk_group", "q_lora_rank",
      "model_max_length", "num_nextn_predict_layers", "first_k_dense_replace", "moe_layer_freq",
      "num_key_value_heads",
    ].flatMap { path in
      ["-1", "1.5", "\"1\"", "true", "[]", "{}", "9223372036854775808", "1e400", "-1e30"].map {
        field(path, $0)
      }
    }
    return other + experts + optional
  }

  private static var numbers: [MalformedCase] {
    let no = ["null", nil, "\"1\"", "true", "[]", "{}", "1e400", "-1e400", "NaN", "1e"]
    return (no + ["0", "-1", "1", "1e30", "1e-60", "-0.0"]).map { field("rms_norm_eps", $0) }
      + (no + ["1e39", "-1e300"]).map { field("routed_scaling_factor", $0) }
  }

  private static var flags: [MalformedCase] {
    let no = ["0", "1", "\"true\"", "[]", "{}"]
    return (no + ["null", nil]).map { field("moe_renormalize", $0) }
      + ["tie_word_embeddings", "mla_use_nope", "use_grouped_topk", "attention_bias"].flatMap {
        key in
        no.map { field(key, $0) }
      } + [field("mla_use_nope", "false"), field("attention_bias", "true")]
  }

  private static var words: [MalformedCase] {
    let keys = [
      "hidden_act", "model_type", "moe_router_activation_func", "topk_method", "scoring_func",
    ]
    return keys.flatMap { key in
      ["1", "[]", "{}", "true", "\"\"", "\"other\"", "\"si\\u0000lu\"", "\"\\u001b[2J\""].map {
        field(key, $0)
      }
    } + ["1", "{}", "\"x\"", "[1]"].map { field("architectures", $0) }
      + ["{\"type\":\"yarn\"}", "1", "\"x\""].map { field("rope_scaling", $0) }
      + ["{\"quant_method\":\"fp8\"}", "[]"].map { field("quantization_config", $0) }
  }

  private static var lists: [MalformedCase] {
    let wrong: [String?] = [
      nil, "null", "1", "\"1\"", "{}", "true", "[0]", "[4]", "[-1]", "[1,1]", "[1.0]", "[\"1\"]",
      "[null]", "[[1]]", "[9223372036854775808]", "[1e400]", "[1,2,3]",
    ]
    let tooMany = "[" + (1...100_000).map(String.init).joined(separator: ",") + "]"
    return ["kda_layers", "full_attn_layers"].flatMap { key in
      (wrong + ["[]", tooMany]).map { field("linear_attn_config.\(key)", $0) }
    } + ["1", "[]", "\"x\"", "{}", nil, "null"].map { field("linear_attn_config", $0) }
      + ["1", "[]", "[\"dense\"]", "[\"dense\",\"sparse\",\"x\"]", "[1,2,3]"].map {
        field("mlp_layer_types", $0)
      }
  }

  /// Values that are right in themselves, and say something else than the tensors or each other.
  private static var contradictions: [MalformedCase] {
    let tensors = Subject.ofTensors
    let shapes: [(String, String)] = [
      ("vocab_size", "521"), ("vocab_size", "16777216"), ("hidden_size", "65"),
      ("hidden_size", "16777216"), ("intermediate_size", "95"), ("num_attention_heads", "1"),
      ("kv_lora_rank", "31"), ("qk_nope_head_dim", "17"), ("qk_rope_head_dim", "0"),
      ("v_head_dim", "15"), ("moe_intermediate_size", "33"), ("num_experts", "3"),
      ("num_experts", "5"), ("num_experts", "1048576"), ("first_k_dense_replace", "0"),
      ("first_k_dense_replace", "2"), ("linear_attn_config.num_heads", "3"),
      ("linear_attn_config.head_dim", "17"), ("linear_attn_config.short_conv_kernel_size", "3"),
      ("q_lora_rank", "24"), ("num_shared_experts", "2"), ("num_shared_experts", "0"),
    ]
    let key = Set<Subject>(tensors)
    return shapes.map { path, value in
      // Two attention heads are also given as key-value heads.
      field(
        path, value, refusedBy: path == "num_attention_heads" ? Subject.all : key, promises: ["R6"])
    } + [
      field("num_hidden_layers", "2"), field("num_hidden_layers", "4"),
      field("num_hidden_layers", "65536"), field("num_key_value_heads", "1"),
      field("num_experts_per_token", "5"), field("num_expert_group", "3"),
      field("num_expert_group", "4"), field("topk_group", "2"),
      field("num_nextn_predict_layers", "1"), field("model_type", "\"llama\""),
      field("layer_types", "[\"x\"]", refusedBy: []),
    ]
  }
}
