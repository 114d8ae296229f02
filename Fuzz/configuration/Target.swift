// SPDX-License-Identifier: Apache-2.0

import FuzzSupport
import JSON
import KimiLinear
import TensorCore

/// The input is a `config.json`.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe execute(start, count) { bytes in
    let root = JSONField(
      file: "config.json", root: try JSONValue(parsing: bytes, file: "config.json"))
    let configuration = try ModelConfiguration(root)
    require(configuration.activationNumbersPerToken > 0, "no memory for activations")
    _ = configuration.stateNumbers(tokens: 4096)
    // A small configuration may imply billions of tensors: readers stop at the first that is missing.
    var left = 500
    func visit(_ entry: TensorInventory.Entry) throws {
      require(entry.shape.allSatisfy { $0 >= 0 }, "\(entry.name): shape \(entry.shape)")
      left -= 1
      if left == 0 { throw Enough() }
    }
    do {
      try TensorInventory(configuration).forEach(visit)
    } catch is Enough {}
  }
}

private struct Enough: Error {}
