// SPDX-License-Identifier: Apache-2.0

import Calibration
import Conversion
import JSON
import KilnFormat
import TensorCore
import Testing

/// What a header says about a calibration.
@Suite struct CalibrationTextTests {
  private func text(_ value: JSONValue) -> String {
    String(decoding: JSONWriter.compact(value), as: UTF8.self)
  }

  @Test func `the text, the tokens and the rounding are in the header`() throws {
    let sample = try #require(
      CalibrationSample(tokens: [5, 6, 7, 8, 1, 2, 3, 4], context: 4, seed: 9, availableWindows: 3))
    let json = CalibrationText(text: Array("abc".utf8), sample: sample).json
    #expect(json["text_checksum"] == .string(Checksum.text(Checksum.of(Array("abc".utf8)))))
    #expect(json["text_bytes"] == .integer(3))
    #expect(json["sample"]?["windows"] == .integer(2) && json["sample"]?["context"] == .integer(4))
    #expect(json["sample"]?["tokens"] == .integer(8))
    #expect(json["sample"]?["seed"] == .string("0000000000000009"))
    #expect(
      json["sample"]?["checksum"]
        == .string(Checksum.text(Checksum.of(Array("[5, 6, 7, 8, 1, 2, 3, 4]".utf8)))))
    #expect(json["rounding"]?["descent_passes"] == .integer(4))
  }

  @Test func `each layer with experts has the tokens of each`() {
    let coverage = [
      ExpertCoverage(layer: 1, tokenCounts: [3, 0, 7], threshold: 256),
      ExpertCoverage(layer: 26, tokenCounts: [], threshold: 8),
    ]
    #expect(
      text(CalibrationEvidence.json(coverage))
        == #"[{"layer":1,"scarce_below":256,"tokens":[3,0,7]},"#
        + #"{"layer":26,"scarce_below":8,"tokens":[]}]"#)
  }
}
