// SPDX-License-Identifier: Apache-2.0

import Checkpoints
package import KimiLinear
package import Quantization
import SystemPackage
import TensorCore

/// The schemes that the parts of a model can have, with their sizes: all that is known before anything is
/// measured.
package struct SchemeChoices: Sendable {
  /// A scheme that a part can have.
  struct Option: Sendable {
    let encoding: TensorEncoding
    /// Bytes of the part.
    let byteCount: Int
    /// Whether the part is kept as it is.
    let isKept: Bool
  }

  /// A part of the model.
  struct Part: Sendable {
    let unit: AllocationUnit
    let tensors: [StoredTensor]
    /// At least one.
    let options: [Option]
    /// Whether the user has chosen the scheme.
    let isFixed: Bool

    var parameterCount: Int { tensors.reduce(0) { $0 + $1.shape.elementCount } }
  }

  /// In the order of the computation, at least one.
  let parts: [Part]
  private let model: String
  private let parameterCount: Int
  /// Bytes of the tensors that are in no part.
  private let otherByteCount: Int

  /// Schemes that a part may have, beside its source's.
  private static let candidates: [TensorEncoding] =
    TensorEncoding.codeWidths.flatMap { bits in
      QuantizationGroup.sizes.map { .quantized(bits: bits, group: .size($0)) }
    } + [.quantized(bits: 8, group: .row)]

  /// Finds the schemes.
  ///
  /// - Parameters:
  ///   - source: The model.
  ///   - overrides: Rules by role, whose schemes are not to be chosen.
  /// - Throws: `CalibrationError.nothingToQuantize` if the model has no part.
  package init(_ source: CheckedCheckpoint, overrides: Recipe) throws(CalibrationError) {
    func decision(_ stored: StoredTensor) -> Decision {
      overrides.decision(
        name: stored.name, role: source.role(of: stored.name), shape: stored.shape,
        source: stored.encoding)
    }
    parts = AllocationUnit.all(of: source).map { unit, tensors in
      let decisions = tensors.map(decision)
      let isFixed = decisions.contains { $0.rule != nil }
      return Part(
        unit: unit, tensors: tensors,
        options: isFixed ? [Self.fixed(tensors, decisions)] : Self.options(tensors),
        isFixed: isFixed)
    }
    model = source.checkpoint.path.string
    guard !parts.isEmpty else { throw .nothingToQuantize(model: model) }
    let all = source.tensors.tensors
    parameterCount = all.reduce(0) { $0 + $1.shape.elementCount }
    let inParts = Set(parts.flatMap(\.tensors).map(\.name))
    otherByteCount = all.reduce(0) { sum, stored in
      inParts.contains(stored.name)
        ? sum : sum + (decision(stored).encoding.byteCount(stored.shape) ?? 0)
    }
  }

  private static func fixed(_ tensors: [StoredTensor], _ decisions: [Decision]) -> Option {
    let byteCount = zip(tensors, decisions).reduce(0) {
      $0 + ($1.1.encoding.byteCount($1.0.shape) ?? 0)
    }
    return Option(
      encoding: decisions[0].encoding, byteCount: byteCount,
      isKept: zip(tensors, decisions).allSatisfy { $0.encoding == $1.encoding })
  }

  private static func options(_ tensors: [StoredTensor]) -> [Option] {
    var options = candidates.filter { encoding in
      tensors.allSatisfy { encoding.fits(columns: $0.shape.columns) }
    }.map { encoding in
      Option(
        encoding: encoding,
        byteCount: tensors.reduce(0) { $0 + (encoding.byteCount($1.shape) ?? 0) }, isKept: false)
    }
    // Kept as it is; all matrices of a unit have one type in any checkpoint that was released.
    if let kept = tensors.first?.encoding, tensors.allSatisfy({ $0.encoding == kept }) {
      options.append(
        Option(
          encoding: kept, byteCount: tensors.reduce(0) { $0 + $1.byteCount }, isKept: true))
    }
    return options
  }

  /// Bytes of all tensors with the smallest schemes.
  package var smallestByteCount: Int { extremes.smallest + otherByteCount }

  /// Bytes that all parts may have together for a size of the model.
  ///
  /// - Parameter bitsPerWeight: What all tensors together may have.
  /// - Returns: Bytes, enough for the smallest scheme of every part.
  /// - Throws: `CalibrationError.unreachableSize`.
  package func byteLimit(_ bitsPerWeight: Double) throws(CalibrationError) -> Int {
    let limit = bitsPerWeight * Double(parameterCount) / 8 - Double(otherByteCount)
    guard limit < Double(Int.max / 2), limit >= Double(extremes.smallest),
      bitsPerWeight <= self.bitsPerWeight(extremes.largest)
    else { throw unreachable(bitsPerWeight) }
    return Int(limit)
  }

  /// The error for a size that no schemes have.
  func unreachable(_ bitsPerWeight: Double) -> CalibrationError {
    .unreachableSize(
      model: model, asked: bitsPerWeight, smallest: self.bitsPerWeight(extremes.smallest),
      largest: self.bitsPerWeight(extremes.largest))
  }

  /// Bytes of all parts with their smallest and with their largest schemes.
  private var extremes: (smallest: Int, largest: Int) {
    parts.reduce((0, 0)) { sum, part in
      let sizes = part.options.map(\.byteCount)
      return (sum.0 + (sizes.min() ?? 0), sum.1 + (sizes.max() ?? 0))
    }
  }

  /// Bits per weight of the model if its parts have so many bytes.
  private func bitsPerWeight(_ byteCount: Int) -> Double {
    Double(byteCount + otherByteCount) * 8 / Double(max(parameterCount, 1))
  }
}
