// SPDX-License-Identifier: Apache-2.0

import Compression
import Glibc
import JSON
import Kernels
import KilnFormat
import KimiLinear
import Reports
import TensorCore

/// What the program is made of and what it finds on this machine: what a report of a problem should have with it.
struct VersionReport {
  /// The version alone.
  static let version = Report([.facts([Fact("kiln", Kiln.version)])])

  private let environment: Environment

  init(_ environment: Environment = .process) {
    self.environment = environment
  }

  /// All of it.
  var report: Report {
    let sets = InstructionSet.available.map(\.rawValue)
    let facts = [
      Fact("kiln", Kiln.version),
      Self.fact("Swift", Self.swiftVersion, key: "swift_version"),
      Self.fact("OpenBLAS", MachineLimits.productLibrary, key: "openblas"),
      Self.fact("OpenBLAS kernels", MachineLimits.productKernels, key: "openblas_kernels"),
      Self.fact("zstd", Self.dotted(BlockCodec.libraryVersion), key: "zstd_version"),
      Self.fact("xxHash", Self.dotted(Checksum.libraryVersion), key: "xxhash_version"),
      Self.fact("processor", Self.processorName, key: "processor"),
      Fact(
        "instructions", sets.joined(separator: ", "),
        ["available_instructions": .array(sets.map { .string($0) })]),
      instructions, threads,
      Fact(
        "memory", Quantities.bytes(PhysicalMemory.byteCount),
        ["memory_bytes": .integer(PhysicalMemory.byteCount)]),
      locale, terminal,
    ]
    return Report([.facts(facts)])
  }

  private static func fact(_ label: String, _ text: String, key: String) -> Fact {
    Fact(label, text, members: [JSONMember(key: ExactString(key), value: .string(text))])
  }

  /// `1.5.4` for 10504.
  private static func dotted(_ version: Int) -> String {
    "\(version / 10_000).\(version / 100 % 100).\(version % 100)"
  }

  private var instructions: Fact {
    let best = InstructionSet.best.rawValue
    do {
      try EnvironmentSettings.checkInstructions(environment)
    } catch {
      return Self.wrong("instructions used", error, key: "instructions")
    }
    let isAsked = environment["KILN_INSTRUCTIONS"] == best
    return Fact(
      "instructions used", best + (isAsked ? " (KILN_INSTRUCTIONS)" : ""),
      ["instructions": .string(best)])
  }

  /// A fact that a wrong variable keeps from being one: every command refuses it.
  private static func wrong(_ label: String, _ error: any Error, key: String) -> Fact {
    let problem = ByteText.shown("\(error)")
    return Fact(
      label, "none: \(problem)",
      members: [
        JSONMember(key: ExactString(key), value: .null),
        JSONMember(key: ExactString("\(key)_problem"), value: .string(problem)),
      ])
  }

  private var threads: Fact {
    let settings: EnvironmentSettings
    do {
      settings = try .ofThreads(environment)
    } catch {
      return Self.wrong("threads", error, key: "threads")
    }
    let asked = settings.threads
    let ignored = settings.warnings.map { "; \(ByteText.shown($0))" }.joined()
    let count = Workers(count: asked?.count ?? Workers.processorCount).count
    return Fact(
      "threads", "\(count) (\(asked?.variable ?? "all processors")\(ignored))",
      ["threads": .integer(count)])
  }

  private var locale: Fact {
    let name = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { environment[$0] }.first
      .map(ByteText.shown)
    return Fact(
      "locale", (name ?? "none") + (Terminal.output.isUTF8 ? "" : ", text on a terminal is ASCII"),
      ["locale": name.map { .string($0) } ?? .null])
  }

  private var terminal: Fact {
    let name = environment["TERM"].map(ByteText.shown) ?? "none"
    return Fact(
      "terminal",
      Terminal.output.isTerminal
        ? "\(name), \(Terminal.output.width) columns" : "\(name), not in use",
      ["terminal": .string(name)])
  }

  private static var processorName: String {
    // A file of the kernel has no size, so it is read to its end.
    guard let stream = unsafe fopen("/proc/cpuinfo", "r") else { return "unknown" }
    defer { unsafe fclose(stream) }
    var line = [CChar](repeating: 0, count: 4096)
    while unsafe fgets(&line, Int32(line.count), stream) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let parts = text.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, parts[0].hasPrefix("model name") else { continue }
      return parts[1].split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
    return "unknown"
  }

  /// The compiler, as far as it tells a program what it is.
  private static var swiftVersion: String {
    #if compiler(>=6.4)
      "6.4 or later"
    #elseif compiler(>=6.3)
      "6.3"
    #else
      "6.2"
    #endif
  }
}
