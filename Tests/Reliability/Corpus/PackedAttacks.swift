// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import TensorCore
import TestSupport

/// Packed files made on purpose: every checksum matches what they say.
enum PackedAttacks {
  static func cases(
    packed: [UInt8], quantized: [UInt8], assembled: [UInt8]
  ) throws -> [MalformedCase] {
    try preludes(packed) + fields(packed) + entries(packed, quantized) + assemblies(assembled)
      + cuts(packed) + headers(packed) + names(packed)
  }

  /// The whole file with a prelude of the attacker's, sealed.
  private static func preludes(_ packed: [UInt8]) throws -> [MalformedCase] {
    let file = try RawPackedFile(opening: packed)
    let header = file.paddedHeader
    let size = 64 + header.count + file.data.count
    func make(_ name: String, _ prelude: [UInt8]) -> MalformedCase {
      .packed("prelude: " + name, prelude + header + file.data)
    }
    var cases = [0, 2, 3, 256, .max].map { version in
      make(
        "version \(version)",
        RawPackedFile.prelude(header: header, version: version, fileByteCount: size))
    }
    cases += [1, 2, 1 << 31, .max].map { bits in
      make(
        "required \(bits)",
        RawPackedFile.prelude(header: header, required: bits, fileByteCount: size))
    }
    cases += ([1, .max] as [UInt32]).map { value in
      make(
        "reserved \(value)",
        RawPackedFile.prelude(header: header, reserved: value, fileByteCount: size))
    }
    let lengths: [UInt64] = [
      0, 1, 4032, UInt64(header.count) - 1, UInt64(header.count) + 1, UInt64(header.count) + 4096,
      UInt64(header.count) - 4096, UInt64(size), 1 << 26, 1 << 32, 1 << 62, 1 << 63, .max,
      .max - 63,
    ]
    cases += lengths.map { length in
      make(
        "header_bytes \(length)",
        RawPackedFile.prelude(header: header, headerByteCount: length, fileByteCount: size))
    }
    let offsets: [UInt64] = [0, 64, 4096, UInt64(size), 1 << 63, .max]
    cases += offsets.map { offset in
      make(
        "data_offset \(offset)",
        RawPackedFile.prelude(header: header, dataOffset: offset, fileByteCount: size))
    }
    cases += [0, 64, size - 1, size + 1, Int.max].map { count in
      make("file_bytes \(count)", RawPackedFile.prelude(header: header, fileByteCount: count))
    }
    cases.append(.packed("prelude: magic", packed.flippingBit(0)))
    return cases
  }

  /// Each field of the header with each wrong value.
  private static func fields(_ packed: [UInt8]) throws -> [MalformedCase] {
    let file = try RawPackedFile(opening: packed)
    let tree = try file.tree()
    let values: [JSONValue?] = [
      nil, .null, true, -1, .number(1.5), "x", [[]], [1], ["a": 1], .integer(Int.max),
      .integer(Int.min),
      .number(1e300),
    ]
    var cases: [MalformedCase] = []
    for key in ["producer", "source", "block_bytes", "files", "tensors", "assemblies"] {
      for value in values where !(key == "producer" && value == "x") {
        cases.append(
          .packed("\(key) = \(short(value))", file.with(tree.setting(key, to: value)).sealed))
      }
    }
    for key in ["source.format", "source.tensors", "source.bytes"] {
      for value in values where !accepts(key, value) {
        cases.append(
          .packed("\(key) = \(short(value))", file.with(tree.setting(key, to: value)).sealed))
      }
    }
    for size in [0, 1, 1_048_575, 1_048_577, 2_097_152, 1 << 62] {
      cases.append(
        .packed(
          "block_bytes = \(size)", file.with(tree.setting("block_bytes", to: .integer(size))).sealed
        ))
    }
    return cases
  }

  private static func accepts(_ key: String, _ value: JSONValue?) -> Bool {
    key == "source.format" ? value == "x" : value == .integer(Int.max)
  }

