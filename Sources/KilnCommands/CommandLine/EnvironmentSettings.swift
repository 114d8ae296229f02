// SPDX-License-Identifier: Apache-2.0

package import Kernels
import TensorCore

/// What environment variables ask for, checked.
///
/// Variables of Kiln are as good as flags, so a wrong value is an error. Those of OpenMP and OpenBLAS are made for other
/// programs too; a value that Kiln cannot use is ignored with a warning.
package struct EnvironmentSettings: Sendable, Equatable {
  /// Threads to use unless a flag says otherwise, and the variable that says so; nil for all processors.
  package private(set) var threads: Threads?
  /// What could not be used.
  package private(set) var warnings: [String] = []
  /// Variables whose names are almost those of Kiln.
  package private(set) var misspellings: [String] = []

  /// A number of threads.
  package struct Threads: Sendable, Equatable {
    /// How many.
    package let count: Int
    /// The variable.
    package let variable: String
  }

  private static let ownVariables = ["KILN_THREADS", "KILN_INSTRUCTIONS"]
  /// Variables of others that give a number of threads, the first that is set first.
  private static let threadVariables = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]

  /// Reads the variables.
  ///
  /// - Parameters:
  ///   - environment: Where to look.
  ///   - instructions: The instruction sets that this machine has.
  /// - Throws: `UsageError` for a wrong value of a variable of Kiln.
  package init(
    _ environment: Environment = .process,
    instructions: [InstructionSet] = InstructionSet.available
  ) throws {
    misspellings = environment.names.filter { $0.uppercased().hasPrefix("KILN") }.compactMap {
      name in
      guard !Self.ownVariables.contains(name) else { return nil }
      return NearestName.of(name, among: Self.ownVariables).map {
        "\(name) is no variable of Kiln; did you mean \($0)?"
      }
    }
    try Self.checkInstructions(environment, available: instructions)
    try readThreads(environment)
  }

  /// The settings of threads alone: a wrong one is an error, whatever the other variables are.
  ///
  /// - Throws: `UsageError` for a wrong value of a variable of Kiln.
  static func ofThreads(_ environment: Environment) throws -> EnvironmentSettings {
    var settings = EnvironmentSettings()
    try settings.readThreads(environment)
    return settings
  }

  private init() {}

  private mutating func readThreads(_ environment: Environment) throws {
    if let text = environment["KILN_THREADS"] {
      guard let count = Self.count(text) else {
        throw UsageError("KILN_THREADS is \"\(text)\", expected a whole number of at least 1")
      }
      threads = Threads(count: count, variable: "KILN_THREADS")
    }
    for variable in Self.threadVariables where threads == nil {
      guard let text = environment[variable] else { continue }
      // OpenMP permits one number for each level of nesting; the first is that of the outermost loop.
      if let count = Self.count(text.prefix { $0 != "," }) {
        threads = Threads(count: count, variable: variable)
      } else {
        warnings.append(
          "\(variable) is \"\(text)\", which is not a number of threads; it is ignored")
      }
    }
  }

  /// A number of threads; nil for anything else.
  private static func count(_ text: some StringProtocol) -> Int? {
    let digits = text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
    guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let count = Int(String(digits)),
      count > 0
    else { return nil }
    return count
  }

  /// Refuses an instruction set that there is not.
  ///
  /// - Throws: `UsageError`.
  static func checkInstructions(
    _ environment: Environment, available: [InstructionSet] = InstructionSet.available
  ) throws {
    guard let text = environment["KILN_INSTRUCTIONS"] else { return }
    let names = available.map(\.rawValue)
    guard InstructionSet(rawValue: text) != nil else {
      let all = InstructionSet.allCases.map(\.rawValue)
      throw UsageError(
        "KILN_INSTRUCTIONS is \"\(text)\""
          + Suggestion.text(for: text, among: all, of: "the instruction sets are"))
    }
    guard names.contains(text) else {
      throw UsageError(
        "KILN_INSTRUCTIONS is \"\(text)\", which this processor does not have; it has"
          + " \(names.joined(separator: ", "))")
    }
  }
}
