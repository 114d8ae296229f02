// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
import JSON
package import TensorCore

/// Whether two checkpoints hold the same model, told tensor by tensor under released names.
///
/// Dialect, sharding and the order of tensors do not matter. Checksums are not looked at: that is what
/// `Verification` does.
package struct ModelComparison: Sendable {
  /// All tensors: those of the first checkpoint in its order, then those that only the other one has.
  package private(set) var tensors: [TensorComparison] = []
  /// Differences of configuration and tokenizer.
  package let fileFindings: [Verification.Finding]

  /// Whether both hold the same model, as far as what is stored in them permits.
  package var isSame: Bool { fileFindings.isEmpty && tensors.allSatisfy(\.verdict.isSame) }

  /// Runs of elements that are compared together, between two reports of progress.
  private static let runsPerBatch = 32

  /// Compares two checkpoints in one pass over both.
  ///
  /// - Parameters:
  ///   - left: The first one.
  ///   - right: The other one.
  ///   - workers: Threads. The result does not depend on their number.
  ///   - progress: Told how far it is, in bytes of both.
  /// - Throws: `CheckpointError` if the tensors of one have no released names, `KilnFormatError` if a
  ///   compressed one is damaged, `FileError` if a file changes meanwhile.
  package init(
    _ left: Checkpoint, _ right: Checkpoint, workers: Workers, progress: Progress.Handler
  ) throws {
    fileFindings = FileComparison(left, right).findings
    let (leftTensors, rightTensors) = (try ModelTensors(left), try ModelTensors(right))
    let isCalibrated = left.calibration != .null || right.calibration != .null
    var candidates = leftTensors.tensors.map {
      Candidate(
        name: $0.name, left: $0, right: rightTensors[$0.name], isCalibrated: isCalibrated)
    }
    for stored in rightTensors.tensors where leftTensors[stored.name] == nil {
      candidates.append(
        Candidate(name: stored.name, left: nil, right: stored, isCalibrated: isCalibrated))
    }
    tensors = try Self.compare(candidates, workers: workers, progress: progress)
    for file in left.dataFiles + right.dataFiles { try file.checkSize() }
  }

  /// What a name stands for.
  private struct Candidate {
    let name: ExactString
    let left: StoredTensor?
    let right: StoredTensor?
    /// Whether a calibration chose the codes of either checkpoint.
    let isCalibrated: Bool

    /// Both sides with their bytes, if there is anything to compare.
    func pair(workers: Workers) throws -> TensorPair? {
      guard let left, let right, Self.isSame(left.shape, right.shape) else { return nil }
      return TensorPair(
        left: try left.load(workers: workers), right: try right.load(workers: workers),
        isCalibrated: isCalibrated)
    }

    var byteCount: Int { (left?.byteCount ?? 0) + (right?.byteCount ?? 0) }

    /// Dimensions of 1 do not count: dialects write `A_log` as `[1, 1, H, 1]` and as `[H]`.
    private static func isSame(_ left: TensorShape, _ right: TensorShape) -> Bool {
      left.dimensions.filter { $0 != 1 } == right.dimensions.filter { $0 != 1 }
    }

    func result(_ tally: ComparisonTally) -> TensorComparison {
      let verdict: TensorComparison.Verdict =
        switch (left, right) {
        case (nil, _): .missing
        case (_, nil): .extra
        case (let left?, let right?):
          Self.isSame(left.shape, right.shape)
            ? tally.verdict(sameEncoding: left.encoding == right.encoding) : .shape
        }
      return TensorComparison(
        name: name, left: Self.side(left), right: Self.side(right), verdict: verdict,
        tally: tally)
    }

    private static func side(_ tensor: StoredTensor?) -> TensorComparison.Side? {
      tensor.map { TensorComparison.Side(encoding: $0.encoding, shape: $0.shape) }
    }
  }

  /// Elements of one pair, compared by one thread.
  private struct Run {
    let candidate: Int
    let pair: TensorPair
    let elements: Range<Int>
  }

  private static func compare(
    _ candidates: [Candidate], workers: Workers, progress: Progress.Handler
  ) throws -> [TensorComparison] {
    let total = candidates.reduce(0) { $0 + $1.byteCount }
    var tallies = [ComparisonTally](repeating: ComparisonTally(), count: candidates.count)
    var completed = 0
    var runs: [Run] = []

    func work() {
      let batch = runs
      let results = workers.map(batch.count) { batch[$0].pair.compare(batch[$0].elements) }
      for (run, result) in zip(batch, results) {
        tallies[run.candidate].append(result)
        run.pair.release(run.elements)
      }
      runs.removeAll(keepingCapacity: true)
    }

    for (index, candidate) in candidates.enumerated() {
      if let pair = try candidate.pair(workers: workers) {
        for start in stride(from: 0, to: pair.elementCount, by: pair.stepLength) {
          let elements = start..<min(start + pair.stepLength, pair.elementCount)
          runs.append(Run(candidate: index, pair: pair, elements: elements))
          guard runs.count == runsPerBatch else { continue }
          work()
          let share = Double(elements.upperBound) / Double(pair.elementCount)
          progress(
            Progress(
              activity: "compare", detail: candidate.name.text,
              completed: completed + Int(Double(candidate.byteCount) * share), total: total,
              unit: .bytes))
        }
      }
      completed += candidate.byteCount
    }
    work()
    progress(
      Progress(
        activity: "compare", detail: candidates.last?.name.text ?? "", completed: total,
        total: total, unit: .bytes))
    return zip(candidates, tallies).map { $0.result($1) }
  }
}
