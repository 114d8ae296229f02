// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Memory that is filled once, tensors over it, and what else is counted in bytes.
@Suite struct MemoryTests {
  private struct Refusal: Error, Equatable {
    let piece: Int
  }

  @Test(arguments: [1, 3])
  func `every piece is filled once, the last with what is left`(threads: Int) throws {
    let memory = try UnpackedMemory(
      byteCount: 10, pieceByteCount: 4, workers: Workers(count: threads)
    ) { piece, bytes in
      for index in 0..<bytes.byteCount {
        bytes.storeBytes(
          of: UInt8(10 * piece + bytes.byteCount), toByteOffset: index, as: UInt8.self)
      }
    }
    #expect(memory.bytes.copy() == [4, 4, 4, 4, 14, 14, 14, 14, 22, 22])
  }

  @Test func `the first piece that fails is what is told`() throws {
    #expect(throws: Refusal(piece: 2)) {
      try UnpackedMemory(byteCount: 10, pieceByteCount: 1, workers: Workers(count: 3)) { piece, _ in
        if piece >= 2 { throw Refusal(piece: piece) }
      }
    }
    let empty = try UnpackedMemory(byteCount: 0, pieceByteCount: 1, workers: Workers(count: 1)) {
      piece, _ in throw Refusal(piece: piece)
    }
    #expect(empty.bytes.byteCount == 0)
  }

  @Test func `a copy has all bytes, also behind the first mebibyte`() throws {
    let bytes = (0..<(1 << 20) + 77).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 12) }
    let memory = try UnpackedMemory(copying: bytes)
    #expect(memory.bytes.copy() == bytes)
    #expect(try UnpackedMemory(copying: []).byteCount == 0)
  }

  @Test func `a tensor has exactly the bytes that its encoding and shape give`() throws {
    let encoding = TensorEncoding.quantized(bits: 4, group: .size(32))
    let shape = try #require(TensorShape([3, 64]))
    // 96 bytes of codes, and two scales of two bytes for each of three rows.
    for count in [107, 108, 109] {
      let region = MappedRegion(
        memory: try UnpackedMemory(copying: [UInt8](repeating: 0, count: count)))
      let tensor = EncodedTensor(encoding: encoding, shape: shape, region: region)
      #expect((tensor == nil) == (count != 108))
      if let tensor { #expect(tensor.codeByteCount == 96) }
    }
  }

  @Test func `loads, comparisons and zeros of spans of bytes`() {
    let bytes: [UInt8] = [0, 0, 0, 1, 2, 3, 0]
    let span = unsafe bytes.span.bytes
    #expect(span.load(at: 3, as: UInt32.self) == 0x0003_0201)
    #expect(span.load(at: 5, as: UInt16.self) == 3 && span.byte(at: 5) == 3)
    #expect(span.copy(3..<6) == [1, 2, 3] && span.copy(7..<7).isEmpty)
    for start in 0...7 {
      for end in start...7 {
        #expect(span.isZero(start..<end) == bytes[start..<end].allSatisfy { $0 == 0 })
      }
    }
    let zeros = span.extracting(0..<3)
    let isSame = [zeros.equals(span.extracting(0..<3)), zeros.equals(span.extracting(1..<4))]
    #expect(isSame == [true, false])
    #expect([UInt8](littleEndian: [0x0102 as UInt16, 3]) == [2, 1, 3, 0])
  }

  @Test func `a file that became shorter by some bytes of its last page is found at the end`()
    throws
  {
    try TemporaryFolder.with { folder in
      let path = try folder.write([UInt8](repeating: 7, count: 5000), as: "x")
      let file = try MappedFile(path)
      try file.checkSize()
      try folder.extend("x", to: 4999)
      #expect(throws: FileError.shrank(path, expected: 5000, found: 4999)) {
        try file.checkSize()
      }
      // Another file of that name says nothing about this one.
      let name = try folder.write([1], as: "y")
      let other = try MappedFile(name)
      let shorter = try folder.write([UInt8](), as: "z")
      #expect(unsafe rename(shorter.string, name.string) == 0)
      try other.checkSize()
    }
  }

  /// The numbers that the authors' program gives, and others have published.
  @Test func `random numbers are those of SplitMix64`() {
    var random = SplitMix64(seed: 1_234_567)
    #expect(
      (0..<5).map { _ in random.next() } == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
        4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
      ])
    // floor(number * 100 / 2^64) of the same numbers.
    random = SplitMix64(seed: 1_234_567)
    #expect((0..<5).map { _ in random.next(below: 100) } == [35, 17, 53, 24, 88])
  }

  @Test func `threads are at least one and at most sixty-four`() {
    #expect([-1, 0, 1, 64, 65].map { Workers(count: $0).count } == [1, 1, 1, 64, 64])
    #expect(Workers(count: 3).map(0) { $0 } == [])
    #expect(
      Duration(secondsComponent: 3, attosecondsComponent: 500_000_000_000_000_000).inSeconds == 3.5)
  }
}
