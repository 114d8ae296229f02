// SPDX-License-Identifier: Apache-2.0

import Compression
import TensorCore
import TestSupport
import Testing

struct BlockCodecTests {
  private static let widths = [1, 2, 4, 8]

  /// Bytes like those of weights: few values of the upper byte, all of the lower ones.
  private func weights(_ byteCount: Int, width: Int, _ generator: inout SeededGenerator) -> [UInt8]
  {
    (0..<byteCount).map { index in
      index % width == width - 1
        ? UInt8.random(in: 60...63, using: &generator)
        : .random(in: .min ... .max, using: &generator)
    }
  }

  private func decompress(
    _ stored: [UInt8], byteCount: Int, width: Int
  ) throws(CompressionError) -> [UInt8] {
    var content = [UInt8](repeating: 0xAA, count: byteCount)
    var span = content.mutableSpan
    var bytes = unsafe span.mutableBytes
    try unsafe BlockCodec(elementByteCount: width).decompress(stored.span.bytes, into: &bytes)
    return content
  }

  @Test("What was compressed comes back, at any size, width and level", arguments: widths)
  func roundTrip(width: Int) throws {
    var generator = SeededGenerator()
    for byteCount in [1, 2, 7, 8, 9, 255, 4096, 65_537, 1 << 20] {
      for level in [1, 3, 19] {
        let content = weights(byteCount, width: width, &generator)
        let codec = BlockCodec(elementByteCount: width)
        guard let stored = unsafe codec.compress(content.span.bytes, level: level) else { continue }
        #expect(stored.count < byteCount)
        #expect(stored.count >= byteCount / BlockCodec.maximumRatio)
        #expect(try decompress(stored, byteCount: byteCount, width: width) == content)
      }
    }
  }

  @Test func planesHelpWhereBytesOfAnElementDiffer() throws {
    var generator = SeededGenerator()
    let content = weights(1 << 20, width: 2, &generator)
    let flat = try #require(
      unsafe BlockCodec(elementByteCount: 1).compress(content.span.bytes, level: 3))
    let split = try #require(
      unsafe BlockCodec(elementByteCount: 2).compress(content.span.bytes, level: 3))
    // Two bits of eight in one byte of two are 5 of 8 bytes; zstd does not quite reach that.
    #expect(split.count < content.count * 68 / 100)
    #expect(split.count < flat.count)
  }

  @Test func randomBytesAreLeftAsTheyAre() {
    var generator = SeededGenerator()
    let content = (0..<(1 << 16)).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    #expect(unsafe BlockCodec(elementByteCount: 2).compress(content.span.bytes, level: 22) == nil)
  }

  @Test func zerosAreStoredInNoLessThanTheBound() throws {
    let content = [UInt8](repeating: 0, count: 1 << 20)
    let stored = try #require(
      unsafe BlockCodec(elementByteCount: 2).compress(content.span.bytes, level: 3))
    #expect(stored.count == 1024)
    #expect(try decompress(stored, byteCount: 1 << 20, width: 2) == content)
  }

  @Test("Damaged blocks are refused or give bytes, and never more than there is room for")
  func damage() throws {
    var generator = SeededGenerator()
    let content = weights(20_000, width: 2, &generator)
    let stored = try #require(
      unsafe BlockCodec(elementByteCount: 2).compress(content.span.bytes, level: 3))
    for _ in 0..<2000 {
      var damaged = stored
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        damaged[Int.random(in: 0..<damaged.count, using: &generator)] ^=
          1 << UInt8.random(in: 0..<8, using: &generator)
      }
      if Bool.random(using: &generator) {
        damaged.removeLast(Int.random(in: 0..<damaged.count, using: &generator))
      }
      _ = try? decompress(damaged, byteCount: content.count, width: 2)
    }
  }

  @Test func framesThatSayTooMuchAreRefused() throws {
    var generator = SeededGenerator()
    let content = weights(5000, width: 1, &generator)
    let stored = try #require(
      unsafe BlockCodec(elementByteCount: 1).compress(content.span.bytes, level: 3))
    // The content size does not fit the block.
    #expect(throws: CompressionError.self) {
      try decompress(stored, byteCount: 5001, width: 1)
    }
    // A second frame, a skippable frame, and no frame at all.
    let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]
    let bad: [[UInt8]] = [
      stored + stored.prefix(20), stored + skippable, skippable + stored, [], [0], [1, 2],
    ]
    for bad in bad {
      #expect(throws: CompressionError.self, "\(bad.count) bytes") {
        try decompress(bad, byteCount: 5000, width: 1)
      }
    }
    // A window descriptor of 16 MiB and a content size of four bytes: magic, descriptor 0x80
    // (no single segment, content size in 4 bytes), window 0x70 (2^24), size 5000, an empty last block.
    let wide: [UInt8] = [
      0x28, 0xB5, 0x2F, 0xFD, 0x80, 0x70, 0x88, 0x13, 0, 0, 0x01, 0, 0,
    ]
    #expect(
      throws: CompressionError.frame("a window of 16777216 bytes, at most 8 MiB are permitted")
    ) {
      try decompress(wide, byteCount: 5000, width: 1)
    }
  }
}
