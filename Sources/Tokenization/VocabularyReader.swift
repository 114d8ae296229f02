// SPDX-License-Identifier: Apache-2.0

/// Reads `tiktoken.model`: a line `base64(token) rank` for each token.
///
/// Lines end with LF or CRLF, the last one perhaps with nothing; empty lines are ignored. Lines may
/// stand in any order, but their ranks must be the numbers from 0 to one less than their count.
struct VocabularyReader {
  /// Ranks must be below this; a bound on what a file can make us allocate.
  static let rankLimit = 1 << 24

  private let file: String
  private let bytes: [UInt8]
  /// Number of the current line, from 1.
  private var line = 0
  /// Tokens of all lines so far, one after another.
  private var tokenBytes: [UInt8] = []
  /// What was read from each line that has a token.
  private var entries: [Entry] = []

  private struct Entry {
    let line: Int
    let rank: Int
    /// Where the token is in `tokenBytes`.
    let range: Range<Int>
  }

  /// Reads a whole file.
  ///
  /// - Parameters:
  ///   - bytes: Its content.
  ///   - file: Its name, for errors.
  /// - Returns: The tokens by rank.
  /// - Throws: `TokenizerError` for the first line that is wrong.
  static func read(_ bytes: [UInt8], file: String) throws(TokenizerError) -> Vocabulary {
    var reader = VocabularyReader(bytes, file: file)
    try reader.readLines()
    return try reader.vocabulary()
  }

  private init(_ bytes: [UInt8], file: String) {
    self.bytes = bytes
    self.file = file
  }

  private mutating func readLines() throws(TokenizerError) {
    var start = 0
    while start < bytes.count {
      let newline = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      line += 1
      var content = bytes[start..<newline]
      if content.last == UInt8(ascii: "\r") { content.removeLast() }
      if !content.isEmpty { try readLine(content) }
      start = newline + 1
    }
  }

  private mutating func readLine(_ content: ArraySlice<UInt8>) throws(TokenizerError) {
    guard let space = content.firstIndex(of: UInt8(ascii: " ")) else {
      throw malformed(found: quoted(content), expected: "base64 of a token, a space and its rank")
    }
    let start = tokenBytes.count
    do {
      try Base64.decode(content[..<space], into: &tokenBytes)
    } catch {
      throw malformed(found: error.found, expected: error.expected)
    }
    guard tokenBytes.count > start else {
      throw malformed(found: "an empty token", expected: "base64 of at least one byte")
    }
    let rank = try rank(content[(space + 1)...])
    entries.append(Entry(line: line, rank: rank, range: start..<tokenBytes.count))
  }

  private func rank(_ digits: ArraySlice<UInt8>) throws(TokenizerError) -> Int {
    var rank = 0
    for digit in digits {
      // Below the limit, ten times the number cannot overflow.
      if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit), rank < Self.rankLimit {
        rank = rank * 10 + Int(digit - UInt8(ascii: "0"))
      } else {
        rank = Self.rankLimit
      }
    }
    guard !digits.isEmpty, rank < Self.rankLimit else {
      throw malformed(
        found: "the rank \(quoted(digits))", expected: "a whole number below \(Self.rankLimit)")
    }
    return rank
  }

  private func malformed(found: String, expected: String) -> TokenizerError {
    .malformedLine(file: file, line: line, found: found, expected: expected)
  }

  /// Puts the tokens in the order of their ranks and checks the whole.
  private func vocabulary() throws(TokenizerError) -> Vocabulary {
    let byRank = try entriesByRank()
    var builder = Vocabulary.Builder(tokenCount: byRank.count, byteCount: tokenBytes.count)
    for entry in byRank {
      if let earlier = builder.append(from: tokenBytes, entry.range) {
        // By rank the order of two lines may be the other way round than in the file.
        let lines = [byRank[earlier].line, entry.line].sorted()
        throw .duplicateToken(file: file, line: lines[1], firstLine: lines[0])
      }
    }
    let vocabulary = Vocabulary(builder)
    for byte in UInt8.min...UInt8.max where vocabulary.rank(of: [byte].rawBytes) == nil {
      throw .missingByte(file: file, byte: byte)
    }
    return vocabulary
  }

  private func entriesByRank() throws(TokenizerError) -> [Entry] {
    var indexOfRank = [Int?](repeating: nil, count: entries.count)
    for (index, entry) in entries.enumerated() {
      guard entry.rank < entries.count else {
        throw .rankGap(
          file: file, line: entry.line, rank: entry.rank, tokenCount: entries.count)
      }
      if let first = indexOfRank[entry.rank] {
        throw .duplicateRank(
          file: file, line: entry.line, rank: entry.rank, firstLine: entries[first].line)
      }
      indexOfRank[entry.rank] = index
    }
    // As many different ranks below the count as there are entries: none is missing.
    return indexOfRank.compactMap { index in index.map { entries[$0] } }
  }
}
