// SPDX-License-Identifier: Apache-2.0

import FuzzSupport
import Safetensors
import SystemPackage
import TensorCore

/// The input is a `model.safetensors.index.json`.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe execute(start, count) { bytes in
    let index = try SafetensorsIndex(parsing: bytes, path: "x.index.json")
    require(Set(index.shardOfTensor.values) == Set(index.shards), "other shards than the tensors'")
    let folder: FilePath = "/folder"
    for shard in index.shards {
      let path = folder.appending(shard.text).lexicallyNormalized()
      require(path.starts(with: folder) && path != folder, "\(shard) leaves the folder")
    }
  }
}
