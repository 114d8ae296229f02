// SPDX-License-Identifier: Apache-2.0

extension ForeignContent {
  /// Bytes at the start that are looked at; magic numbers are in the first 300.
  private static let prefixByteCount = 1024
  /// A pointer is three short lines.
  private static let maximumPointerByteCount = 1024
  /// Fewer zeros than this may be a file of something else.
  private static let leastZeroByteCount = 64
  /// Zeros that are looked at: what begins with so many is not a file of anything.
  private static let mostZeroByteCount = 1 << 16

  /// Recognizes content; nil if it is none of these.
  ///
  /// - Parameter bytes: The whole file.
  public init?(_ bytes: RawSpan) {
    guard bytes.byteCount > 0 else {
      self = .empty
      return
    }
    let prefix = bytes.copy(0..<min(bytes.byteCount, Self.prefixByteCount))
    let found =
      Self.weights(prefix) ?? Self.byMagic(prefix) ?? Self.zip(prefix)
      ?? Self.text(prefix, byteCount: bytes.byteCount) ?? Self.zeros(bytes)
      ?? (Self.isPlainText(prefix, isWhole: prefix.count == bytes.byteCount) ? .text : nil)
    guard let found else { return nil }
    self = found
  }

  // MARK: - Binary

  /// Formats of weights whose mark is more than a few fixed bytes at the start.
  private static func weights(_ prefix: [UInt8]) -> ForeignContent? {
    // The length of a header, at most 100 MB, and the header itself.
    if prefix.count > 9, prefix[8] == UInt8(ascii: "{"), prefix[4..<8].allSatisfy({ $0 == 0 }) {
      return .safetensors
    }
    // Protocols 2 to 5, and an opcode that such a stream begins with: a number, a frame, a mark,
    // a dictionary, a list, a tuple, the name of a class.
    if prefix.count > 2, prefix[0] == 0x80, (2...5).contains(prefix[1]),
      [0x8A, 0x95, 0x28, 0x7D, 0x5D, 0x29, 0x63].contains(prefix[2])
    {
      return .pickle
    }
    // Protocol buffers: the version of the format, then the name of the program that wrote it.
    if prefix.count > 4, prefix[0] == 0x08, (1...32).contains(prefix[1]), prefix[2] == 0x12,
      prefix.dropFirst(4).first.map({ $0 >= 0x20 && $0 < 0x7F }) == true
    {
      return .onnx
    }
    return nil
  }

  /// Fixed bytes at a fixed place, a character for each.
  private static let magics: [(offset: Int, mark: String, content: ForeignContent)] = [
    (0, "GGUF", .gguf),
    (0, "FUGG", .gguf),
    (0, "lmgg", .ggml),
    (0, "fmgg", .ggml),
    (0, "tjgg", .ggml),
    (0, "\u{93}NUMPY", .numpy),
    (0, "\u{89}HDF\r\n", .hdf5),
    (0, "\u{1F}\u{8B}\u{08}", .archive("gzip")),
    (0, "\u{28}\u{B5}\u{2F}\u{FD}", .archive("Zstandard")),
    (0, "\u{FD}7zXZ", .archive("xz")),
    (0, "7z\u{BC}\u{AF}\u{27}\u{1C}", .archive("7-Zip")),
    (0, "BZh", .archive("bzip2")),
    (0, "Rar!\u{1A}\u{07}", .archive("RAR")),
    (0, "\u{04}\u{22}\u{4D}\u{18}", .archive("LZ4")),
    (257, "ustar", .archive("tar")),
    (0, "\u{89}PNG\r\n", .document("PNG")),
    (0, "\u{FF}\u{D8}\u{FF}", .document("JPEG")),
    (0, "GIF8", .document("GIF")),
    (0, "%PDF-", .document("PDF")),
    (0, "PAR1", .document("Parquet")),
    (0, "ARROW1", .document("Arrow")),
    (0, "SQLite format 3", .document("SQLite")),
    (0, "\u{89}KILN\r\n", .document(".kiln")),
    (0, "\u{7F}ELF", .executable),
    (0, "\u{FF}\u{FE}", .utf16),
    (0, "\u{FE}\u{FF}", .utf16),
  ]

  private static func byMagic(_ prefix: [UInt8]) -> ForeignContent? {
    magics.first { magic in
      let mark = magic.mark.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
      return prefix.dropFirst(magic.offset).starts(with: mark)
    }?.content
  }

  /// A zip archive, by the name of its first entry.
  private static func zip(_ prefix: [UInt8]) -> ForeignContent? {
    guard prefix.starts(with: [0x50, 0x4B, 0x03, 0x04]) else {
      return prefix.starts(with: [0x50, 0x4B, 0x05, 0x06]) ? .archive("ZIP") : nil
    }
    guard prefix.count >= 30 else { return .archive("ZIP") }
    let length = Int(prefix[26]) | Int(prefix[27]) << 8
    let name = String(decoding: prefix[30...].prefix(length), as: UTF8.self)
    if name.hasSuffix(".pkl") || name.hasSuffix("/version") || name.hasSuffix("/byteorder")
      || name.hasSuffix("/.format_version")
    {
      return .pickle
    }
    return name.hasSuffix(".npy") ? .numpy : .archive("ZIP")
  }

  private static func zeros(_ bytes: RawSpan) -> ForeignContent? {
    guard bytes.byteCount >= leastZeroByteCount else { return nil }
    return bytes.isZero(0..<min(bytes.byteCount, mostZeroByteCount)) ? .zeros : nil
  }

  // MARK: - Text

  /// Keys that the errors of servers begin with, and that no file of a checkpoint does.
  private static let errorKeys = ["error", "errors", "message", "detail", "statusCode"]

  private static func text(_ prefix: [UInt8], byteCount: Int) -> ForeignContent? {
    let hasMark = prefix.starts(with: [0xEF, 0xBB, 0xBF])
    let text = String(
      decoding: prefix.dropFirst(hasMark ? 3 : 0).drop { [0x20, 0x09, 0x0A, 0x0D].contains($0) },
      as: UTF8.self)
    if text.hasPrefix("version https://git-lfs.github.com/spec/"),
      byteCount <= maximumPointerByteCount
    {
      return .gitLFSPointer
    }
    let start = text.prefix(16).lowercased()
    if start.hasPrefix("<!doctype html") || start.hasPrefix("<html") { return .html }
    if start.hasPrefix("<?xml") || start.hasPrefix("<error") {
      return text.lowercased().contains("<html") ? .html : .xml
    }
    guard !hasMark, start.hasPrefix("{") || start.hasPrefix("[") else { return nil }
    let key = text.dropFirst().drop(while: \.isWhitespace).dropFirst().prefix { $0 != "\"" }
    return start.hasPrefix("{") && errorKeys.contains(String(key)) ? .serverError : .json
  }

  /// Whether bytes are UTF-8 without control characters other than those of lines.
  ///
  /// - Parameters:
  ///   - prefix: The first bytes of a file.
  ///   - isWhole: Whether there are no others: else a character may be cut at the end.
  /// - Returns: Whether this is text.
  private static func isPlainText(_ prefix: [UInt8], isWhole: Bool) -> Bool {
    let controls: Set<UInt8> = [0x09, 0x0A, 0x0C, 0x0D]
    guard prefix.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || controls.contains($0) }) else {
      return false
    }
    // A character has at most three bytes behind its first.
    return (0...(isWhole ? 0 : 3)).contains { cut in
      String(validating: prefix.dropLast(cut), as: UTF8.self) != nil
    }
  }
}
