// SPDX-License-Identifier: Apache-2.0

import Testing

@Suite("Environment variables")
struct EnvironmentTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try scratch.nano()
  }

  private func inspect(
    _ environment: [String: String], _ flags: String...
  ) throws -> Tool.Result {
    // Variables of this process must not decide what the test sees.
    let clean = ["KILN_THREADS": "", "OMP_NUM_THREADS": "", "OPENBLAS_NUM_THREADS": ""]
    return try Tool.run(
      ["inspect", "model"] + flags, in: scratch.folder,
      environment: clean.merging(environment) { $1 })
  }

  @Test(
    "of Kiln are refused like flags if they are wrong",
    arguments: [
      ("KILN_THREADS", "0"), ("KILN_THREADS", "abc"), ("KILN_THREADS", "-2"),
      ("KILN_THREADS", "99999999999999999999"), ("KILN_THREADS", "4,2"), ("KILN_THREADS", "2.5"),
      ("KILN_INSTRUCTIONS", "sse9"), ("KILN_INSTRUCTIONS", "AVX3"),
    ])
  func wrong(_ name: String, _ value: String) throws {
    let result = try inspect([name: value])
    #expect(result.status == Code.usage, "\(result.errors)")
    #expect(result.messages.count == 1)
    #expect(result.messages.first?.contains(name) == true, "\(result.errors)")
    #expect(result.messages.first?.contains("\"\(value)\"") == true, "\(result.errors)")
    #expect(result.output.isEmpty)
  }

  @Test("with names that are almost those of Kiln are warned of")
  func misspelled() throws {
    let result = try inspect(["KILN_THREDS": "1"], "--threads", "1")
    #expect(result.status == 0)
    #expect(
      result.warnings.contains { $0.contains("KILN_THREDS") && $0.contains("KILN_THREADS?") },
      "\(result.errors)")
    #expect(try inspect(["KILN_CACHE": "1", "THREDS": "1"]).warnings.isEmpty)
  }

  @Test("of Kiln do not keep help from being printed")
  func help() throws {
    for arguments in [
      ["--help"], ["--version"], ["--version", "--verbose"], ["inspect", "--help"],
    ] {
      try expectSuccess(arguments, environment: ["KILN_THREADS": "many"])
    }
  }

  @Test(
    "of others are warned of",
    arguments: [
      ("OMP_NUM_THREADS", "0"), ("OMP_NUM_THREADS", "x,2"), ("OPENBLAS_NUM_THREADS", "two"),
    ])
  func others(_ name: String, _ value: String) throws {
    let result = try inspect([name: value])
    #expect(result.status == 0)
    #expect(
      result.warnings.contains { $0.contains(name) && $0.contains(value) }, "\(result.errors)")
    #expect(try inspect([name: value], "--quiet").errors.isEmpty)
    // What is not consulted is nobody's business.
    #expect(try inspect([name: value], "--threads", "1").warnings.isEmpty)
    #expect(try inspect([name: value, "KILN_THREADS": "1"]).warnings.isEmpty)
  }

  @Test("that are empty, or lists of OpenMP, are fine")
  func fine() throws {
    for (name, value) in [
      ("KILN_THREADS", ""), ("KILN_INSTRUCTIONS", ""), ("OMP_NUM_THREADS", "4,2"),
      ("OMP_NUM_THREADS", " 2 "), ("KILN_INSTRUCTIONS", "portable"),
    ] {
      let result = try inspect([name: value])
      #expect(result.status == 0, "\(name)=\(value): \(result.errors)")
      #expect(result.warnings.isEmpty, "\(name)=\(value): \(result.errors)")
    }
  }

  @Test("and flags that ask for more threads than there can be are warned of")
  func tooMany() throws {
    #expect(try inspect(["KILN_THREADS": "1000"]).warnings.contains { $0.contains("1000") })
    #expect(try inspect([:], "--threads", "65").warnings.contains { $0.contains("65") })
    #expect(try inspect([:], "--threads", "64").warnings.isEmpty)
  }
}
