// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// What is wrong with a command line that the parser has refused, in words that name what was probably meant.
///
/// The parser guesses too generously, and not at all where an option is missing because another is misspelled, so
/// names are looked at first. Only what they do not explain is said in the parser's words.
struct UsageDiagnosis {
  private let vocabulary: CommandVocabulary
  private let arguments: [String]

  /// Options of every command that the parser does not list.
  private static let builtInOptions = ["help", "version", "generate-completion-script"]
  /// Begins the names of options that are for tools and not listed.
  private static let hiddenPrefix = "experimental-"

  /// - Parameters:
  ///   - arguments: The command line, without the program's name.
  ///   - vocabulary: What could have been said.
  init(_ arguments: [String], _ vocabulary: CommandVocabulary) {
    self.arguments = arguments
    self.vocabulary = vocabulary
  }

  /// The problem, where the parser says `parserMessage`.
  func message(_ parserMessage: String) -> String {
    unknownCommand ?? unknownOption ?? unknownValue(parserMessage) ?? parserMessage
  }

  /// A first word, or one behind `help`, that names no command.
  var unknownCommand: String? {
    let words = arguments.first == "help" ? arguments.dropFirst() : arguments[...]
    guard let name = words.first, !name.hasPrefix("-"), name != "help", vocabulary[name] == nil
    else { return nil }
    // A word in front of a name makes another one, not a misspelled one: dequantize.
    let names = vocabulary.commandNames
    let isWish = names.contains { name.lowercased().hasSuffix($0) && name.count > $0.count }
    return "unknown command \"\(name)\""
      + (isWish
        ? "; the commands are \(names.joined(separator: ", "))"
        : Suggestion.text(for: name, among: names, of: "the commands are"))
  }

  /// The first option that the command does not have.
  private var unknownOption: String? {
    guard let name = arguments.first, let command = vocabulary[name] else { return nil }
    let known = command.optionNames + Self.builtInOptions
    for argument in arguments.dropFirst().prefix(while: { $0 != "--" }) {
      let option = argument.prefix { $0 != "=" }
      let word = String(option.drop { $0 == "-" })
      guard option.hasPrefix("-"), !word.isEmpty, !known.contains(word) || !option.hasPrefix("--"),
        !word.hasPrefix(Self.hiddenPrefix)
      else { continue }
      let nearest = NearestName.of(word, among: command.optionNames)
      // One dash begins a row of short flags, or a number, unless the word looks like a long name.
      guard option.hasPrefix("--") || nearest != nil && word.count > 2 else { continue }
      return "\(command.name) has no option \(option)"
        + (nearest.map { "; did you mean --\($0)?" } ?? "")
    }
    return nil
  }

  /// A value that is none of those that an option has.
  private func unknownValue(_ parserMessage: String) -> String? {
    guard
      let match = parserMessage.firstMatch(of: #/^The value '(.*)' is invalid for '--([a-z-]+)/#),
      let name = arguments.first,
      let option = vocabulary[name]?.options.first(where: { $0.names.contains(String(match.2)) })
    else { return nil }
    let (value, wrong) = (String(match.1), "--\(match.2) cannot be \"\(match.1)\"")
    if let nearest = NearestName.of(value, among: option.values) {
      return "\(wrong); did you mean \(nearest)?"
    }
    if option.isExhaustive {
      return "\(wrong); it is one of \(option.values.joined(separator: ", "))"
    }
    let abstract =
      option.abstract.hasSuffix(".") ? option.abstract.dropLast() : option.abstract[...]
    // A reason that an option has given itself says more than what it is for.
    return parserMessage.contains("': ") || option.abstract.isEmpty
      ? nil : "\(wrong): \(abstract)"
  }
}
