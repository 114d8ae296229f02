// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
package import TensorCore

/// Weights of a model that are NaN or infinite: nothing that is computed with them means anything.
package struct NonFiniteWeights: Sendable, Equatable, CustomStringConvertible {
  /// A tensor that has some.
  package struct Tensor: Sendable, Equatable {
    /// Its name in the released dialect.
    package let name: ExactString
    /// Values that are not a number; of a quantized tensor, scales.
    package let nanCount: Int
    /// Values that are infinite; of a quantized tensor, scales.
    package let infinityCount: Int
  }

  /// The tensors that have some, in the order of the computation.
  package let tensors: [Tensor]

  /// Tensors that are looked at between two reports of progress.
  private static let tensorsAtATime = 64

  /// Which tensors of a model are looked at.
  package enum Scope: Sendable {
    /// Those that no recipe quantizes: norms, gates, routers, convolutions and parameters.
    ///
    /// They are less than a thousandth of a model. What is broken in them may leave the results plausible: an
    /// expert that is never chosen, a state that is always forgotten.
    case small
    /// All that the model runs through.
    case all
  }

  /// Looks for them in the tensors that a model runs through; nil if all weights are finite.
  ///
  /// Vectors and other small tensors come first: where one of them is broken, the large ones are not read.
  ///
  /// - Parameters:
  ///   - source: The model.
  ///   - scope: Which of its tensors are looked at.
  ///   - tokens: Ids whose rows of the embedding count; nil for all rows.
  ///   - workers: Threads.
  ///   - progress: Told how far it is.
  /// - Throws: What is wrong with a compressed block, or `FileError` if there is no memory.
  package init?(
    in source: CheckedCheckpoint, scope: Scope = .all, embedding tokens: [Int]? = nil,
    workers: Workers,
    progress: Progress.Handler = { _ in }
  ) throws {
    let unknown = Set(source.unknownTensors)
    let used = source.tensors.tensors.filter { !unknown.contains($0.name) }
    let small = used.filter { !source.role(of: $0.name).isQuantizable }
    let large =
      switch scope {
      case .small: [StoredTensor]()
      case .all: used.filter { source.role(of: $0.name).isQuantizable }
      }
    let total = (small + large).reduce(0) { $0 + $1.byteCount }
    let rows = source.configuration.tiesEmbeddings ? nil : tokens.map { Set($0).sorted() }
    var completed = 0
    var found: [Tensor] = []
    for group in [small, large] where found.isEmpty {
      for start in stride(from: 0, to: group.count, by: Self.tensorsAtATime) {
        let part = group[start..<min(start + Self.tensorsAtATime, group.count)]
        found += try workers.map(part.count) { offset in
          let stored = part[start + offset]
          let isEmbedding = source.role(of: stored.name) == .embedding
          return Result { try Self.count(stored, rows: isEmbedding ? rows : nil) }
        }.compactMap { try $0.get() }
        completed += part.reduce(0) { $0 + $1.byteCount }
        progress(
          Progress(
            activity: "check", detail: "weights are finite", completed: completed, total: total,
            unit: .bytes))
      }
    }
    guard !found.isEmpty else { return nil }
    tensors = found
  }

  /// What is not finite in a tensor; nil if everything is.
  private static func count(_ stored: StoredTensor, rows: [Int]?) throws -> Tensor? {
    let tensor = try stored.load(workers: Workers(count: 1))
    let bytes = tensor.region.bytes
    var (nan, infinite) = (0, 0)
    func add(_ range: Range<Int>, _ dtype: DType) {
      let count = NonFiniteCount(bytes.extracting(range), as: dtype)
      nan += count.nanCount
      infinite += count.infinityCount
    }
    switch stored.encoding {
    case .plain(let dtype):
      let stride = stored.shape.rows > 0 ? bytes.byteCount / stored.shape.rows : 0
      if let rows {
        for row in rows where row < stored.shape.rows {
          add(row * stride..<(row + 1) * stride, dtype)
        }
      } else {
        add(0..<bytes.byteCount, dtype)
      }
    case .quantized:
      // Codes are always finite.
      let start = bytes.byteCount - stored.encoding.scaleByteCount(stored.shape)
      add(max(start, 0)..<bytes.byteCount, .bf16)
    }
    tensor.region.release()
    guard nan + infinite > 0 else { return nil }
    return Tensor(name: stored.name, nanCount: nan, infinityCount: infinite)
  }

  /// The first of the tensors with its counts, and how many others there are.
  package var description: String {
    guard let first = tensors.first else { return "all weights are finite" }
    let others = tensors.count - 1
    return
      "tensor \"\(first.name)\" has \(first.nanCount) NaN and \(first.infinityCount) infinite values"
      + (others == 0 ? "" : ", and so have \(others) other tensor\(others == 1 ? "" : "s")")
  }
}