  /// Each field of an entry, first of a file, then of a plain and of a quantized tensor.
  private static func entries(_ packed: [UInt8], _ quantized: [UInt8]) throws -> [MalformedCase] {
    var cases: [MalformedCase] = []
    let odd: [JSONValue?] = [
      nil, .null, true, -1, .number(0.5), "", "x", [], [[]], [:], .integer(Int.max), .integer(1),
      .integer(0), .integer(4096), [.integer(Int.max), 2], [.integer(1 << 32), .integer(1 << 32)],
      [-1],
      [0], [1], [.number(1e300)], "int4-g32", "int4-g-32", "BF16", "bf16", "..", "a\u{0}",
    ]
    for (name, bytes, list, entry) in [
      ("file", packed, "files", "config.json"), ("tensor", packed, "tensors", "lm_head.weight"),
      ("quantized", quantized, "tensors", "lm_head.weight"),
    ] {
      let file = try RawPackedFile(opening: bytes)
      let tree = try file.tree()
      guard case .array(var elements)? = tree[ExactString(list)],
        let index = elements.firstIndex(where: { $0["name"] == .string(entry) })
      else { throw ExperimentError("the packed file has no \(entry)") }
      let element = elements[index]
      for member in element.members {
        for value in odd where value != member.value && !isHarmless(member.key.text, value, list) {
          elements[index] = element.setting(member.key.text, to: value)
          let changed = file.with(tree.setting(list, to: .array(elements)))
          cases.append(.packed("\(name) \(member.key) = \(short(value))", changed.sealed))
        }
      }
      elements[index] = element
      let lists: [(String, [JSONValue])] = [
        ("twice", elements + [element]), ("missing", elements.filter { $0 != element }),
        ("backwards", elements.reversed()), ("none", []),
      ]
      for (kind, list2) in lists
      where !(list == "files" && kind == "backwards" && elements.count < 2) {
        cases.append(
          .packed(
            "\(name) entries \(kind)", file.with(tree.setting(list, to: .array(list2))).sealed,
            refusedBy: kind == "missing" || kind == "none" && list == "files"
              ? Subject.ofTensors : Subject.all))
      }
    }
    return cases
  }

  /// Other names and source types are lies that break nothing.
  private static func isHarmless(_ key: String, _ value: JSONValue?, _ list: String) -> Bool {
    switch (key, value) {
    case ("name", .string):
      list == "tensors" || value == "x" || value == "BF16" || value == "bf16" || value == "int4-g32"
        || value == "int4-g-32"
    case ("source_dtype", "BF16"): true
    default: false
    }
  }

  private static func assemblies(_ assembled: [UInt8]) throws -> [MalformedCase] {
    let file = try RawPackedFile(opening: assembled)
    let tree = try file.tree()
    guard case .array(let all)? = tree["assemblies"], let first = all.first else { return [] }
    let parts: [JSONValue] = [
      [], ["nothing"], .array([first["name"] ?? ""]), [1], [.null], "x", .null,
      .array((first["parts"].map { [$0] }) ?? []), ["lm_head.weight"],
    ]
    var changed = parts.map { ("parts \(short($0))", first.setting("parts", to: $0)) }
    changed += [JSONValue?.none, .null, 1, "bf16", "F64", "X"].map {
      ("dtype \(short($0))", first.setting("dtype", to: $0))
    }
    changed += [
      JSONValue?.none, .null, 1, [1], [0], [-1], [.integer(Int.max)],
      [.integer(1 << 32), .integer(1 << 32)],
    ].map { ("shape \(short($0))", first.setting("shape", to: $0)) }
    changed += [JSONValue?.none, .null, 1, "lm_head.weight", "__metadata__"].map {
      ("name \(short($0))", first.setting("name", to: $0))
    }
    return changed.map { name, assembly in
      let list = JSONValue.array([assembly] + all.dropFirst())
      return .packed("assembly: \(name)", file.with(tree.setting("assemblies", to: list)).sealed)
    } + [
      .packed(
        "assembly: twice", file.with(tree.setting("assemblies", to: .array(all + [first]))).sealed)
    ]
  }

