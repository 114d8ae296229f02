// SPDX-License-Identifier: Apache-2.0

import FuzzSupport
import Safetensors
import SystemPackage
import TensorCore

/// The input is the size of the data, in eight bytes, and the JSON text of a header.
///
/// No file has the data, so that sizes up to the largest are reached.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe execute(start, count) { bytes in
    guard let (number, text) = bytes.numberAndRest, let size = Int(exactly: number) else { return }
    let header = try SafetensorsHeader(parsing: text, dataByteCount: size, path: "x.safetensors")
    require(header.entries.reduce(0) { $0 + $1.range.count } == size, "tensors do not cover data")
    for entry in header.entries {
      let byteCount = TensorEncoding.plain(entry.dtype).byteCount(entry.shape)
      require(byteCount == entry.range.count, "a tensor of a wrong size")
    }
    let written = header.encoded()
    require(written.count % 8 == 0, "a header that is not padded")
    let again = try SafetensorsHeader(
      parsing: Array(written[8...]), dataByteCount: size, path: "written.safetensors")
    require(again == header, "what was written reads differently")
  }
}
