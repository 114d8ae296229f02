// SPDX-License-Identifier: Apache-2.0

import Quantization
import TensorCore
import Testing

/// Groups that were computed by hand, with the bytes that other tools store for them.
@Suite struct GoldenGroupTests {
  /// A group of 32 that begins with `first` and goes on with zeros.
  private func group(_ first: [Float]) -> [Float] {
    first + [Float](repeating: 0, count: 32 - first.count)
  }

  @Test func `four-bit codes are packed as compressed-tensors packs them`() {
    // absmax 7.5 gives scale 1; -7.5 is halfway and goes to the even -8.
    let rows = QuantizedRows(
      group([-7.5, -7, -1, 0, 1, 2, 6, 7]), columns: 32, .quantized(bits: 4, group: .size(32)))
    #expect(rows.scales == [BFloat16(bitPattern: 0x3F80)])
    #expect(Array(rows.codes[..<8]) == [-8, -7, -1, 0, 1, 2, 6, 7])
    // The word 0xFEA98710, little-endian; zeros are 8 in both halves.
    #expect(rows.codeBytes == [0x10, 0x87, 0xA9, 0xFE] + [UInt8](repeating: 0x88, count: 12))
  }

  @Test func `five-bit codes are a stream of bits`() {
    // absmax 15.5 gives scale 1; stored are 0, 1, 15, 16, 17, 18, 30 and 31, lowest bit first:
    // 00000 10000 11110 00001 10001 01001 01111 11111, then 16 for every 0.
    let rows = QuantizedRows(
      group([-15.5, -15, -1, 0, 1, 2, 14, 15]), columns: 32, .quantized(bits: 5, group: .size(32)))
    #expect(rows.scales == [BFloat16(bitPattern: 0x3F80)])
    let zeros: [UInt8] = [0x10, 0x42, 0x08, 0x21, 0x84]
    #expect(rows.codeBytes == [0x20, 0x3C, 0x18, 0xA5, 0xFF] + zeros + zeros + zeros)
    #expect(Array(rows.codes[..<8]) == [-16, -15, -1, 0, 1, 2, 14, 15])
  }

  @Test func `six-bit codes are a stream of bits`() {
    // absmax 31.5 gives scale 1; stored are 0, 31, 32 and 63 in three bytes, then 32 for every 0.
    let rows = QuantizedRows(
      group([-31.5, -1, 0, 31]), columns: 32, .quantized(bits: 6, group: .size(32)))
    #expect(rows.scales == [BFloat16(bitPattern: 0x3F80)])
    let zeros: [UInt8] = [0x20, 0x08, 0x82]
    #expect(
      rows.codeBytes == [0xC0, 0x07, 0xFE] + [[UInt8]](repeating: zeros, count: 7).flatMap { $0 })
  }

  @Test func `eight-bit codes are packed as compressed-tensors packs them`() {
    let rows = QuantizedRows(
      [-127.5, -1, 0, 127], columns: 4, .quantized(bits: 8, group: .row))
    #expect(rows.scales == [BFloat16(bitPattern: 0x3F80)])
    #expect(rows.codes == [-128, -1, 0, 127])
    // The word 0xFF807F00, little-endian.
    #expect(rows.codeBytes == [0x00, 0x7F, 0x80, 0xFF])
  }

  @Test func `halves are rounded to even codes`() {
    let rows = QuantizedRows(
      [7.5, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 6.5], columns: 8, .quantized(bits: 4, group: .row))
    #expect(rows.codes == [7, 0, 2, 2, 0, -2, -2, 6])
  }

  @Test func `the scale is rounded to BF16 before the codes are computed`() {
    // 1 / 7.5 = 0.13333 lies between the BF16 numbers 0.1328125 and 0.1333008: the nearer is
    // 0x3E09 = 0.1337890625 or 0x3E08 = 0.1328125.
    let rows = QuantizedRows([1, 0.4667], columns: 2, .quantized(bits: 4, group: .row))
    #expect(rows.scales == [BFloat16(bitPattern: 0x3E09)])
    // 0.4667 / 0.1333 would be 3.50025, hence 4; by the stored scale it is 3.4883, hence 3.
    #expect(rows.codes == [7, 3])
  }

  @Test func `a negative scale puts the code -8 on the largest positive element`() {
    let rows = QuantizedRows(
      [8, -7, 3, 1, 0, -2, 5, 6], columns: 8, .quantized(bits: 4, group: .row), .search)
    #expect(rows.scales == [BFloat16(-1)])
    #expect(rows.codes == [-8, 7, -3, -1, 0, 2, -5, -6])
    #expect(rows.statistics.squaredError == 0)
  }

  @Test func `statistics are exact sums`() {
    let rows = QuantizedRows([7.5, 0.5, -3.25, 2], columns: 4, .quantized(bits: 4, group: .row))
    // Codes 7, 0, -3, 2 at scale 1: errors 0.5, 0.5, -0.25 and 0.
    #expect(
      rows.statistics
        == QuantizationStatistics(
          squaredError: 0.5625, squaredNorm: 71.0625, elementCount: 4))
    #expect(rows.statistics.relativeError == (0.5625 / 71.0625).squareRoot())
    let both = rows.statistics + rows.statistics
    #expect(both.squaredError == 1.125 && both.elementCount == 8)
    #expect(QuantizationStatistics().relativeError == 0)
  }
}
