// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TestSupport
import Testing

/// R13 for a few commands, which `make test-slow` tries for all: outputs survive a power cut.
@Suite("write, fsync, rename, fsync of the folder", .enabled(if: Tool.sanitizer == nil))
struct CallOrderTests {
  private let scratch: Scratch
  private let folder: FilePath
  private let library: FilePath

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.link(Fixture.packed(), as: "in.kiln")
    try scratch.write(Fixture.text, to: "text.txt")
    folder = FilePath(scratch.folder.resolvingSymlinksInPath().path)
    library = try #require(
      try PreloadedLibrary.recordCalls.build(in: folder), "Swift comes with a C compiler")
  }

  /// Runs a command and gives the calls that it made.
  private func history(_ arguments: [String]) throws -> CallHistory {
    let log = scratch.path(".calls")
    try? FileManager.default.removeItem(atPath: log)
    try expectSuccess(
      arguments, in: scratch.folder,
      environment: ["LD_PRELOAD": library.string, "KILN_RECORD_CALLS": log])
    return CallHistory(recorded: try String(contentsOfFile: log, encoding: .utf8))
  }

  @Test(
    "of a file", arguments: [false, true],
    [
      ["convert", "model", "out.kiln"],
      ["perplexity", "in.kiln", "--text", "text.txt", "--token-log", "out.csv"],
    ])
  func files(isReplacing: Bool, arguments: [String]) throws {
    let name = arguments[0] == "convert" ? "out.kiln" : "out.csv"
    if isReplacing { try scratch.write("precious", to: name) }
    let problem = try history(arguments + (isReplacing ? ["--force"] : []))
      .problem(of: folder.appending(name), in: nil)
    #expect(problem == nil)
  }

  @Test("of every file of a folder, and of the folder", arguments: [false, true])
  func folders(isReplacing: Bool) throws {
    let output = folder.appending("out")
    if isReplacing {
      try FileManager.default.createDirectory(
        at: scratch.url("out"), withIntermediateDirectories: false)
      try scratch.write("precious", to: "out/mine.txt")
    }
    let history = try history(
      ["convert", "in.kiln", "out", "--shard-size", "4MB"] + (isReplacing ? ["--force"] : []))
    let names = try FileManager.default.contentsOfDirectory(atPath: output.string)
    #expect(names.count { $0.hasSuffix(".safetensors") } > 1)
    for name in names where name != "mine.txt" {
      let problem = history.problem(of: output.appending(name), in: output)
      #expect(problem == nil, "\(name)")
    }
  }

  /// The history itself has to find what it is there for.
  @Test("what lacks a call is told")
  func omissions() {
    let events: [CallHistory.Event] = [
      .write("/a/.x.partial"), .synchronize("/a/.x.partial"), .rename("/a/.x.partial", "/a/x"),
      .synchronize("/a"),
    ]
    func problem(_ events: [CallHistory.Event]) -> String? {
      CallHistory(events).problem(of: "/a/x", in: nil)
    }
    #expect(problem(events) == nil)
    for index in events.indices.dropFirst() {
      var fewer = events
      fewer.remove(at: index)
      #expect(problem(fewer) != nil, "without \(events[index])")
      var swapped = events
      swapped.swapAt(index, index - 1)
      #expect(problem(swapped) != nil, "\(events[index]) too early")
    }
  }
}
