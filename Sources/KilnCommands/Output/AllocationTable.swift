// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import JSON
import Reports
import TensorCore

/// The schemes that were chosen for a size, as text and as JSON.
struct AllocationTable {
  private let allocation: SchemeAllocation

  init(_ allocation: SchemeAllocation) {
    self.allocation = allocation
  }

  /// One line a unit.
  var text: String {
    var table = Table([
      ("part", .left), ("parameters", .right), ("KL of \(SensitivityScan.measured)", .right),
      ("scheme", .left), ("KL expected", .right),
    ])
    for row in allocation.rows {
      table.add([
        row.unit.description, Quantities.grouped(row.parameterCount),
        Quantities.significant(row.measuredLoss), row.encoding.description,
        Quantities.significant(row.expectedLoss),
      ])
    }
    return table.text
  }

  var json: JSONValue {
    .array(
      allocation.rows.map { row in
        [
          "role": .string(row.unit.role.rawValue),
          "layer": row.unit.layer.map { .integer($0) } ?? .null,
          "output": row.unit.output.map { .string($0) } ?? .null,
          "parameters": .integer(row.parameterCount),
          "bytes": .integer(row.byteCount),
          "encoding": .string(row.encoding.description),
          "measured_kl": .number(row.measuredLoss),
          "expected_kl": .number(row.expectedLoss),
        ]
      })
  }
}
