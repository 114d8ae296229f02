// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import FuzzSupport
import JSON
import Quantization
import TensorCore

/// The input is a recipe, a byte of 0 and the name of a tensor.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe execute(start, count) { bytes in
    let parts = bytes.parts(2)
    let recipe = try Recipe(parsing: parts[0], file: "recipe.json")
    let text = JSONWriter.compact(recipe.json)
    require(try Recipe(parsing: text, file: "x") == recipe, "what was written reads differently")
    let name = ExactString(String(decoding: parts[1], as: UTF8.self))
    guard let shape = TensorShape([3, parts[1].count]) else { return }
    for role in [TensorRole(name: name) { $0 % 4 != 3 }, .routedExpert, .router] {
      let decision = recipe.decision(name: name, role: role, shape: shape, source: .plain(.bf16))
      require(decision.encoding.byteCount(shape) != nil, "a decision that does not fit the shape")
    }
  }
}
