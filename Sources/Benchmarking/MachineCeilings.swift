// SPDX-License-Identifier: Apache-2.0

package import Kernels
package import TensorCore

/// What this machine reaches where nothing else is to be done: the ceilings that everything is held
/// against, measured in the same run.
///
/// A ceiling is the best of its runs, while what is held against it is a median: a ceiling that is too low
/// would flatter.
package struct MachineCeilings: Sendable {
  /// Reading memory of some size over and over.
  package struct ReadRate: Sendable {
    /// Bytes that all threads together go through.
    package let workingSet: Int
    /// Bytes a second.
    package let bytesPerSecond: Double
  }

  /// Threads that "all" stands for.
  package let threads: Int
  /// Instructions that the C kernels use.
  package let instructions: InstructionSet
  /// The processor whose kernels OpenBLAS chose.
  package let productKernels: String
  /// Floating-point operations a second of `cblas_sgemm` on one thread, best of several sizes.
  package let singleThreadProduct: Double
  /// The same on all threads, each with a product of its own.
  package let product: Double
  /// Reading on all threads, the smallest working set first; the last is far larger than any cache.
  package let reads: [ReadRate]
  /// Bytes a second that are copied in memory on all threads, each counted once.
  package let copyBytesPerSecond: Double

  /// Reading from memory, in bytes a second.
  package var memoryBytesPerSecond: Double { reads.last?.bytesPerSecond ?? 0 }

  /// Sizes of square matrices that are multiplied.
  private static let productSizes = [512, 1024, 1536]
  /// Working sets that are read.
  private static let workingSets = [1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 29]
  /// What is copied: far larger than any cache.
  private static let copiedByteCount = 1 << 28

  /// Measures.
  ///
  /// - Parameters:
  ///   - workers: Threads.
  ///   - repeats: Runs of each.
  ///   - availableByteCount: Memory that may be taken, at most a fourth of which is.
  package init(workers: Workers, repeats: Int, availableByteCount: Int) {
    threads = workers.count
    instructions = .best
    productKernels = MachineLimits.productKernels
    singleThreadProduct = Self.product(workers: Workers(count: 1), repeats: repeats)
    product = Self.product(workers: workers, repeats: repeats)
    let limit = max(availableByteCount / 4, Self.workingSets[0])
    let values = Self.noise(byteCount: min(limit, Self.workingSets.last ?? 0))
    reads = Self.workingSets.filter { $0 <= limit }.map { size in
      ReadRate(
        workingSet: size,
        bytesPerSecond: Self.read(
          values, byteCount: size, workers: workers, repeats: repeats))
    }
    copyBytesPerSecond = Self.copy(
      byteCount: min(Self.copiedByteCount, limit / 2), workers: workers, repeats: repeats)
  }

  /// Bytes a second that all threads read of a working set of some size.
  package static func readRate(workingSet: Int, workers: Workers, repeats: Int) -> ReadRate {
    ReadRate(
      workingSet: workingSet,
      bytesPerSecond: read(
        noise(byteCount: workingSet), byteCount: workingSet, workers: workers, repeats: repeats))
  }

  private static func product(workers: Workers, repeats: Int) -> Double {
    var noise = SeededNoise(seed: 1)
    return productSizes.map { size in
      let left = noise.matrix(rows: size, columns: size)
      let right = noise.matrix(rows: size, columns: size)
      var products = Matrix(rows: workers.count * size, columns: size)
      let time = Measurement.ofShort(repeats: repeats) {
        MachineLimits.multiply(left, right, into: &products, workers: workers)
      }
      let cube = Double(size) * Double(size) * Double(size)
      return 2 * cube * Double(workers.count) / time.fastest
    }.max() ?? 0
  }

  /// Memory that is really there, with numbers that differ.
  private static func noise(byteCount: Int) -> [Float] {
    var noise = SeededNoise(seed: 2)
    let part = noise.floats(max(1, min(byteCount / 4, 1 << 20)), in: -1...1)
    var values: [Float] = []
    values.reserveCapacity(byteCount / 4)
    while values.count < byteCount / 4 { values += part.prefix(byteCount / 4 - values.count) }
    return values
  }

  private static func read(
    _ values: [Float], byteCount: Int, workers: Workers, repeats: Int
  ) -> Double {
    let count = byteCount / MemoryLayout<Float>.stride
    // Threads that start late would count for much in a short run.
    let passes = max(1, (1 << 30) / max(byteCount, 1))
    let time = Measurement(repeats: repeats) {
      _ = MachineLimits.read(
        values, count: count, passes: passes, workers: workers)
    }
    return Double(byteCount * passes) / time.fastest
  }

  private static func copy(byteCount: Int, workers: Workers, repeats: Int) -> Double {
    let columns = 1 << 16
    let rows = max(1, byteCount / (columns * MemoryLayout<Float>.stride))
    let source = Matrix(
      rows: rows, columns: columns, elements: noise(byteCount: rows * columns * 4))
    var target = Matrix(rows: rows, columns: columns)
    let time = Measurement(repeats: repeats) {
      MachineLimits.copy(source, to: &target, workers: workers)
    }
    return Double(rows * columns * MemoryLayout<Float>.stride) / time.fastest
  }
}
