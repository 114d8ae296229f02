// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TensorCore
import TestSupport

/// R15: an output that is an input, or exists, by whatever name; inputs never change.
enum OutputOntoInput {
  static let experiment = Experiment(promises: ["R15"], name: "outputs onto inputs", run: run)

  /// Inputs of the working folder: what commands read.
  private static let inputs = [
    "model", "shards", "hub", "in.kiln", "text.txt", "recipe.json", "holder",
  ]

  /// Names that lead to an input, or to something that holds one.
  private static let packedNames = [
    "in.kiln", "./in.kiln", "model/../in.kiln", "hard.kiln", "soft.kiln", "softer.kiln",
    "holder/in.kiln",
    "ABSOLUTE/in.kiln", "softholder/in.kiln",
  ]
  private static let folderNames = [
    "model", "model/", "./model", "model/.", "softmodel", "softmodel/", "ABSOLUTE/model",
    "shards/../model",
  ]
  private static let fileNames = [
    "model/model.safetensors", "model/config.json", "model/tiktoken.model",
    "softmodel/model.safetensors",
    "hardweights", "softweights",
  ]

  private static func prepare(_ folder: TemporaryFolder, _ session: Session) throws {
    for (name, bytes) in Models.files() { try folder.write(bytes, as: "model/\(name)") }
    for (name, bytes) in IndexAttacks.files { try folder.write(bytes, as: "shards/\(name)") }
    for (name, bytes) in IndexAttacks.files {
      try folder.write(bytes, as: "hub/blobs/\(name)")
      try folder.link("hub/snapshots/abc/\(name)", to: "../../blobs/\(name)")
    }
    try folder.write(try Files.read(session.models.packed), as: "in.kiln")
    try folder.write(Models.text, as: "text.txt")
    try folder.write("{\"kiln_recipe\":1,\"rules\":[]}", as: "recipe.json")
    try folder.makeFolder("holder")
    for (name, target) in [
      ("hard.kiln", "in.kiln"), ("holder/in.kiln", "in.kiln"),
      ("hardweights", "model/model.safetensors"),
    ] {
      try FileManager.default.linkItem(
        atPath: folder.path.appending(target).string, toPath: folder.path.appending(name).string)
    }
    for (name, target) in [
      ("soft.kiln", "in.kiln"), ("softer.kiln", "soft.kiln"), ("softmodel", "model"),
      ("softholder", "holder"),
      ("softweights", "model/model.safetensors"),
    ] {
      try folder.link(name, to: target)
    }
  }

  private static func commands(in folder: FilePath) -> [[String]] {
    func absolute(_ name: String) -> String {
      name.replacingOccurrences(of: "ABSOLUTE", with: folder.string)
    }
    let quantize = ["--scheme", "int4-g32"]
    var commands = packedNames.flatMap { name in
      [
        ["quantize", "in.kiln", absolute(name)] + quantize,
        ["perplexity", "in.kiln", "--text", "text.txt", "--token-log", absolute(name)],
      ]
    }
    for name in folderNames + fileNames {
      commands.append(["convert", "model", absolute(name)])
      commands.append(["quantize", "model", absolute(name)] + quantize)
      commands.append(["perplexity", "model", "--text", "text.txt", "--token-log", absolute(name)])
    }
    for name in ["holder", "holder/", "softholder", "."] {
      commands.append(["convert", "in.kiln", name])
    }
    for name in ["holder", "holder/in.kiln"] {
      commands.append(["convert", "holder/in.kiln", name])
    }
    for name in shardNames {
      commands.append(["convert", "shards", "shards/\(name)"])
      commands.append(["convert", "hub/snapshots/abc", "hub/snapshots/abc/\(name)"])
      commands.append(["convert", "hub/snapshots/abc", "hub/blobs/\(name)"])
    }
    commands.append(["quantize", "model", "recipe.json", "--recipe", "recipe.json"])
    commands.append(["perplexity", "model", "--text", "text.txt", "--token-log", "text.txt"])
    commands.append(["convert", "hub/snapshots/abc", "hub/snapshots/abc"])
    return commands
  }

  private static var shardNames: [String] {
    IndexAttacks.files.keys.filter { $0 != "empty.txt" && $0 != "LICENSE" }.sorted()
  }

  private static func run(_ session: Session) throws -> [Ledger] {
    let hashes = Ledger(
      "R15",
      "outputs onto inputs by path, hard link, link, folder, with and without force: same hashes")
    let refused = Ledger("R15", "of these, refused cleanly")
    let existing = Ledger("R15", "outputs that exist, without force: refused, unchanged")
    let number = commands(in: "/").count * 2
    let lanes = try session.lanes("onto") { lane in
      try prepare(TemporaryFolder(at: lane), session)
      return (lane, try digests(lane))
    }
    try session.forEach(number, in: lanes) { stage, index in
      let (lane, before) = stage
      let command = commands(in: lane)[index / 2] + (index % 2 == 0 ? [] : ["--force"])
      let outcome = try session.run(command, in: lane)
      let what = command.joined(separator: " ")
      let after = try digests(lane)
      hashes.record(after == before ? nil : "an input changed", what)
      refused.record(Verdict.problem(outcome, places: [], mustFail: true), what)
      if after != before {
        try Files.empty(lane)
        try prepare(TemporaryFolder(at: lane), session)
      }
    }
    try session.forEach(1, "existing") { lane, _ in
      for scenario in Scenario.all where scenario.isReplacing {
        let stage = try Stage(
          scenario, in: lane, model: session.models.folder, packed: session.models.packed, session)
        let outcome = try session.run(scenario.arguments, in: lane)
        let problem = Verdict.problem(outcome, places: [scenario.output], mustFail: true)
        let isNew = try stage.isNew()
        existing.record(
          try problem ?? stage.problem() ?? (isNew ? "was replaced" : nil), "\(scenario)")
        try stage.reset()
      }
    }
    return [hashes, refused, existing]
  }

  private static func digests(_ lane: FilePath) throws -> [UInt64?] {
    try inputs.map { try Files.digest(lane.appending($0)) } + [try Files.digest(lane)]
  }
}
