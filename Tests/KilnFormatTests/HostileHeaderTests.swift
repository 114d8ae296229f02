// SPDX-License-Identifier: Apache-2.0

import JSON
import KilnFormat
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Headers that somebody wrote on purpose, with checksums that match.
@Suite struct HostileHeaderTests {
  /// The refusal of the golden file with one piece of its header replaced; nil if it is accepted.
  private func refusal(
    _ old: String, _ new: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> String? {
    let header = try RawKiln.goldenHeader()
    let parts = header.split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
    try #require(parts.count == 2, "\(old) is not in the header", sourceLocation: sourceLocation)
    return try refusal(header: parts.joined(separator: new), sourceLocation: sourceLocation)
  }

  private func refusal(
    header: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> String? {
    try TemporaryFolder.with { folder in
      let bytes = RawKiln.file(header: Array(header.utf8), data: try RawKiln.goldenData())
      let path = try folder.write(bytes, as: "x.kiln")
      do {
        _ = try KilnFile(path)
        return nil
      } catch let error as any KilnError {
        #expect(error.category == .badData, sourceLocation: sourceLocation)
        #expect("\(error)".hasPrefix(path.string), sourceLocation: sourceLocation)
        return "\(error)"
      }
    }
  }

  private func expectRefusal(
    _ old: String, _ new: String, _ word: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let error = try refusal(old, new, sourceLocation: sourceLocation)
    #expect(error?.contains(word) == true, "\(error ?? "accepted")", sourceLocation: sourceLocation)
  }

  @Test func `the header as it is and with unknown keys is accepted`() throws {
    #expect(try refusal("{\"producer\"", "{\"producer\"") == nil)
    #expect(try refusal("{\"producer\"", "{\"later\":[{}],\"producer\"") == nil)
    #expect(try refusal("\"encoding\":\"bf16\"", "\"x\":null,\"encoding\":\"bf16\"") == nil)
  }

  @Test(arguments: ["", "[]", "{}", "null", "{", "{}{}", "{\"producer\":1}"])
  func `other JSON is refused`(header: String) throws {
    #expect(try refusal(header: header) != nil)
  }

  @Test(arguments: ["producer", "source", "block_bytes", "files", "tensors", "assemblies"])
  func `each key must be there and of the right kind`(key: String) throws {
    try expectRefusal("\"\(key)\":", "\"_\(key)\":", key)
    for value in ["null", "true", "-1", "1.5", "\"\"", "[[]]", "[1]", "{}", "99999999999999999999"]
    where !(key == "producer" && value == "\"\"") {
      try expectRefusal("\"\(key)\":", "\"\(key)\":\(value),\"_\(key)\":", key)
    }
  }

  @Test func `data that do not begin at a page are refused`() throws {
    try TemporaryFolder.with { folder in
      var header = Array(try RawKiln.goldenHeader().utf8)
      header += [UInt8](repeating: UInt8(ascii: " "), count: (64 - header.count % 64) % 64)
      let data = try RawKiln.goldenData()
      // All else is as it should be: zeros up to where the entries are.
      let gap = [UInt8](repeating: 0, count: RawKiln.pageByteCount - 64 - header.count)
      let prelude = RawKiln.prelude(
        header: header, fileByteCount: RawKiln.pageByteCount + data.count)
      let path = try folder.write(prelude + header + gap + data, as: "x.kiln")
      #expect { try KilnFile(path) } throws: { "\($0)".contains("data_offset") }
    }
  }

  @Test func `bytes behind the last entry are refused, whatever the prelude says`() throws {
    try TemporaryFolder.with { folder in
      let header = Array(try RawKiln.goldenHeader().utf8)
      let data = try RawKiln.goldenData()
      let path = try folder.write(RawKiln.file(header: header, data: data + [0]), as: "x.kiln")
      #expect {
        try KilnFile(path)
      } throws: {
        guard case KilnFormatError.size = $0 else { return false }
        return true
      }
    }
  }

  @Test func `another block size is refused`() throws {
    for size in ["0", "1048575", "2097152", "9223372036854775807"] {
      try expectRefusal("\"block_bytes\":1048576", "\"block_bytes\":\(size)", "block_bytes")
    }
  }

  @Test(arguments: ["bytes", "offset", "name", "checksums"])
  func `each key of a file entry is checked`(key: String) throws {
    for value in ["null", "true", "-1", "1e3", "[{}]", "{}", "99999999999999999999"] {
      try expectRefusal("\"\(key)\":", "\"\(key)\":\(value),\"_\(key)\":", key)
    }
    try expectRefusal("\"\(key)\":", "\"_\(key)\":", key)
  }

  @Test(arguments: ["encoding", "shape", "source_dtype"])
  func `each key of a tensor entry is checked`(key: String) throws {
    for value in ["null", "true", "-1", "\"\"", "\"BF-16\"", "[-1]", "[1.0]", "{}"] {
      #expect(try refusal("\"\(key)\":", "\"\(key)\":\(value),\"_\(key)\":") != nil)
    }
    try expectRefusal("\"\(key)\":", "\"_\(key)\":", key)
  }

  @Test func `sizes that do not follow from encoding and shape are refused`() throws {
    for (old, new) in [
      ("\"shape\":[2,3]", "\"shape\":[2,4]"), ("\"shape\":[2,3]", "\"shape\":[]"),
      ("\"shape\":[2,3]", "\"shape\":[0]"), ("\"encoding\":\"bf16\"", "\"encoding\":\"f32\""),
      ("\"encoding\":\"bf16\"", "\"encoding\":\"int4-g32\""),
      ("\"shape\":[1,32]", "\"shape\":[1,31]"), ("\"shape\":[1,32]", "\"shape\":[2,16]"),
      ("\"int4-g32\"", "\"int4-g64\""), ("\"int4-g32\"", "\"int8-g32\""),
      ("\"int8-row\"", "\"int4-row\""), ("\"shape\":[1,5]", "\"shape\":[5,1]"),
      ("\"bytes\":12,", "\"bytes\":11,"), ("\"bytes\":12,", "\"bytes\":13,"),
    ] {
      try expectRefusal(old, new, "bytes, found")
    }
    for shape in ["[9223372036854775807,2]", "[4294967296,4294967296]", "[9223372036854775807]"] {
      #expect(try refusal("\"shape\":[2,3]", "\"shape\":\(shape)") != nil)
    }
    // Sizes of scales and of rows overflow where those of codes do not.
    for shape in ["[4611686018427387904,1]", "[9223372036854775807,1]", "[1,9223372036854775807]"] {
      #expect(try refusal("\"shape\":[1,5]", "\"shape\":\(shape)") != nil)
      let text = "\"int4-row\",\"shape\":\(shape)"
      #expect(try refusal("\"int8-row\",\"shape\":[1,5]", text) != nil)
    }
    for encoding in ["int4-g33", "int3-g32", "BF16", "int4", "int4-g-1", "int4-g32 ", "source"] {
      try expectRefusal("\"int4-g32\"", "\"\(encoding)\"", "unknown encoding")
    }
  }

  @Test func `entries outside the data, overlapping or out of order are refused`() throws {
    for offset in ["0", "64", "4032", "4608", "8192", "9223372036854775807"] {
      #expect(try refusal("\"offset\":4224", "\"offset\":\(offset)") != nil)
    }
    for offset in ["4160", "4096", "4225", "4232"] {
      #expect(try refusal("\"offset\":4224", "\"offset\":\(offset)") != nil)
    }
    // One later place that is still free is no error.
    #expect(try refusal("\"offset\":4480,\"bytes\":18", "\"offset\":4544,\"bytes\":18") != nil)
    #expect(try refusal("\"offset\":4608", "\"offset\":4552") != nil)
    #expect(try refusal("\"offset\":4608", "\"offset\":4576") != nil)
    #expect(try refusal("\"bytes\":29", "\"bytes\":9223372036854775807") != nil)
  }

  @Test func `checksums must be one a block and of sixteen digits`() throws {
    let sum = "\"5ca125ce5c965c24\""
    for other in [
      "", "\(sum),\(sum)", "\"5ca125ce5c965c2\"", "\"5CA125CE5C965C24\"", "\"+ca125ce5c965c24\"",
      "\"5ca125ce5c965c24 \"", "1", "null", "[]", "\"\u{FF15}ca125ce5c965c2\"",
    ] {
      #expect(try refusal("[\(sum)]", "[\(other)]") != nil)
    }
    // A wrong one is not found by opening, but by looking.
    #expect(try refusal(sum, "\"0000000000000000\"") == nil)
  }

  @Test(arguments: [
    "", ".", "..", "/", "/etc/passwd", "../config.json", "a/b", "a/", "config.json\\u0000",
    "\\u0000",
  ])
  func `names of files must be plain`(name: String) throws {
    try expectRefusal("\"config.json\"", "\"\(name)\"", "not a plain file name")
  }

  @Test func `names that stand twice are refused, those that only look alike are not`() throws {
    try expectRefusal("\"notes.txt\"", "\"config.json\"", "listed twice")
    try expectRefusal("\"zz.empty\"", "\"model.embed_tokens.weight\"", "listed twice")
    let header = try RawKiln.goldenHeader()
    #expect(
      try refusal(
        header: header.replacing("config.json", "\u{E9}").replacing("notes.txt", "e\u{301}"))
        == nil)
  }

