// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import Quantization
import TensorCore

/// The tensors of two checkpoints, matched by their released names.
struct ComparedTensors {
  /// What was matched in spite of its name.
  private(set) var notes: [Verification.Finding] = []
  private var candidates: [Candidate] = []

  /// Runs of elements that are compared together, between two reports of progress.
  private static let runsPerBatch = 32

  /// Matches tensors; none is read.
  ///
  /// - Throws: `CheckpointError` if the tensors of one have no released names.
  init(_ left: Checkpoint, _ right: Checkpoint) throws {
    let (leftTensors, rightTensors) = (try ModelTensors(left), try ModelTensors(right))
    let stored = leftTensors.tensors + rightTensors.tensors.filter { leftTensors[$0.name] == nil }
    let roles = InferredRoles(stored.map(\.name))
    let isCalibrated = (left: left.isRoundedByCalibration, right: right.isRoundedByCalibration)
    candidates = stored.map { tensor in
      Candidate(
        name: tensor.name, role: roles.role(of: tensor.name), left: leftTensors[tensor.name],
        right: rightTensors[tensor.name], isCalibrated: isCalibrated)
    }
    guard left.tiesEmbeddings, right.tiesEmbeddings else { return }
    let head = candidates.firstIndex { $0.name == Self.head && ($0.left == nil || $0.right == nil) }
    guard let head else { return }
    // With tied embeddings a head that is stored all the same says nothing but what the embedding says.
    let lacking = candidates[head].left == nil ? left : right
    candidates[head].left = candidates[head].left ?? leftTensors[Self.embedding]
    candidates[head].right = candidates[head].right ?? rightTensors[Self.embedding]
    notes = [
      Verification.Finding(
        subject: Self.head.text,
        problem: "\(lacking.path) has none, and ties it to the embedding, which is compared instead"
      )
    ]
  }

  private static let head: ExactString = "lm_head.weight"
  private static let embedding: ExactString = "model.embed_tokens.weight"

  /// What a name stands for.
  private struct Candidate {
    let name: ExactString
    let role: TensorRole
    var left: StoredTensor?
    var right: StoredTensor?
    /// Whether error feedback chose codes of a checkpoint.
    let isCalibrated: (left: Bool, right: Bool)

    /// Both sides with their bytes, if there is anything to compare.
    func pair(workers: Workers) throws -> TensorPair? {
      guard let left, let right, Self.isSame(left.shape, right.shape) else { return nil }
      return TensorPair(
        left: try left.load(workers: workers), right: try right.load(workers: workers),
        permitsRounding: role.isQuantizable, isLeftCalibrated: isCalibrated.left,
        isRightCalibrated: isCalibrated.right)
    }

    var byteCount: Int { (left?.byteCount ?? 0) + (right?.byteCount ?? 0) }

    /// Dimensions of 1 do not count: dialects write `A_log` as `[1, 1, H, 1]` and as `[H]`.
    private static func isSame(_ left: TensorShape, _ right: TensorShape) -> Bool {
      left.dimensions.filter { $0 != 1 } == right.dimensions.filter { $0 != 1 }
    }

    func result(_ tally: ComparisonTally, roundable: RoundedSides) -> TensorComparison {
      let verdict: TensorComparison.Verdict =
        switch (left, right) {
        case (nil, _): .missing
        case (_, nil): .extra
        case (let left?, let right?):
          Self.isSame(left.shape, right.shape)
            ? tally.verdict(sameEncoding: left.encoding == right.encoding) : .shape
        }
      var rounded = verdict == .withinBound ? roundable : []
      // Unless they fit BF16 made from codes, weights are what the codes were made from.
      if rounded == [.left, .right], !tally.isRoundedFromCodes {
        rounded = left?.encoding.isQuantized == true ? .left : .right
      }
      return TensorComparison(
        name: name, role: role, left: Self.side(left), right: Self.side(right), verdict: verdict,
        rounded: rounded, tally: tally)
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

  /// Compares all of them.
  ///
  /// - Throws: `KilnFormatError` if a compressed one is damaged, `FileError`.
  func compare(workers: Workers, progress: Progress.Handler) throws -> [TensorComparison] {
    let total = candidates.reduce(0) { $0 + $1.byteCount }
    var tallies = [ComparisonTally](repeating: ComparisonTally(), count: candidates.count)
    var roundable = [RoundedSides](repeating: [], count: candidates.count)
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
        roundable[index] = pair.roundableSides
        for start in stride(from: 0, to: pair.elementCount, by: pair.stepLength) {
          let elements = start..<min(start + pair.stepLength, pair.elementCount)
          runs.append(Run(candidate: index, pair: pair, elements: elements))
          guard runs.count == Self.runsPerBatch else { continue }
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
    return candidates.indices.map { index in
      candidates[index].result(tallies[index], roundable: roundable[index])
    }
  }
}

extension Checkpoint {
  /// Whether its configuration says that the head is the embedding.
  fileprivate var tiesEmbeddings: Bool {
    (try? configuration())?["tie_word_embeddings"].value == .bool(true)
  }
}
