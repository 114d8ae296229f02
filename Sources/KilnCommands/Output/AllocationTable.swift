// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Reports
import TensorCore

extension SchemeAllocation {
  /// The schemes that were chosen for a size, one row a part of the model.
  var table: ReportTable {
    ReportTable(
      "allocation", rows: rows,
      columns: [
        .text("part", "part", for: .people) { .text($0.unit.description) },
        .data("role") { .text($0.unit.role.rawValue) },
        .data("layer") { .count($0.unit.layer) },
        .data("output") { .text($0.unit.output) },
        .number("parameters", "parameters", importance: 3) { .count($0.parameterCount) },
        .data("bytes") { .bytes($0.byteCount) },
        .number(
          "measured_kl", "KL of \(SensitivityScan.measured)", importance: 2, marksLargest: true
        ) { .number($0.measuredLoss) },
        .text("encoding", "scheme") { .text($0.encoding.description) },
        .number("expected_kl", "KL expected", importance: 1, marksLargest: true) {
          .number($0.expectedLoss)
        },
      ])
  }
}

extension UnitSensitivities {
  /// What each part of a model loses, one row a part.
  var table: ReportTable {
    ReportTable(
      "sensitivities", rows: losses,
      columns: [
        .text("part", "part", for: .people) { .text($0.unit.description) },
        .data("role") { .text($0.unit.role.rawValue) },
        .data("layer") { .count($0.unit.layer) },
        .data("output") { .text($0.unit.output) },
        .number("measured_kl", "KL of \(SensitivityScan.measured)", marksLargest: true) {
          .number($0.loss)
        },
      ])
  }
}
