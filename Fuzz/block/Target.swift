// SPDX-License-Identifier: Apache-2.0

import Compression
import FuzzSupport
import TensorCore

/// Bytes behind a block's content, which must stay as they are.
private let guardByteCount = 64

/// One block of a compressed tensor: the width of its elements, the size of its content in 17 bits of three bytes, and
/// its stored bytes.
///
/// Widths from 128 on ask for the other way: what follows is compressed and must come back.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe execute(start, count) { bytes in
    guard bytes.count >= 4 else { return }
    let codec = BlockCodec(elementByteCount: Int(bytes[0] % 9))
    let rest = [UInt8](bytes.dropFirst(4))
    guard bytes[0] < 128 else {
      guard let stored = unsafe codec.compress(rest.span.bytes, level: 1 + Int(bytes[1] % 3)) else {
        return
      }
      require(stored.count < rest.count, "not shorter")
      require(stored.count >= rest.count / BlockCodec.maximumRatio, "shorter than permitted")
      require(decompress(stored, byteCount: rest.count, codec) == rest, "other bytes")
      return
    }
    let byteCount = Int(bytes[1]) | Int(bytes[2]) << 8 | Int(bytes[3] % 2) << 16
    _ = decompress(rest, byteCount: byteCount, codec)
  }
}

/// The content; nil if the block is refused.
private func decompress(_ stored: [UInt8], byteCount: Int, _ codec: BlockCodec) -> [UInt8]? {
  var content = [UInt8](repeating: 0xA5, count: byteCount + guardByteCount)
  var isAccepted = true
  do {
    var span = content.mutableSpan
    var bytes = unsafe span.mutableBytes
    var block = unsafe bytes.extracting(0..<byteCount)
    do throws(CompressionError) {
      try unsafe codec.decompress(stored.span.bytes, into: &block)
    } catch {
      require(!error.description.isEmpty, "an error without words")
      isAccepted = false
    }
  }
  require(content.suffix(guardByteCount).allSatisfy { $0 == 0xA5 }, "bytes behind the block")
  return isAccepted ? [UInt8](content.prefix(byteCount)) : nil
}
