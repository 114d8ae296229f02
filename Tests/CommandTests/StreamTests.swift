// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Where standard output leads to nowhere.
@Suite("Standard output")
struct StreamTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private static let commands = [
    ["inspect", "model", "--tensors"], ["inspect", "model", "--json"], ["--help"], ["--version"],
    ["quantize", "--help"], ["--version", "--verbose"], ["--generate-completion-script", "bash"],
    ["verify", "model"], ["tokenize", "model", "--text", "text.txt"],
    ["generate", "model", "--prompt", "The", "--max-tokens", "4"],
    ["perplexity", "model", "--text", "text.txt"],
    ["quantize", "model", "out.kiln", "--scheme", "int4-g32", "--force"],
  ]

  @Test("that nobody reads any more ends a command quietly, as SIGPIPE would", arguments: commands)
  func closedPipe(_ arguments: [String]) throws {
    // The reader has gone before the command starts.
    let result = try Tool.run(
      ["-c", "{ sleep 0.2; \"$@\"; echo \"status $?\" >&2; } | true", "sh", Tool.binary.path]
        + arguments, in: scratch.folder, program: "/bin/sh")
    #expect(result.messages == ["status 141"], "\(arguments): \(result.errors)")
    // What was written before the result is complete or gone.
    let left = try scratch.listing().filter { $0.contains("partial") || $0.contains("journal") }
    #expect(left.isEmpty)
    if arguments.contains("out.kiln") {
      try expectSuccess(["verify", "out.kiln"], in: scratch.folder)
    }
  }

  @Test("that is full is an error", arguments: commands)
  func fullDisk(_ arguments: [String]) throws {
    let result = try Tool.run(arguments, in: scratch.folder, redirection: ">/dev/full")
    #expect(result.status == Code.inputOutput, "\(arguments): \(result.errors)")
    #expect(result.messages.first?.contains("standard output") == true, "\(result.errors)")
  }
}
