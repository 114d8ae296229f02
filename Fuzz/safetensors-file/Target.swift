// SPDX-License-Identifier: Apache-2.0

import FuzzSupport
import Safetensors
import TensorCore

private let file = MemoryFile()

/// The input is a whole file.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe execute(start, count) { bytes in
    let opened = try SafetensorsFile(mapped: try file.map(bytes))
    for entry in opened.header.entries {
      let region = opened.region(of: entry)
      let expected = bytes[opened.dataOffset...].dropFirst(entry.range.lowerBound)
      require(region.bytes.copy().elementsEqual(expected.prefix(region.byteCount)), "other bytes")
    }
  }
}
