// SPDX-License-Identifier: Apache-2.0

package import Calibration
package import Checkpoints
package import JSON
import KilnFormat
package import Quantization
package import TensorCore

/// The text that a quantization is calibrated by, and how it is used.
package struct CalibrationText: Sendable {
  /// The tokens that are run.
  package let sample: CalibrationSample
  /// How matrices are rounded against what the tokens give.
  package let rounding: CalibratedRounding
  /// What parts of the model lose, if that was measured before.
  package let sensitivities: UnitSensitivities?
  let checksum: UInt64
  let byteCount: Int

  /// - Parameters:
  ///   - text: The whole text, for its checksum.
  ///   - sample: The tokens that are run.
  ///   - rounding: How matrices are rounded.
  package init(
    text: [UInt8], sample: CalibrationSample, rounding: CalibratedRounding = CalibratedRounding()
  ) {
    self.init(
      checksum: Checksum.of(text), byteCount: text.count, sample: sample, rounding: rounding,
      sensitivities: nil)
  }

  init(
    checksum: UInt64, byteCount: Int, sample: CalibrationSample,
    rounding: CalibratedRounding = CalibratedRounding(), sensitivities: UnitSensitivities?
  ) {
    self.sample = sample
    self.rounding = rounding
    self.sensitivities = sensitivities
    self.checksum = checksum
    self.byteCount = byteCount
  }

  /// What is known before anything is run; part of the header, and of what makes two jobs the same.
  package var json: JSONValue { .object(members) }

  private var members: [JSONMember] {
    [
      JSONMember(key: "text_checksum", value: .string(Checksum.text(checksum))),
      JSONMember(key: "text_bytes", value: .integer(byteCount)),
      JSONMember(
        key: "sample",
        value: [
          "windows": .integer(sample.windowCount),
          "context": .integer(sample.context),
          "tokens": .integer(sample.tokens.count),
          "seed": .string(Checksum.text(sample.seed)),
          "checksum": .string(Checksum.text(Self.checksum(of: sample.tokens))),
        ]),
      JSONMember(
        key: "rounding",
        value: [
          "descent_passes": .integer(rounding.descentPasses)
        ]),
    ]
  }

  /// The checksum of tokens that were drawn.
  static func checksum(of tokens: [Int]) -> UInt64 { Checksum.of("\(tokens)") }

  /// The same with what was measured.
  package func json(with evidence: CalibrationEvidence) -> JSONValue {
    .object(members + evidence.members)
  }
}

/// What calibration measured.
package struct CalibrationEvidence: Sendable {
  /// Most notes that are kept; there is one for each tensor at worst.
  private static let maximumNoteCount = 64

  /// Errors of the outputs, by role.
  package internal(set) var outputErrors: [TensorRole: OutputError] = [:]
  /// Tokens of each expert.
  package var coverage: [ExpertCoverage] = []
  /// Matrices that were rounded in another way than was asked for, and why.
  package internal(set) var notes: [(name: ExactString, note: String)] = []

  /// Nothing yet.
  package init() {}

  /// The relative errors of the outputs as they are in the header.
  package var members: [JSONMember] {
    [
      JSONMember(
        key: "output_errors",
        value: .object(
          TensorRole.allCases.compactMap { role in
            outputErrors[role].map {
              JSONMember(key: ExactString(role.rawValue), value: .number($0.relative))
            }
          })),
      JSONMember(
        key: "experts",
        value: Self.json(coverage)),
      JSONMember(
        key: "notes",
        value: .array(
          notes.prefix(Self.maximumNoteCount).map {
            ["name": .string($0.name.text), "note": .string($0.note)]
          })),
    ]
  }

  /// The tokens of each expert, one object for each layer that has some.
  package static func json(_ coverage: [ExpertCoverage]) -> JSONValue {
    .array(
      coverage.map { layer in
        [
          "layer": .integer(layer.layer),
          "scarce_below": .integer(layer.threshold),
          "tokens": .array(layer.tokenCounts.map { .integer($0) }),
        ]
      })
  }

  /// Bytes that these members take at most.
  static func maximumByteCount(tokens: Int, expertCounts: [Int], longestName: Int) -> Int {
    let digits = String(tokens).utf8.count + 1
    return expertCounts.reduce(0) { $0 + 80 + $1 * digits }
      + maximumNoteCount * (longestName + 160) + 2048
  }
}
