// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Checkpoints
import JSON
import KimiLinear
import Reports
import SystemPackage
import TensorCore
import Tokenization

/// `kiln tokenize`: text to ids and back.
struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turn a text into token ids, or ids back into text.",
    discussion: """
      EXAMPLES
        kiln tokenize checkpoint/ --text sample.txt > ids.txt
        kiln tokenize checkpoint/ --text ids.txt --decode
        echo 'Hello' | kiln tokenize model.kiln --text -
      """)

  @OptionGroup var model: ModelArgument

  @Option(
    help: "The text, UTF-8, or ids with --decode; - reads standard input.",
    completion: .file(), transform: InputPath.read)
  var text: FilePath

  @Flag(help: "Read ids separated by white space and print the bytes that they stand for.")
  var decode = false

  @Flag(help: "Let the names of special tokens in the text become those tokens.")
  var special = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if decode, common.json { throw ValidationError("--decode prints bytes; leave --json out") }
    try common.checkFormat(ofResultWithoutTable: "a line of ids")
  }

  func run() throws {
    let checkpoint = try Checkpoint(model.model)
    try checkpoint.checkIsModel()
    common.warn(checkpoint.warnings)
    let hasConfiguration = checkpoint.hasFile("config.json")
    let configuration =
      hasConfiguration ? try ModelConfiguration(checkpoint.configuration()) : nil
    let tokenizer = try checkpoint.tokenizer(vocabularySize: configuration?.vocabularySize)
    if decode {
      try StandardOutput.write(tokenizer.decode(readIDs()))
      return
    }
    let ids = try tokenizer.encode(InputText.read(text), file: text.string, allowSpecial: special)
    if common.json {
      try StandardOutput.print(
        document: [JSONMember]([
          "token_count": .integer(ids.count), "ids": .array(ids.map { .integer($0) }),
        ]))
    } else {
      try StandardOutput.print(ids.map(String.init).joined(separator: " "))
    }
  }

  private func readIDs() throws -> [Int] {
    let content = String(decoding: try InputText.read(text), as: UTF8.self)
    return try content.split(whereSeparator: \.isWhitespace).map { word in
      guard let id = Int(word) else {
        throw TextError.notAnID(text.string, found: String(word.prefix(40)))
      }
      return id
    }
  }
}