  @Test func `assemblies must be made of parts that are there, once, and that fit`() throws {
    let part = "\"\(SamplePackedFile.attention).q_conv1d.weight\",\"\(SamplePackedFile.attention).k"
    let rest = "\"\(SamplePackedFile.attention).k"
    try expectRefusal("[\(part)", "[\"nothing\",\(rest)", "missing or used twice")
    try expectRefusal("[\(part)", "[\(rest)_conv1d.weight\",\(rest)", "missing or used twice")
    try expectRefusal("[\(part)", "[\(rest)", "parts have 8 elements")
    try expectRefusal("[\(part)", "[\"\(SamplePackedFile.attention).A_log\",\(rest)", "not fit")
    try expectRefusal("\"shape\":[6,1,2]", "\"shape\":[6,2,2]", "shape [6, 2, 2] has 24")
    try expectRefusal("\"dtype\":\"BF16\"", "\"dtype\":\"F32\"", "not fit")
    try expectRefusal("\"dtype\":\"BF16\"", "\"dtype\":\"x\"", "dtype")
  }

  @Test func `two tensors of an exported folder may not have one name`() throws {
    let name = "\"name\":\"\(SamplePackedFile.attention).conv1d.weight\""
    // That of a tensor that stands for itself, or of another assembly.
    try expectRefusal(name, "\"name\":\"model.embed_tokens.weight\"", "twice")
    let second = "{\(name),\"dtype\":\"I64\",\"shape\":[0,7],\"parts\":[\"zz.empty\"]}"
    try expectRefusal("\"assemblies\":[", "\"assemblies\":[\(second),", "twice")
    // The name of one of its own parts is free, for the part does not stand for itself.
    #expect(
      try refusal(name, "\"name\":\"\(SamplePackedFile.attention).q_conv1d.weight\"") == nil)
  }

  @Test func `parts of an assembly that nobody can bring to one type are refused`() throws {
    // A part of I64 could never be widened to stand beside a quantized one.
    let second = """
      {"name":"fused","dtype":"BF16","shape":[12],\
      "parts":["\(SamplePackedFile.expert).w3.weight","zz.seven"]}
      """
    let header = try RawKiln.goldenHeader()
      .replacing(
        "\"zz.empty\",\"encoding\":\"i64\",\"shape\":[0,7],\"source_dtype\":\"I64\"",
        "\"zz.seven\",\"encoding\":\"u8\",\"shape\":[7],\"source_dtype\":\"BF16\""
      )
      .replacing(
        "\"offset\":4608,\"bytes\":0,\"checksums\":[]",
        "\"offset\":4608,\"bytes\":7,\"checksums\":[\"0000000000000000\"]"
      )
      .replacing("\"assemblies\":[", "\"assemblies\":[\(second),")
    try TemporaryFolder.with { folder in
      let data = try RawKiln.goldenData() + [UInt8](repeating: 0, count: 7)
      let path = try folder.write(
        RawKiln.file(header: Array(header.utf8), data: data), as: "x.kiln")
      #expect(
        throws: KilnFormatError.entry(
          path, name: "fused", problem: "part \"zz.seven\" does not fit")
      ) { try KilnFile(path) }
    }
  }
}

extension String {
  /// The text with the first occurrence of a piece replaced.
  fileprivate func replacing(_ old: String, _ new: String) -> String {
    split(separator: old, maxSplits: 1, omittingEmptySubsequences: false).joined(separator: new)
  }
}
