// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import JSON
import Reports
import TensorCore

/// What a calibration measured, as text.
///
/// It is read from the JSON of a header, so that `quantize` and `inspect` show the same. A header may say
/// anything: what is not as expected is left out.
struct CalibrationReport {
  private let calibration: JSONValue

  init(_ calibration: JSONValue) {
    self.calibration = calibration
  }

  /// Lines that tell the sample, the errors of outputs by role, and the experts that saw few tokens.
  var lines: [String] { lines(withErrors: true) }

  /// The same lines, without those that repeat the table shown with them.
  ///
  /// - Parameter withErrors: Whether the errors of outputs are told.
  /// - Returns: The lines; none without a calibration.
  func lines(withErrors: Bool) -> [String] {
    guard case .object = calibration else { return [] }
    return [sample] + (withErrors ? errors : []) + coverage + notes
  }

  private var sample: String {
    let sample = calibration["sample"]
    return "text \(text(calibration["text_checksum"])), \(integer(sample?["windows"])) windows of"
      + " \(integer(sample?["context"])) tokens, seed \(text(sample?["seed"]))"
  }

  private var errors: [String] {
    guard case .object(let roles)? = calibration["output_errors"], !roles.isEmpty else { return [] }
    let parts = roles.prefix(TensorRole.allCases.count).map { role -> String in
      guard case .number(let value) = role.value else { return role.key.text.asOneLine }
      return "\(role.key.text.asOneLine) \(Quantities.significant(value))"
    }
    return ["relative error of outputs: " + parts.joined(separator: ", ")]
  }

  private var coverage: [String] {
    guard case .array(let layers)? = calibration["experts"] else { return [] }
    return layers.prefix(1024).map { layer in
      var counts: [Int] = []
      if case .array(let tokens)? = layer["tokens"] {
        counts = tokens.map { if case .integer(let count) = $0 { count } else { 0 } }
      }
      let bound: Int = if case .integer(let bound)? = layer["scarce_below"] { bound } else { 0 }
      let sorted = counts.sorted()
      let unseen = counts.count { $0 == 0 }
      let scarce = counts.count { $0 > 0 && $0 < bound }
      return "layer \(integer(layer["layer"])): tokens of an expert from \(sorted.first ?? 0) to"
        + " \(sorted.last ?? 0), median \(sorted.isEmpty ? 0 : sorted[sorted.count / 2])"
        + (unseen + scarce == 0
          ? ""
          : "; \(unseen) without any and \(scarce) with fewer than \(bound) rounded by the layer's")
    }
  }

  private var notes: [String] {
    guard case .array(let notes)? = calibration["notes"] else { return [] }
    return notes.prefix(64).map { note in
      "\(text(note["name"])): \(text(note["note"]))"
    }
  }

  private func text(_ value: JSONValue?) -> String {
    if case .string(let text)? = value { text.asOneLine } else { "?" }
  }

  private func integer(_ value: JSONValue?) -> String {
    if case .integer(let number)? = value { String(number) } else { "?" }
  }
}
