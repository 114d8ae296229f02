// SPDX-License-Identifier: Apache-2.0

import Kernels
import TensorCore
import TestSupport
import Testing

struct NonFiniteCountTests {
  /// Bytes that begin at an odd address.
  private func count(_ bytes: [UInt8], _ dtype: DType, _ set: InstructionSet) -> [Int] {
    let shifted = [0xFF] + bytes
    let span = unsafe shifted.span.bytes.extracting(1..<shifted.count)
    let count = NonFiniteCount(span, as: dtype, on: set)
    return [count.nanCount, count.infinityCount, countZeros(span, on: set)]
  }

  @Test(arguments: InstructionSet.available)
  func `every bit pattern of 16 bits, in many runs`(set: InstructionSet) {
    let patterns = (0..<0x10000).flatMap { UInt16($0).littleEndianBytes }
    #expect(count(patterns, .bf16, set) == [2 * 127, 2, 2])
    #expect(count(patterns, .f16, set) == [2 * 1023, 2, 2])
    #expect(count(patterns + [0xFF], .bf16, set) == [2 * 127, 2, 2])
    #expect(count(patterns, .i16, set)[..<2] == [0, 0])
    #expect(count([], .bf16, set) == [0, 0, 0])
  }

  @Test(arguments: InstructionSet.available)
  func `one odd number anywhere, in pieces of any length`(set: InstructionSet) {
    for length in [1, 15, 16, 17, 255, 4095, 4096, 4097, 9000] {
      for place in [0, length / 2, length - 1] {
        var values = [Float](repeating: -.greatestFiniteMagnitude, count: length)
        values[place] = .nan
        #expect(count([UInt8](littleEndian: values), .f32, set)[..<2] == [1, 0])
        values[place] = -.infinity
        #expect(count([UInt8](littleEndian: values), .f32, set)[..<2] == [0, 1])
      }
    }
  }
}
