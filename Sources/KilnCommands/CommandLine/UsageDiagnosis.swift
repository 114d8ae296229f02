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
    unknownCommand ?? unknownRootOption ?? unknownOption ?? unknownValue(parserMessage)
      ?? parserMessage
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

  /// An option in front of any command, of which there are few.
  private var unknownRootOption: String? {
    guard let first = arguments.first, first.hasPrefix("-") else { return nil }
    let option = first.prefix { $0 != "=" }
    let word = String(option.drop { $0 == "-" })
    guard !word.isEmpty, option != "-h", !Self.builtInOptions.contains(word),
      !word.hasPrefix(Self.hiddenPrefix)
    else { return nil }
    // What a command has belongs behind its name.
    let isMisplaced = vocabulary.commands.contains { $0.optionNames.contains(word) }
    let nearest = isMisplaced ? nil : NearestName.of(word, among: Self.builtInOptions)
    return "kiln has no option \(option)"
      + (nearest.map { "; did you mean --\($0)?" }
        ?? (isMisplaced ? " of its own; options follow the command" : ""))
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
    // A reason that an option has given itself says more.
    guard !parserMessage.contains("': ") else { return nil }
    return Self.expectation(of: option.valueName, for: value).map { "\(wrong): \($0)" }
  }

  /// What a value should have been, by what the help calls it; nil for one that can be anything.
  private static func expectation(of valueName: String, for value: String) -> String? {
    switch valueName {
    case "n", "k", "seed":
      let isNegative = value.hasPrefix("-")
      let digits = isNegative ? value.dropFirst() : value[...]
      guard !digits.isEmpty, digits.allSatisfy({ ("0"..."9").contains($0) }) else {
        return "expected a whole number"
      }
      return isNegative ? "expected a number that is not negative" : "the number is too large"
    case "x", "t", "p": return "expected a number such as 6.5 or 0.8"
    case "size": return "expected a size such as 5GB, 500MiB or 40MB"
    case "numbers": return "expected numbers of shards from 1, such as 3 or 2-4"
    case "codec": return "expected none, zstd, or zstd:LEVEL with a level from 1 to 22"
    default: return nil
    }
  }

  /// The command line with a negative number joined to its option (`--limit=-1`), which the parser takes for an option
  /// of its own and misses the value; nil if there is none.
  var withNegativeValues: [String]? {
    var joined: [String] = []
    for word in arguments {
      if let last = joined.last, last.hasPrefix("--"), last.count > 2, !last.contains("="),
        word.wholeMatch(of: #/-[0-9.].*/#) != nil
      {
        joined[joined.count - 1] = "\(last)=\(word)"
      } else {
        joined.append(word)
      }
    }
    return joined == arguments ? nil : joined
  }
}
