// SPDX-License-Identifier: Apache-2.0

import FuzzSupport
import JSON
import TensorCore

/// The input is a JSON text.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe execute(start, count) { bytes in
    let isAccepted = (try? skip(bytes)) != nil
    let parsed = Result { try JSONValue(parsing: bytes, file: "x.json") }
    require(isAccepted == ((try? parsed.get()) != nil), "skipping and parsing do not agree")
    let value = try parsed.get()
    let text = JSONWriter.compact(value)
    for form in [text, JSONWriter.pretty(value)] {
      // Numbers beyond a Double become strings, so values are compared as texts.
      let again = JSONWriter.compact(try JSONValue(parsing: form, file: "written.json"))
      require(again == text, "what was written reads differently")
    }
  }
}

private func skip(_ bytes: [UInt8]) throws {
  var scanner = JSONScanner(bytes, file: "x.json")
  try scanner.skip()
  try scanner.end()
}
