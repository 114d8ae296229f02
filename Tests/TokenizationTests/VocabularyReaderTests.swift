// SPDX-License-Identifier: Apache-2.0

import TensorCore
import TestSupport
import Testing
import Tokenization

/// Which vocabularies are accepted, and what is said about the others.
struct VocabularyReaderTests {
  private let lines = TinyVocabulary.lines(["ab", "abc"])

  private func error(_ lines: [String], lineEnd: String = "\n") -> TokenizerError? {
    #expect(throws: TokenizerError.self) {
      try TinyVocabulary.tokenizer(lines, lineEnd: lineEnd)
    }
  }

  /// Replaces the line of rank 65 (line 66), the letter A.
  private func error(replacingLine line: String) -> TokenizerError? {
    var lines = lines
    lines[65] = line
    return error(lines)
  }

  @Test func shuffledRanksAreAccepted() throws {
    var generator = SeededGenerator(seed: 7)
    let tokenizer = try TinyVocabulary.tokenizer(lines.shuffled(using: &generator))
    #expect(try tokenizer.encode("abcab") == [257, 256])
  }

  @Test(arguments: ["\r\n", "\n\n", "\r\n\r\n"])
  func otherLineEndsAreAccepted(lineEnd: String) throws {
    let tokenizer = try TinyVocabulary.tokenizer(lines, lineEnd: lineEnd)
    #expect(try tokenizer.encode("abc") == [257])
    #expect(tokenizer.vocabularySize == 258 + 256)
  }

  @Test(arguments: ["", "\r"])
  func theLastLineNeedsNoNewline(end: String) throws {
    let tokenizer = try TinyVocabulary.tokenizer([lines.joined(separator: "\n")], lineEnd: end)
    #expect(try tokenizer.encode("abc") == [257])
  }

  @Test func longTokensAreFound() throws {
    // Every length: tokens are hashed and compared eight bytes at a time.
    let letters = "abcdefghijklmnopqrstuvwxyzabcdefghijklmn"
    let tokens = (2...letters.count).map { String(letters.prefix($0)) }
    let tokenizer = try TinyVocabulary.tokenizer(TinyVocabulary.lines(tokens))
    for (index, token) in tokens.enumerated() {
      #expect(try tokenizer.encode(token) == [256 + index])
      #expect(try tokenizer.decode([256 + index]) == Array(token.utf8))
    }
  }

  @Test(arguments: [
    ("QQ==", "\"QQ==\"", "base64 of a token, a space and its rank"),
    ("QQ==\t65", "\"QQ==\\x0965\"", "base64 of a token, a space and its rank"),
    (" 65", "an empty token", "base64 of at least one byte"),
    ("QQ= 65", "base64 of 3 characters, \"QQ=\"", "a multiple of 4, padded with \"=\""),
    ("QQ 65", "base64 of 2 characters, \"QQ\"", "a multiple of 4, padded with \"=\""),
    ("Q=== 65", "\"=\" in the base64 text \"Q===\"", "A-Z, a-z, 0-9, + or /"),
    ("==== 65", "\"=\" in the base64 text \"====\"", "A-Z, a-z, 0-9, + or /"),
    ("QQ==QQ== 65", "\"=\" in the base64 text \"QQ==QQ==\"", "A-Z, a-z, 0-9, + or /"),
    ("Q_== 65", "\"_\" in the base64 text \"Q_==\"", "A-Z, a-z, 0-9, + or /"),
    ("Qé=A 65", "base64 of 5 characters, \"Q\\xC3\\xA9=A\"", "a multiple of 4, padded with \"=\""),
    (
      "QR== 65", "base64 text whose last character has surplus bits, \"QR==\"",
      "zero in the bits that stand for no byte"
    ),
    (
      "QUF= 65", "base64 text whose last character has surplus bits, \"QUF=\"",
      "zero in the bits that stand for no byte"
    ),
    ("QQ== ", "the rank \"\"", "a whole number below 16777216"),
    ("QQ== x", "the rank \"x\"", "a whole number below 16777216"),
    ("QQ== -1", "the rank \"-1\"", "a whole number below 16777216"),
    ("QQ== 6 5", "the rank \"6 5\"", "a whole number below 16777216"),
    ("QQ==  65", "the rank \" 65\"", "a whole number below 16777216"),
    ("QQ== 65 ", "the rank \"65 \"", "a whole number below 16777216"),
    ("QQ== 6.5", "the rank \"6.5\"", "a whole number below 16777216"),
    ("QQ== 16777216", "the rank \"16777216\"", "a whole number below 16777216"),
    (
      "QQ== 9223372036854775808", "the rank \"9223372036854775808\"",
      "a whole number below 16777216"
    ),
    (
      "QQ== " + String(repeating: "9", count: 99),
      "the rank \"" + String(repeating: "9", count: 40) + "…\"", "a whole number below 16777216"
    ),
  ])
  func malformedLines(line: String, found: String, expected: String) {
    #expect(
      error(replacingLine: line)
        == .malformedLine(file: "tiktoken.model", line: 66, found: found, expected: expected))
  }

  @Test func aRankGivenTwice() {
    #expect(
      error(replacingLine: "QQ== 64")
        == .duplicateRank(file: "tiktoken.model", line: 66, rank: 64, firstLine: 65))
  }

  @Test func aRankThatIsMissing() {
    #expect(
      error(replacingLine: "QQ== 258")
        == .rankGap(file: "tiktoken.model", line: 66, rank: 258, tokenCount: 258))
    #expect(
      error(replacingLine: "QQ== 16777215")
        == .rankGap(file: "tiktoken.model", line: 66, rank: 16_777_215, tokenCount: 258))
  }

  @Test func aTokenGivenTwice() {
    #expect(
      error(replacingLine: "YWI= 65")
        == .duplicateToken(file: "tiktoken.model", line: 257, firstLine: 66))
  }

  @Test func linesAreCountedAsAnEditorDoes() {
    #expect(
      error(lines + ["", "YWI= 258"])
        == .duplicateToken(file: "tiktoken.model", line: 260, firstLine: 257))
    #expect(
      error(lines + ["x"], lineEnd: "\r\n")
        == .malformedLine(
          file: "tiktoken.model", line: 259, found: "\"x\"",
          expected: "base64 of a token, a space and its rank"))
  }

  @Test func aByteWithoutToken() {
    #expect(
      error(replacingLine: "QUE= 65") == .missingByte(file: "tiktoken.model", byte: 0x41))
    #expect(error([]) == .missingByte(file: "tiktoken.model", byte: 0))
  }

  @Test func aModelWithFewerTokens() throws {
    #expect(
      throws: TokenizerError.vocabularyTooSmall(
        file: "tiktoken.model", idCount: 514, vocabularySize: 513)
    ) {
      try TinyVocabulary.tokenizer(lines, vocabularySize: 513)
    }
    for size in [514, 1 << 20] {
      #expect(try TinyVocabulary.tokenizer(lines, vocabularySize: size).vocabularySize == 514)
    }
  }

  @Test func errorsAreOneShortLine() {
    let error = error(replacingLine: String(repeating: "\u{1B}[2J", count: 10_000))
    let text = error?.description ?? ""
    #expect(text.hasPrefix("tiktoken.model: line 66: found \"\\x1B[2J"))
    #expect(text.utf8.count < 400 && text.utf8.allSatisfy { $0 >= 0x20 })
  }

  @Test func damagedFilesGiveErrorsOrVocabularies() throws {
    let seed = UInt64.random(in: .min ... .max)
    var generator = SeededGenerator(seed: seed)
    let whole = Array(lines.joined(separator: "\n").utf8)
    for _ in 0..<2000 {
      var model = whole
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        let offset = Int.random(in: 0..<model.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: model[offset] = UInt8.random(in: 0...255, using: &generator)
        case 1: model.remove(at: offset)
        case 2:
          model.insert(Array("=\n 9A\r".utf8).randomElement(using: &generator) ?? 0, at: offset)
        default: model.removeSubrange(offset...)
        }
        if model.isEmpty { break }
      }
      do {
        let tokenizer = try Tokenizer(
          model: model, modelFile: "m", configuration: nil, configurationFile: "c",
          vocabularySize: nil)
        #expect(try tokenizer.decode(tokenizer.encode("abc")) == Array("abc".utf8), "seed \(seed)")
      } catch {
        #expect(error is any KilnError, "seed \(seed)")
      }
    }
  }
}