  /// Files that are too short or too long for what they say.
  private static func cuts(_ packed: [UInt8]) throws -> [MalformedCase] {
    [0, 1, 7, 8, 55, 63, 64, 65, 4095, 4096, 4097, packed.count / 2, packed.count - 1].map {
      (count: Int) in .packed("packed: cut at \(count)", Array(packed[..<count]))
    }
      + [1, 63, 64, 4096].map {
        (count: Int) in
        .packed("packed: \(count) bytes longer", packed + [UInt8](repeating: 0, count: count))
      }
  }

  /// Headers that are not the JSON that they must be, sealed.
  private static func headers(_ packed: [UInt8]) throws -> [MalformedCase] {
    let file = try RawPackedFile(opening: packed)
    let sound = file.header
    let body = sound.dropFirst()
    func text(_ bytes: [UInt8]) -> RawPackedFile {
      var file = file
      file.header = bytes
      return file
    }
    func before(_ text: String) -> [UInt8] { Array(text.utf8) + body }
    let nested: [(String, [UInt8])] = [128, 1500].map { depth in
      let brackets = [UInt8](repeating: 0x5B, count: depth) + [UInt8](repeating: 0x5D, count: depth)
      return ("nested \(depth + 1)", Array("{\"x\":".utf8) + brackets + [0x2C] + body)
    }
    let whole: [(String, [UInt8])] = [
      ("nothing", []), ("an array", Array("[]".utf8)), ("no keys", Array("{}".utf8)),
      ("null", Array("null".utf8)), ("cut", Array(sound.dropLast())),
      ("two", sound + [0x7B, 0x7D]),
      ("a mark", [0xEF, 0xBB, 0xBF] + sound), ("a NUL behind it", sound + [0]),
      ("NaN", before("{\"x\":NaN,")), ("1e400 as block_bytes", before("{\"block_bytes\":1e400,")),
      ("not UTF-8", Array("{\"".utf8) + [0xFF] + Array("\":1,".utf8) + body),
    ]
    let twice: [(String, [UInt8])] = [
      "producer", "tensors", "ten\\u0073ors", "assemblies", "block_bytes",
    ].map {
      ("\($0) twice", Array("{\"\($0)\":1,".utf8) + body)
    }
    func make(_ name: String, _ bytes: [UInt8], _ promises: [String]) -> MalformedCase {
      let file = text(bytes)
      return .packed("packed header: \(name)", file.sealed, promises: promises)
    }
    return (whole + nested).map { make($0.0, $0.1, []) }
      + twice.map { make($0.0, $0.1, ["R4"]) }
  }

  /// R5: names of files inside that would leave the folder that an export writes, or be taken there.
  private static func names(_ packed: [UInt8]) throws -> [MalformedCase] {
    let file = try RawPackedFile(opening: packed)
    let tree = try file.tree()
    guard case .array(let files)? = tree["files"] else { return [] }
    let names = [
      "../evil", "../../evil", "/tmp/kiln-evil", "..", ".", "", "/", "a/b", "a/", "./x",
      "model.safetensors",
      "model.safetensors.index.json", "x.safetensors", "config.json\u{0}", "\u{0}",
    ]
    return names.map { name in
      let list = files.enumerated().map {
        $0.offset == 0 ? $0.element.setting("name", to: .string(name)) : $0.element
      }
      return .packed(
        "a file called \(name.debugDescription)",
        file.with(tree.setting("files", to: .array(list))).sealed, promises: ["R5"])
    }
  }

  private static func short(_ value: JSONValue?) -> String {
    value.map { String(decoding: JSONWriter.compact($0).prefix(40), as: UTF8.self) } ?? "nothing"
  }
}
