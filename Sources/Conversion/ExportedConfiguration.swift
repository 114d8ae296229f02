// SPDX-License-Identifier: Apache-2.0

import JSON
import TensorCore

/// `config.json` of an export, which names the element type that its tensors have now.
///
/// Programs load weights in the type that the configuration names: an export in float32 that says
/// bfloat16 would be rounded by them. Nothing but that name changes, so the text keeps its
/// order, its spaces and the spelling of its numbers.
enum ExportedConfiguration {
  /// The text with other element types.
  ///
  /// - Parameters:
  ///   - text: `config.json`, strict JSON.
  ///   - file: Its name in errors.
  ///   - dtype: The type that the tensors have.
  /// - Returns: The text, in which `dtype` and `torch_dtype` name that type where they are there.
  /// - Throws: `JSONError` if it is not JSON.
  static func text(_ text: [UInt8], file: String, dtype: DType) throws -> [UInt8] {
    guard let name = names[dtype] else { return text }
    var scanner = JSONScanner(text, file: file)
    var places: [Place] = []
    try find(in: &scanner, &places)
    try scanner.end()
    var output = text
    for place in places.reversed() where names.values.contains(place.name) && place.name != name {
      let prefix = place.hasPrefix ? "torch." : ""
      output.replaceSubrange(place.range, with: "\"\(prefix)\(name)\"".utf8)
    }
    return output
  }

  /// Types as configurations spell them; others (`auto`) name none.
  private static let names: [DType: String] = [
    .f32: "float32", .bf16: "bfloat16", .f16: "float16", .f64: "float64",
  ]

  /// A string that names a type.
  private struct Place {
    let range: Range<Int>
    let name: String
    /// Whether it is spelled `torch.bfloat16`.
    let hasPrefix: Bool
  }

  /// Looks through an object and those in it that configure parts of the model.
  private static func find(in scanner: inout JSONScanner, _ places: inout [Place]) throws {
    try scanner.object { scanner, key in
      let kind = try scanner.peekKind()
      switch key.text {
      case "dtype", "torch_dtype":
        guard kind == .string else { return try scanner.skip() }
        let start = scanner.offset
        let name = try scanner.string()
        let hasPrefix = name.hasPrefix("torch.")
        places.append(
          Place(
            range: start..<scanner.offset, name: hasPrefix ? String(name.dropFirst(6)) : name,
            hasPrefix: hasPrefix))
      case "quantization_config": try scanner.skip()
      case let name where name.hasSuffix("_config") && kind == .object:
        try find(in: &scanner, &places)
      default: try scanner.skip()
      }
    }
  }
}
