// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Synchronization
import SystemPackage
import TensorCore
import TestSupport

/// What all experiments share: the program, the seed, how much to try and where.
final class Session: Sendable {
  /// The program under test.
  let kiln: String
  /// The seed of all random choices.
  let seed: UInt64
  /// Share of the full numbers that is tried.
  let scale: Double
  /// Experiments that run at a time.
  let jobs: Int
  /// A folder of this run.
  let folder: TemporaryFolder
  /// Small packed files and folders that many experiments start from.
  let models: Models

  init(kiln: String, seed: UInt64, scale: Double, jobs: Int, folder: TemporaryFolder) throws {
    self.kiln = kiln
    self.seed = seed
    self.scale = scale
    self.jobs = jobs
    self.folder = folder
    models = try Models(kiln: kiln, folder: folder)
  }

  /// A number of tries, scaled; at least one.
  func scaled(_ count: Int) -> Int {
    max(1, Int((Double(count) * scale).rounded(.up)))
  }

  /// Every how many-th of a series of this length is to be taken.
  var stride: Int { max(1, Int((1 / max(scale, 0.001)).rounded())) }

  /// Random numbers for one purpose, the same in every run with this seed.
  func random(_ purpose: String) -> SeededGenerator {
    let hash = purpose.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01B3
    }
    return SeededGenerator(seed: seed ^ hash)
  }

  /// Runs the program.
  func run(
    _ arguments: [String], in folder: FilePath? = nil, input: String = "", seconds: Double = 20,
    environment: [String: String] = [:], mapsLargeFiles: Bool = false
  ) throws -> ToolProcess.Outcome {
    try start(
      arguments, in: folder, input: input, seconds: seconds, environment: environment,
      mapsLargeFiles: mapsLargeFiles
    ).wait()
  }

  /// Starts the program.
  func start(
    _ arguments: [String], in folder: FilePath? = nil, input: String = "", seconds: Double = 20,
    environment: [String: String] = [:], program: String? = nil, mapsLargeFiles: Bool = false
  ) throws -> ToolProcess {
    var limits = ToolProcess.Limits()
    limits.seconds = seconds
    if mapsLargeFiles { limits.memoryKiB = nil }
    return try ToolProcess(
      program ?? kiln, arguments, input: Array(input.utf8), in: folder?.string,
      environment: environment, limits: limits)
  }

  /// What each of several lanes of work has for its own: a folder, and whatever is made from it.
  ///
  /// - Parameters:
  ///   - name: The beginning of the names of the folders.
  ///   - prepare: Makes what a lane needs in its folder.
  /// - Returns: One thing for each lane.
  /// - Throws: What `prepare` throws.
  func lanes<Lane>(_ name: String, _ prepare: (FilePath) throws -> Lane) throws -> [Lane] {
    try (0..<jobs).map { try prepare(try folder.makeFolder("\(name)-\($0)")) }
  }

  /// Calls `body` for all numbers below a count, as many at a time as there are lanes.
  ///
  /// - Parameters:
  ///   - count: How many numbers.
  ///   - lanes: What each lane has.
  ///   - body: Is given the lane's own and the number.
  /// - Throws: The first error of any lane.
  func forEach<Lane: Sendable>(
    _ count: Int, in lanes: [Lane], _ body: @Sendable (Lane, Int) throws -> Void
  ) throws {
    let next = Atomic(0)
    let failure = Mutex<(any Error)?>(nil)
    DispatchQueue.concurrentPerform(iterations: lanes.count) { lane in
      do {
        while failure.withLock({ $0 == nil }) {
          let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
          guard number < count else { return }
          try body(lanes[lane], number)
        }
      } catch {
        failure.withLock { $0 = $0 ?? error }
      }
    }
    if let error = failure.withLock({ $0 }) { throw error }
  }

  /// The same with lanes that have a folder and nothing else.
  func forEach(
    _ count: Int, _ name: String, _ body: @Sendable (FilePath, Int) throws -> Void
  ) throws {
    try forEach(count, in: try lanes(name) { $0 }, body)
  }
}

/// Why an experiment could not be made.
struct ExperimentError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}
