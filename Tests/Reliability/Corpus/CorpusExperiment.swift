// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TensorCore
import TestSupport

/// R1, R3 to R6: malformed inputs give clean errors, soon and with little memory.
enum CorpusExperiment {
  static let experiment = Experiment(
    promises: ["R1", "R3", "R4", "R5", "R6"], name: "malformed inputs", run: run)

  /// All malformed inputs.
  static func cases(_ session: Session) throws -> [MalformedCase] {
    let packed = try Files.read(session.models.packed)
    let quantized = try Files.read(session.models.quantized)
    let assembled = try Files.read(session.models.assembled)
    var cases = HeaderAttacks.cases + EntryAttacks.cases + FileAttacks.cases + IndexAttacks.cases
    cases += PathAttacks.cases + ConfigurationAttacks.cases + TokenizerAttacks.cases
    cases += try PackedAttacks.cases(packed: packed, quantized: quantized, assembled: assembled)
    cases += RecipeAttacks.cases + TensorAttacks.cases
    cases += try RandomAttacks.cases(session.random("attacks"), packed: packed)
    return cases
  }

  private struct Ledgers {
    let clean: Ledger
    let memory: Ledger
    let time: Ledger
    let byPromise: [String: Ledger]

    var all: [Ledger] {
      [clean, memory, time] + byPromise.values.sorted { $0.promise < $1.promise }
    }
  }

  private static func run(_ session: Session) throws -> [Ledger] {
    let all = try cases(session)
    let cases = all.enumerated().filter { $0.offset % session.stride == 0 }.map(\.element)
    let ledgers = Ledgers(
      clean: Ledger("R1", "runs of \(cases.count) malformed inputs: clean error, nothing left"),
      memory: Ledger("R3", "peak memory of these runs, 1 GiB (3 GiB for large files)"),
      time: Ledger("R3", "time of these runs, 2 s (20 s for large files)"),
      byPromise: [
        "R4": Ledger("R4", "keys given twice, however written"),
        "R5": Ledger("R5", "paths and links out of the checkpoint or the output"),
        "R6": Ledger("R6", "missing, extra and misshaped tensors"),
      ])
    try session.forEach(cases.count, "corpus") { lane, index in
      let folder = TemporaryFolder(at: lane)
      try attempt(cases[index], number: index, in: folder, session, ledgers)
      try Files.empty(folder.path)
    }
    for (ledger, unit) in [(ledgers.memory, "MiB"), (ledgers.time, "s")] {
      let largest = (ledger.largest ?? 0).formatted(.number.precision(.fractionLength(0...2)))
      ledger.annotate("of small files at most \(largest) \(unit)")
    }
    return ledgers.all
  }

  private static func attempt(
    _ malformed: MalformedCase, number: Int, in folder: TemporaryFolder, _ session: Session,
    _ ledgers: Ledgers
  ) throws {
    try malformed.prepare(folder)
    try folder.makeFolder("out")
    try folder.write(Models.text, as: "text.txt")
    let before = try Files.listing(folder.path)
    for subject in subjects(malformed, number) {
      let arguments = subject.arguments(
        malformed.model, isPacked: malformed.isPacked, recipe: malformed.isRecipe)
      let outcome = try session.run(arguments, in: folder.path)
      let what = "\(malformed.name): kiln \(arguments.joined(separator: " "))"
      var problem = Verdict.problem(
        outcome, places: malformed.places + [malformed.model],
        mustFail: malformed.refusedBy.contains(subject), isVerify: subject == .verify)
      // What was accepted may write its output, and nothing else.
      if outcome.status == 0 { try Files.empty(folder.path.appending("out")) }
      let after = try Files.listing(folder.path)
      if after != before { problem = problem ?? "left \(Set(after).subtracting(before))" }
      ledgers.clean.record(problem, what)
      for promise in malformed.promises { ledgers.byPromise[promise]?.record(problem, what) }
      let memory = outcome.peakMemoryByteCount >> 20
      let limit = malformed.isLarge ? 3 << 10 : 1 << 10
      if !malformed.isLarge {
        ledgers.memory.measure(Double(memory))
        ledgers.time.measure(outcome.seconds)
      }
      ledgers.memory.record(memory > limit ? "\(memory) MiB" : nil, what)
      let isSlow = outcome.seconds > (malformed.isLarge ? 20 : 2)
      ledgers.time.record(isSlow ? "\(outcome.seconds) s" : nil, what)
    }
  }

  private static func subjects(_ malformed: MalformedCase, _ number: Int) -> [Subject] {
    if malformed.isRecipe { return [.quantize] }
    return number % 3 == 0 && !malformed.isLarge ? Subject.allCases : Subject.always
  }
}

/// What a clean end is.
enum Verdict {
  /// Why a run was not clean; nil if it was.
  ///
  /// - Parameters:
  ///   - outcome: How it ended.
  ///   - places: Words of which the error must contain one, if there are any.
  ///   - mustFail: Whether success is wrong.
  ///   - isVerify: Whether the command reports findings on standard output.
  /// - Returns: The problem.
  static func problem(
    _ outcome: ToolProcess.Outcome, places: [String], mustFail: Bool, isVerify: Bool = false
  ) -> String? {
    if outcome.isOverdue { return "hung" }
    if let signal = outcome.signal { return "signal \(signal): \(outcome.errors.prefix(300))" }
    guard outcome.status <= 125 else { return "exit code \(outcome.status): \(outcome.errors)" }
    for line in outcome.errors.split(separator: "\n") where !isPlain(line) || line.utf8.count > 4096
    {
      return "a line of \(line.utf8.count) bytes, or with control characters: \(line.prefix(200))"
    }
    let messages = outcome.messages
    if outcome.status == 0 {
      if mustFail { return "was accepted" }
      return messages.isEmpty ? nil : "success, but said \(messages)"
    }
    guard messages.count == 1 else {
      return "\(messages.count) lines: \(outcome.errors.prefix(300))"
    }
    guard places.isEmpty || places.contains(where: messages[0].contains) else {
      return "names none of \(places): \(messages[0])"
    }
    guard outcome.outputBytes.isEmpty || isVerify else { return "wrote to standard output" }
    let text = outcome.text
    return text.split(separator: "\n").allSatisfy(isPlain) ? nil : "control characters in findings"
  }

  private static func isPlain(_ line: some StringProtocol) -> Bool {
    line.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) }
  }
}
