// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TensorCore
import TestSupport

/// R8 and R10: `verify` finds all damage, and other commands survive it.
enum DamageExperiment {
  static let found = Experiment(promises: ["R8"], name: "damage that verify finds", run: runVerify)
  static let survived = Experiment(
    promises: ["R10"], name: "damage that is not looked for", run: runOthers)
  static let large = Experiment(
    promises: ["R8", "R10"], name: "damage to a large file", run: runLarge)

  /// The numbers of the reliability page.
  private static let copyCount = 10_000
  private static let usedCopies = 1000
  private static let largeCopies = 2000

  private static func runVerify(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger(
      "R8", "copies of a packed file, \(DamageKind.allCases.count) kinds of damage: verify says 2")
    try session.forEach(session.scaled(copyCount), in: try copies(session, "damage")) {
      files, number in
      try verify(files[number % files.count], number: number, session, ledger)
    }
    return [ledger]
  }

  /// Copies of small packed files for each lane: quantized, plain, compressed, and with assemblies.
  private static func copies(_ session: Session, _ name: String) throws -> [[DamagedFile]] {
    let models = session.models
    let sources = try [models.quantized, models.packed, models.compressed, models.assembled].map {
      try Files.read($0)
    }
    return try session.lanes(name) { lane in
      try sources.enumerated().map {
        try DamagedFile($0.element, at: lane.appending("\($0.offset).kiln"))
      }
    }
  }

  /// One damage, and what verify says.
  private static func verify(
    _ file: DamagedFile, number: Int, _ session: Session, _ ledger: Ledger
  ) throws {
    var random = session.random("damage \(number)")
    let kind = DamageKind.allCases[number / 4 % DamageKind.allCases.count]
    let damage = Damage(kind, of: file.original, &random)
    let outcome = try file.with(damage) {
      try session.run(["verify", file.path.string, "--threads", "1"])
    }
    ledger.record(
      problem(outcome, file),
      "\(number): \(kind.rawValue) at \(damage.range) of \(file.original.count) bytes")
  }

  private static func problem(_ outcome: ToolProcess.Outcome, _ file: DamagedFile) -> String? {
    if let problem = Verdict.problem(
      outcome, places: [file.path.string], mustFail: true, isVerify: true)
    {
      return problem
    }
    return outcome.status == 2 ? nil : "exit code \(outcome.status): \(outcome.errors)"
  }

  // MARK: - Use without a check

  private struct UseLedgers {
    let inspect: Ledger
    let perplexity: Ledger
    let header: Ledger
  }

  private static func runOthers(_ session: Session) throws -> [Ledger] {
    let ledgers = UseLedgers(
      inspect: Ledger("R10", "damaged copies through inspect --stats: no signal, no hang"),
      perplexity: Ledger("R10", "damaged copies through perplexity: no signal, no hang"),
      header: Ledger("R10", "damage to prelude or header: refused by inspect"))
    try session.forEach(session.scaled(usedCopies), in: try copies(session, "use")) {
      files, number in
      try use(files[number % files.count], number: number, session, ledgers)
    }
    return [ledgers.inspect, ledgers.perplexity, ledgers.header]
  }

  private static func use(
    _ file: DamagedFile, number: Int, _ session: Session, _ ledgers: UseLedgers
  ) throws {
    var random = session.random("use \(number)")
    let kind = DamageKind.allCases[number / 4 % DamageKind.allCases.count]
    let damage = Damage(kind, of: file.original, &random)
    let model = file.path.string
    let what = "\(number): \(kind.rawValue) at \(damage.range)"
    let (inspect, perplexity) = try file.with(damage) {
      (
        try session.run(["inspect", model, "--stats"]),
        try session.run(["perplexity", model, "--text", session.models.textFile.string])
      )
    }
    let places = [model]
    ledgers.inspect.record(Verdict.problem(inspect, places: places, mustFail: false), what)
    ledgers.perplexity.record(Verdict.problem(perplexity, places: places, mustFail: false), what)
    if damage.range.lowerBound < dataOffset(file.original) {
      ledgers.header.record(inspect.status == 65 ? nil : "exit code \(inspect.status)", what)
    }
  }

  /// Where prelude and header end.
  static func dataOffset(_ packed: [UInt8]) -> Int {
    packed.word(at: 32)
  }

  // MARK: - A larger model

  private static func runLarge(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger("R8", "copies of the packed mini checkpoint: verify says 2")
    let use = Ledger("R10", "of these, through inspect and perplexity: no signal, no hang")
    guard SharedData.has("checkpoints/mini"), let shared = SharedData.folder else {
      for ledger in [ledger, use] { ledger.annotate("skipped: no shared data") }
      return [ledger, use]
    }
    let packed = session.folder.path.appending("mini.kiln")
    let made = try session.run(
      ["convert", shared.appending("checkpoints/mini").string, packed.string], seconds: 300)
    guard made.status == 0 else { throw ExperimentError(made.errors) }
    let original = try Files.read(packed)
    Files.remove(packed)
    let files = try session.lanes("large") {
      try DamagedFile(original, at: $0.appending("mini.kiln"))
    }
    try session.forEach(session.scaled(largeCopies), in: files) { file, number in
      var random = session.random("large \(number)")
      let kind = largeKinds[number % largeKinds.count]
      let damage = Damage(kind, of: file.original, &random)
      let model = file.path.string
      let what = "\(number): \(kind.rawValue) at \(damage.range)"
      try file.with(damage) {
        let outcome = try session.run(["verify", model, "--threads", "1"])
        ledger.record(problem(outcome, file), what)
        guard number % 20 == 0 else { return }
        for arguments in [
          ["inspect", model], ["perplexity", model, "--text", "-", "--limit-tokens", "64"],
        ] {
          let outcome = try session.run(arguments, input: Models.text)
          use.record(Verdict.problem(outcome, places: [model], mustFail: false), what)
        }
      }
    }
    return [ledger, use]
  }

  private static let largeKinds: [DamageKind] = [
    .flippedBit, .flippedBit, .flippedBits, .burst, .zeroedPage, .zeroedSector, .swappedPages,
    .swappedWords,
    .repeated, .cut, .removed, .inserted, .appendedZeros, .zeroedTail,
  ]
}
