// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KimiLinear
import Quantization
import TensorCore

/// What it costs to run tokens through a model and to quantize its matrices, in nanoseconds on a nominal machine.
///
/// Progress and the time left are told from it, so only ratios matter; they were measured on one core with AVX-512.
struct CalibrationWork: Sendable {
  /// A multiplication and an addition in a product of matrices.
  private static let multiplyAdd = 0.02
  /// An element whose scale is searched.
  private static let search = 10.0
  /// How often each product runs: to see what a matrix puts out before and after.
  private static let runs = 2.0
  /// Multiply-adds of error feedback for each element and column.
  private static let feedback = 4.0

  private let costs: [ExactString: Double]
  /// Work before each stage: the embedding, each layer, the head; then all of it.
  private let starts: [Double]
  /// Matrices that are quantized in each stage.
  private let counts: [Int]
  /// Work to run the tokens once through each layer as it is.
  let forward: [Double]

  /// - Parameters:
  ///   - source: The model.
  ///   - targets: The matrices that will be quantized.
  ///   - tokenCount: Tokens of the sample.
  init(
    _ source: CheckedCheckpoint, targets: [ExactString: SequentialQuantizer.Target], tokenCount: Int
  ) {
    let layers = source.configuration.layers.count
    let experts = source.configuration.experts
    let chosen = experts.map { Double($0.perToken) / Double(max($0.count, 1)) } ?? 1
    var costs: [ExactString: Double] = [:]
    var stages = [Double](repeating: 0, count: layers + 2)
    var counts = [Int](repeating: 0, count: layers + 2)
    var forward = [Double](repeating: 0, count: layers)
    for stored in source.tensors.tensors where stored.shape.rank == 2 {
      guard let stage = Self.stage(of: stored.name, layers: layers) else { continue }
      let role = source.role(of: stored.name)
      let tokens = Double(tokenCount) * (role == .routedExpert ? chosen : 1)
      let (rows, columns) = (Double(stored.shape.rows), Double(stored.shape.columns))
      var cost = 0.0
      if (1...layers).contains(stage), layers > 0 {
        let product = tokens * rows * columns * Self.multiplyAdd
        forward[stage - 1] += product
        cost += Self.runs * product
      }
      if targets[stored.name] != nil {
        let isLookedUp = stage == 0
        cost += rows * columns * Self.search
        if !isLookedUp {
          cost += (tokens + Self.feedback * rows) * columns * columns * Self.multiplyAdd
        }
        costs[stored.name] = cost
        counts[stage] += 1
      }
      stages[stage] += cost
    }
    self.costs = costs
    self.counts = counts
    self.forward = forward
    starts = stages.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }
  }

  /// All of it.
  var total: Double { starts.last ?? 0 }
  /// Matrices that are quantized.
  var matrixCount: Int { counts.reduce(0, +) }

  /// Work before a stage, where the embedding is 0, layer n is `n + 1`, then the head; all of it behind the last one.
  func start(ofStage stage: Int) -> Double {
    starts.indices.contains(stage) ? starts[stage] : total
  }

  /// Matrices that are quantized in a stage.
  func matrixCount(ofStage stage: Int) -> Int { counts.indices.contains(stage) ? counts[stage] : 0 }

  /// What it costs to quantize a matrix, and to run the tokens through it; 0 for others.
  func cost(of name: ExactString) -> Double { costs[name] ?? 0 }

  private static func stage(of name: ExactString, layers: Int) -> Int? {
    switch name.text {
    case "model.embed_tokens.weight": return 0
    case "lm_head.weight": return layers + 1
    default:
      let parts = name.text.split(separator: ".")
      guard parts.count > 2, parts[1] == "layers", let layer = Int(parts[2]),
        (0..<layers).contains(layer)
      else { return nil }
      return layer + 1
    }
  }
}
