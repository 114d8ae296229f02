// SPDX-License-Identifier: Apache-2.0

import FuzzSupport
import KilnFormat
import TensorCore

private let file = MemoryFile()

/// The first byte says how the rest is to be taken.
///
/// | byte modulo 4 | rest |
/// |---|---|
/// | 0 | a whole file as it is |
/// | 1 | a whole file, whose checksums are made right |
/// | 2, 3 | size of the data in eight bytes, JSON text of the header, for a prelude that is right; what the byte is beyond that are the required features |
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe execute(start, count) { bytes in
    guard let kind = bytes.first else { return }
    let rest = [UInt8](bytes.dropFirst())
    let mapped =
      switch kind % 4 {
      case 0: try file.map(rest)
      case 1: try file.map(sealed(rest))
      default: try wholeFile(rest, features: UInt32(kind / 4 % 8))
      }
    let opened = try KilnFile(mapped: mapped)
    check(opened)
    for tensor in opened.header.tensors
    where tensor.extent.blockByteCounts != nil && tensor.shape.elementCount <= 1 << 16 {
      let loaded = try opened.load(tensor, workers: Workers(count: 1))
      require(loaded.region.byteCount == tensor.encoding.byteCount(tensor.shape), "a wrong size")
    }
  }
}

/// What a header that was accepted promises.
private func check(_ opened: KilnFile) {
  let extents = opened.header.files.map(\.extent) + opened.header.tensors.map(\.extent)
  var end = opened.dataOffset
  for extent in extents {
    require(extent.range.lowerBound >= end, "entries overlap")
    end = extent.range.upperBound
    require(opened.region(of: extent).byteCount == extent.range.count, "a region of a wrong size")
    // Holes of a file that is mostly one are not read through.
    if extent.range.count <= 1 << 16 { _ = opened.isIntact(extent) }
  }
  require(end == opened.file.byteCount, "bytes behind the last entry")
  for tensor in opened.header.tensors {
    let byteCount = tensor.encoding.byteCount(tensor.shape)
    if let blocks = tensor.extent.blockByteCounts {
      require(blocks.reduce(0, +) == tensor.extent.range.count, "\(tensor.name) has wrong blocks")
      require(
        byteCount ?? Int.max <= tensor.extent.range.count * 1024 + 1023, "too good to be true")
    } else {
      require(byteCount == tensor.extent.range.count, "\(tensor.name) has a wrong size")
    }
  }
  let covered = (extents.map(\.range) + opened.paddings).reduce(0) { $0 + $1.count }
  require(opened.dataOffset + covered == opened.file.byteCount, "bytes of no entry and no padding")
}

/// The file with a header checksum and a prelude checksum that match, if it is long enough for them.
private func sealed(_ bytes: [UInt8]) -> [UInt8] {
  guard bytes.count >= 64, let (declared, _) = Array(bytes[24...]).numberAndRest else {
    return bytes
  }
  let length = Int(min(declared, UInt64(bytes.count - 64)))
  return sealed(prelude: bytes[..<48], header: bytes[64..<64 + length]) + bytes[64...]
}

private func sealed(prelude: ArraySlice<UInt8>, header: ArraySlice<UInt8>) -> [UInt8] {
  let start = prelude + [UInt8](littleEndian: [Checksum.of([UInt8](header))])
  return start + [UInt8](littleEndian: [Checksum.of([UInt8](start))])
}

/// A file around a header.
private func wholeFile(_ rest: [UInt8], features: UInt32) throws -> MappedFile {
  guard let (number, text) = rest.numberAndRest else { return try file.map([]) }
  let padding = (4096 - (64 + text.count) % 4096) % 4096
  let header = text + [UInt8](repeating: UInt8(ascii: " "), count: padding)
  // Larger ones cannot be mapped.
  let dataByteCount = Int(number & (1 << 40 - 1))
  let sizes = [UInt64(header.count), UInt64(64 + header.count)]
  let prelude =
    [0x89, 0x4B, 0x49, 0x4C, 0x4E, 0x0D, 0x0A, 0x1A]
    + [UInt8](littleEndian: [1, features, 0, 0] as [UInt32])
    + [UInt8](littleEndian: sizes + [sizes[1] + UInt64(dataByteCount)])
  return try file.map(
    sealed(prelude: prelude[...], header: header[...]) + header,
    byteCount: 64 + header.count + dataByteCount)
}
