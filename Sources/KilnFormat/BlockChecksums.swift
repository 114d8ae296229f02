// SPDX-License-Identifier: Apache-2.0

import CXXHash
import TensorCore

/// The checksums of the blocks of one entry, taken while its bytes go by in pieces of any size.
@safe
package final class BlockChecksums {
  private let blockByteCount: Int
  private let state: OpaquePointer?
  private var bytesInBlock = 0
  private var checksums: [UInt64] = []

  package init(blockByteCount: Int) {
    self.blockByteCount = blockByteCount
    unsafe state = XXH3_createState()
    unsafe XXH3_64bits_reset(state)
  }

  deinit {
    unsafe XXH3_freeState(state)
  }

  /// Takes the next bytes.
  package func update(_ bytes: RawSpan) {
    var start = 0
    while start < bytes.byteCount {
      let end = min(start + blockByteCount - bytesInBlock, bytes.byteCount)
      unsafe bytes.extracting(start..<end).withUnsafeBytes { buffer in
        unsafe kiln_xxh3_update(state, buffer.baseAddress, buffer.count)
      }
      bytesInBlock += end - start
      start = end
      if bytesInBlock == blockByteCount { closeBlock() }
    }
  }

  /// The checksums of all blocks; starts anew for the next entry.
  package func finish() -> [UInt64] {
    if bytesInBlock > 0 { closeBlock() }
    // A copy has no room to grow, and there is one for each tensor of a model.
    defer { checksums.removeAll(keepingCapacity: true) }
    return checksums.map { $0 }
  }

  private func closeBlock() {
    unsafe checksums.append(XXH3_64bits_digest(state))
    unsafe XXH3_64bits_reset(state)
    bytesInBlock = 0
  }
}
