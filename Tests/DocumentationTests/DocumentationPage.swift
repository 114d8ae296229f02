// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// A Markdown page of the repository, and the commands in it.
struct DocumentationPage: Testing.CustomTestStringConvertible, Sendable {
  /// A fenced block of code.
  struct Block: Sendable {
    /// The words behind the fence: the language, then `slow` for what takes more than seconds.
    let words: [String]
    let lines: [String]
    /// Line of the page on which the code begins, counted from 1.
    let firstLine: Int

    var language: String { words.first ?? "" }
    var isSlow: Bool { words.contains("slow") }
  }

  /// Its path in the repository.
  let name: String
  let lines: [String]

  var testDescription: String { name }

  private static let repository = Fixtures.nano.removingLastComponent().removingLastComponent()
    .removingLastComponent()

  /// The README and every page of Docs, Formats and Fuzz.
  static let all: [DocumentationPage] = {
    let folders = ["Docs", "Formats", "Fuzz"].flatMap { folder in
      ((try? FolderListing.entries(of: repository.appending(folder))) ?? []).map {
        "\(folder)/\($0)"
      }
    }
    return (["README.md"] + folders.filter { $0.hasSuffix(".md") }).compactMap { try? Self($0) }
  }()

  /// Reads a page.
  ///
  /// - Parameter name: Its path in the repository.
  /// - Throws: `FileError`.
  init(_ name: String) throws {
    self.name = name
    let file = try MappedFile(Self.repository.appending(name))
    lines = String(decoding: file.bytes.copy(), as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  /// Where the repository is.
  static func path(_ name: String) -> FilePath { repository.appending(name) }

  /// The fenced blocks, in order.
  var blocks: [Block] {
    var blocks: [Block] = []
    var open: (words: [String], first: Int)?
    for (index, line) in lines.enumerated() where line.hasPrefix("```") {
      if let (words, first) = open {
        blocks.append(Block(words: words, lines: Array(lines[first..<index]), firstLine: first + 1))
        open = nil
      } else {
        open = (line.dropFirst(3).split(separator: " ").map(String.init), index + 1)
      }
    }
    return blocks
  }

  /// Commands of the tool that the text quotes between backticks, outside of blocks.
  var quotedCommands: [String] {
    var commands: [String] = []
    var isInBlock = false
    for line in lines {
      if line.hasPrefix("```") { isInBlock.toggle() }
      guard !isInBlock else { continue }
      let parts = line.split(separator: "`", omittingEmptySubsequences: false)
      for (index, part) in parts.enumerated()
      where index % 2 == 1 && part.hasPrefix("kiln ") && !part.hasPrefix("kiln -") {
        commands.append(String(part).replacing("\\|", with: "|"))
      }
    }
    return commands
  }
}
