// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

@Suite("Outputs")
struct OutputSafetyTests {
  private let scratch: Scratch
  private let files = FileManager.default

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
    try scratch.link(Fixture.packed(), as: "in.kiln")
    try scratch.write(Fixture.text, to: "text.txt")
  }

  private func contents() throws -> [String: Data] {
    try scratch.listing().reduce(into: [:]) { contents, name in
      contents[name] = try? Data(contentsOf: scratch.url(name))
    }
  }

  /// A command that must fail because of its output, and change nothing.
  private func expectRefusal(
    _ arguments: [String], naming name: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let before = try contents()
    try expectFailure(
      arguments, Code.cannotCreate, naming: name, in: scratch, sourceLocation: sourceLocation)
    #expect(try contents() == before, sourceLocation: sourceLocation)
  }

  private func commands(writing output: String) -> [[String]] {
    [
      ["convert", "model", output], ["quantize", "model", output, "--scheme", "int4-g32"],
      ["perplexity", "model", "--text", "text.txt", "--token-log", output],
    ]
  }

  @Test("an output that exists is refused, also by a dry run, and replaced by force")
  func existing() throws {
    try scratch.write("precious", to: "out")
    try files.createDirectory(at: scratch.url("folder"), withIntermediateDirectories: false)
    for command in commands(writing: "out") { try expectRefusal(command, naming: "out") }
    for command in commands(writing: "folder") { try expectRefusal(command, naming: "folder") }
    try expectRefusal(["convert", "in.kiln", "folder"], naming: "folder")
    try expectRefusal(["convert", "in.kiln", "folder", "--dry-run"], naming: "folder")
    try expectRefusal(["convert", "model", "out", "--dry-run"], naming: "out")
    // A folder is never replaced by a file, nor a file by a folder.
    for command in commands(writing: "folder") {
      try expectRefusal(command + ["--force"], naming: "folder")
    }
    try expectRefusal(["convert", "in.kiln", "text.txt", "--force"], naming: "text.txt")
    for command in commands(writing: "out") {
      try expectSuccess(command + ["--force"], in: scratch.folder)
      #expect(try Data(contentsOf: scratch.url("out")) != Data("precious".utf8))
    }
    try expectSuccess(["convert", "in.kiln", "folder/", "--force"], in: scratch.folder)
    #expect(files.fileExists(atPath: scratch.path("folder/model.safetensors")))
  }

  @Test("a folder that holds folders is not replaced")
  func deepFolder() throws {
    try files.createDirectory(
      at: scratch.url("folder/inner"), withIntermediateDirectories: true)
    try expectRefusal(["convert", "in.kiln", "folder", "--force"], naming: "folder")
    #expect(files.fileExists(atPath: scratch.path("folder/inner")))
  }

  @Test("a folder is replaced, but what is not part of a checkpoint stays in it")
  func otherFilesOfFolder() throws {
    try files.createDirectory(at: scratch.url("folder"), withIntermediateDirectories: true)
    try scratch.write("mine", to: "folder/notes.txt")
    for name in ["config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"]
    {
      try scratch.write("old", to: "folder/\(name)")
    }
    try expectSuccess(["convert", "in.kiln", "folder", "--force"], in: scratch.folder)
    #expect(try Data(contentsOf: scratch.url("folder/notes.txt")) == Data("mine".utf8))
    #expect(try Data(contentsOf: scratch.url("folder/config.json")) != Data("old".utf8))
    #expect(files.fileExists(atPath: scratch.path("folder/model.safetensors")))
    #expect(!files.fileExists(atPath: scratch.path("folder/model-00001-of-00002.safetensors")))
    #expect(!files.fileExists(atPath: scratch.path("folder/model.safetensors.index.json")))
    #expect(try scratch.listing().allSatisfy { !$0.contains("partial") })
  }

  @Test(
    "a place that cannot be written", arguments: ["none/out", "text.txt/out", "/", "/dev/null"])
  func impossible(_ output: String) throws {
    for command in commands(writing: output) + [["convert", "in.kiln", output]] {
      try expectRefusal(command + ["--force"], naming: output)
    }
  }

  @Test("an output that is the input by another name")
  func outputIsInput() throws {
    try files.linkItem(at: scratch.url("in.kiln"), to: scratch.url("hard.kiln"))
    for (link, target) in [("soft.kiln", "in.kiln"), ("softmodel", "model")] {
      try files.createSymbolicLink(
        atPath: scratch.path(link), withDestinationPath: scratch.path(target))
    }
    for output in ["in.kiln", "hard.kiln", "soft.kiln", "./in.kiln", "model/../in.kiln"] {
      try expectRefusal(
        ["quantize", "in.kiln", output, "--scheme", "int4-g32", "--force"], naming: output)
    }
    for output in ["model", "model/", "softmodel", "model/model.safetensors", "model/config.json"] {
      try expectRefusal(["convert", "model", output, "--force"], naming: "model")
    }
    for log in ["in.kiln", "soft.kiln", "text.txt"] {
      try expectRefusal(
        ["perplexity", "in.kiln", "--text", "text.txt", "--token-log", log, "--force"], naming: log)
    }
    try scratch.write("{\"kiln_recipe\":1,\"rules\":[]}", to: "recipe.json")
    try expectRefusal(
      ["quantize", "model", "recipe.json", "--recipe", "recipe.json", "--force"],
      naming: "recipe.json")
    try scratch.copy(Fixture.sharded(), as: "shards")
    let index = "shards/model.safetensors.index.json"
    try expectRefusal(["convert", "shards", index, "--force"], naming: index)
  }

  @Test("a folder that holds the input is not replaced")
  func folderHoldsInput() throws {
    try files.createDirectory(at: scratch.url("folder"), withIntermediateDirectories: false)
    try scratch.link(Fixture.packed(), as: "folder/in.kiln")
    for source in ["folder/in.kiln", "folder", "in.kiln"] {
      // The last one is the same file under another name.
      try expectRefusal(["convert", source, "folder", "--force"], naming: "folder")
    }
  }

  @Test("a link to a folder keeps leading to it, and a link to a file is replaced itself")
  func links() throws {
    try files.createDirectory(at: scratch.url("real"), withIntermediateDirectories: false)
    try scratch.write("precious", to: "file")
    for (link, target) in [("folder", "real"), ("link.kiln", "file")] {
      try files.createSymbolicLink(atPath: scratch.path(link), withDestinationPath: target)
    }
    try expectSuccess(["convert", "in.kiln", "folder", "--force"], in: scratch.folder)
    #expect(try files.destinationOfSymbolicLink(atPath: scratch.path("folder")) == "real")
    #expect(files.fileExists(atPath: scratch.path("real/model.safetensors")))
    try expectSuccess(["convert", "model", "link.kiln", "--force"], in: scratch.folder)
    #expect(try String(contentsOf: scratch.url("file"), encoding: .utf8) == "precious")
  }

  @Test("names as long as names can be")
  func longName() throws {
    let name = String(repeating: "é", count: 125) + ".kiln"
    try expectSuccess(["convert", scratch.path("model"), scratch.path(name)])
    #expect(try scratch.listing().contains(name))
  }

  @Test("a dry run writes nothing")
  func dryRun() throws {
    let before = try contents()
    for command in [
      ["convert", "model", "out.kiln"], ["convert", "in.kiln", "out"],
      ["quantize", "model", "out.kiln", "--scheme", "int4-g32"],
    ] {
      let result = try expectSuccess(command + ["--dry-run", "--json"], in: scratch.folder).json()
      #expect(result["dry_run"] as? Bool == true)
    }
    #expect(try contents() == before)
  }

  @Test(
    "a result that cannot be delivered is a failure",
    arguments: [">/dev/full", ">&-", "<&- >&- 2>&-"])
  func lostResult(_ redirection: String) throws {
    for arguments in [
      ["inspect", "model"], ["inspect", "model", "--json"],
      ["tokenize", "model", "--text", "text.txt"],
      ["perplexity", "model", "--text", "text.txt", "--progress", "plain"],
    ] {
      let result = try Tool.run(arguments, in: scratch.folder, redirection: redirection)
      #expect(result.status == Code.inputOutput, "\(arguments) \(redirection): \(result.errors)")
      if !redirection.contains("2>") {
        #expect(result.messages.first?.contains("standard output") == true)
      }
    }
  }

  @Test("closed descriptors are not taken for outputs")
  func closedDescriptors() throws {
    try Tool.run(
      ["convert", "model", "out.kiln", "--progress", "plain"], in: scratch.folder,
      redirection: "<&- >&- 2>&-")
    #expect(try Data(contentsOf: scratch.url("out.kiln")) == Data(contentsOf: Fixture.packed()))
  }

  @Test("a file size limit is an error, and leaves the old file")
  func sizeLimit() throws {
    try scratch.write("precious", to: "out.kiln")
    let result = try Tool.run(
      ["-c", "ulimit -f 2000; exec \"$0\" convert model out.kiln --force", Tool.binary.path],
      in: scratch.folder, program: "/bin/sh")
    #expect(result.status == Code.inputOutput, "\(result.errors)")
    #expect(try String(contentsOf: scratch.url("out.kiln"), encoding: .utf8) == "precious")
    // Of a folder, too, whichever of its files it is that fails, and at its first byte or later.
    // ThreadSanitizer keeps a file of its own, for which the smaller limits leave no room.
    for blocks in Tool.sanitizer == "tsan" ? [2000] : [1, 8, 2000] {
      let export = try Tool.run(
        ["-c", "ulimit -f \(blocks); exec \"$0\" convert in.kiln out", Tool.binary.path],
        in: scratch.folder, program: "/bin/sh")
      #expect(export.status == Code.inputOutput, "\(export.errors)")
      #expect(try scratch.listing().allSatisfy { !$0.contains("partial") && $0 != "out" })
    }
  }

  @Test("a full disk leaves the old output", .enabled(if: geteuid() == 0, "needs root for a tmpfs"))
  func fullDisk() throws {
    try files.createDirectory(at: scratch.url("disk"), withIntermediateDirectories: false)
    func shell(_ command: String) throws -> Int32 {
      try Tool.run(["-c", command], in: scratch.folder, program: "/bin/sh").status
    }
    // Not every container may mount.
    guard try shell("mount -t tmpfs -o size=4m tmpfs disk") == 0 else { return }
    defer { _ = try? shell("umount disk") }
    for name in ["out.kiln", "out.csv"] { try scratch.write("precious", to: "disk/\(name)") }
    try files.createDirectory(at: scratch.url("disk/out"), withIntermediateDirectories: false)
    try scratch.write("precious", to: "disk/out/file")
    for arguments in [
      ["convert", "model", "disk/out.kiln"], ["convert", "in.kiln", "disk/out"],
    ] {
      let result = try expectFailure(
        arguments + ["--force"], Code.cannotCreate, naming: "disk/out", in: scratch)
      #expect(result.errors.contains("free"))
    }
    // Enough room at the start, but not at the end: somebody else fills the disk.
    #expect(try shell("head -c 3900000 /dev/zero > disk/big") == 0)
    try expectFailure(
      ["perplexity", "model", "--text", "text.txt", "--token-log", "disk/out.csv", "--force"]
        + ["--context", "16", "--stride", "1", "--progress", "none"],
      try shell("head -c 1000000 /dev/zero > disk/rest; true") == 0 ? Code.inputOutput : 0,
      naming: "disk/out.csv", in: scratch)
    #expect(try String(contentsOf: scratch.url("disk/out.csv"), encoding: .utf8) == "precious")
  }
}
