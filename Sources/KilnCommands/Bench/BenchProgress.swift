// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// Shows which measurement `bench` is at.
final class BenchProgress {
  private let printer: ProgressPrinter
  private let total: Int
  private var begun = 0

  /// - Parameters:
  ///   - printer: Where it is shown.
  ///   - total: Measurements that there will be.
  init(_ printer: ProgressPrinter, total: Int) {
    self.printer = printer
    self.total = total
  }

  /// Says that the next measurement begins.
  func begin(_ detail: String) {
    begun += 1
    go(on: detail)
  }

  /// Says that the measurement goes on with another part.
  func go(on detail: String) {
    printer.show(
      Progress(
        activity: "bench", detail: detail, completed: begun - 1, total: total,
        unit: .measurements))
  }

  /// Removes the bar, and says how long it took.
  func finish() { printer.finish() }
}
