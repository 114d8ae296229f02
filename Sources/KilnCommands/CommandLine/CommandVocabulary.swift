// SPDX-License-Identifier: Apache-2.0

import JSON
import TensorCore

/// The words of the command line: commands, their options, and the values that options may have.
///
/// It is what the parser says of itself (`--experimental-dump-help`), so it cannot differ from what is parsed.
struct CommandVocabulary {
  /// A command.
  struct Command {
    let name: String
    /// Other names of it.
    let aliases: [String]
    let options: [Option]

    /// The long names of its options, without dashes.
    var optionNames: [String] { options.flatMap(\.names) }
  }

  /// An option or a flag.
  struct Option {
    /// Its long names, without dashes.
    let names: [String]
    /// Values that it may have, if they can be listed.
    let values: [String]
    /// Whether there are no other values.
    let isExhaustive: Bool
    /// What its value is called in the help; empty for a flag.
    let valueName: String
  }

  let commands: [Command]

  /// Reads the parser's description of itself; nil if a later version of the parser describes itself in another way.
  init?(dump: String) {
    let file = "help"
    guard let value = try? JSONValue(parsing: Array(dump.utf8), file: file),
      let commands = try? JSONField(file: file, root: value)["command"]["subcommands"].array()
        .map(Self.command)
    else { return nil }
    self.commands = commands
  }

  /// The names of all commands.
  var commandNames: [String] { commands.map(\.name) }

  /// The command of that name or alias.
  subscript(_ name: String) -> Command? {
    commands.first { $0.name == name || $0.aliases.contains(name) }
  }

  private static func command(_ field: JSONField) throws -> Command {
    Command(
      name: try field["commandName"].string(),
      aliases: try field["aliases"].ifPresent?.array().map { try $0.string() } ?? [],
      options: try field["arguments"].ifPresent?.array().compactMap(option) ?? [])
  }

  private static func option(_ field: JSONField) throws -> Option? {
    guard let names = try field["names"].ifPresent?.array() else { return nil }
    let all = try field["allValues"].ifPresent?.array().map { try $0.string() }
    let listed = try field["completionKind"].ifPresent?["list"].ifPresent?["values"].array().map {
      try $0.string()
    }
    return Option(
      names: try names.filter { try $0["kind"].string() == "long" }.map { try $0["name"].string() },
      values: all ?? listed ?? [], isExhaustive: all != nil,
      valueName: try field["valueName"].ifPresent?.string() ?? "")
  }
}
