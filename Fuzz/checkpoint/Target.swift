// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import FuzzSupport
import JSON
import KilnFormat
import KimiLinear
import TensorCore

private let file = MemoryFile()

/// The input is a `config.json`, a byte of 0, and the header and data of a safetensors file.
///
/// The header begins at the 0 and ends with the last `}`; its length is put before it. So tensors get through to
/// the splitting of fused ones and to the comparison with the configuration.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe execute(start, count) { bytes in
    let parts = bytes.parts(2)
    let end = (parts[1].lastIndex(of: UInt8(ascii: "}")) ?? -1) + 1
    file.write([UInt8](littleEndian: [UInt64(end)]) + parts[1])
    let checkpoint = try Checkpoint(file.path)
    let tensors = try ModelTensors(checkpoint)
    let bytesOfParts = tensors.tensors.reduce(0) { $0 + $1.byteCount }
    let bytesStored = checkpoint.storedTensors.reduce(0) { $0 + $1.byteCount }
    require(bytesOfParts == bytesStored, "splitting lost \(bytesStored - bytesOfParts) bytes")
    let root = JSONField(
      file: "config.json", root: try JSONValue(parsing: parts[0], file: "config.json"))
    _ = try TensorInventory(try ModelConfiguration(root)).check(tensors, model: "x")
  }
}
