// SPDX-License-Identifier: Apache-2.0

import Quantization
import TensorCore
import TestSupport
import Testing

/// Choices that fit a size and lose least.
@Suite struct BitAllocationTests {
  private func choice(_ byteCount: Int, _ loss: Double) -> BitAllocation.Choice {
    BitAllocation.Choice(encoding: .plain(.bf16), byteCount: byteCount, loss: loss)
  }

  @Test func `bytes go where they save most`() throws {
    let parts = [[choice(10, 8), choice(20, 1)], [choice(10, 3), choice(20, 1)]]
    let allocation = try #require(BitAllocation(parts, limit: 30))
    #expect(allocation.choices == [parts[0][1], parts[1][0]])
    #expect(try #require(BitAllocation(parts, limit: 40)).loss == 2)
    #expect(BitAllocation(parts, limit: 19) == nil)
  }

  @Test func `a step that pays little does not hide one that pays much`() throws {
    let part = [choice(10, 10), choice(20, 9.9), choice(30, 0)]
    #expect(try #require(BitAllocation([part], limit: 30)).choices == [part[2]])
    #expect(try #require(BitAllocation([part], limit: 29)).choices == [part[0]])
  }

  @Test func `small parts that pay more do not keep out a large one that pays most in all`() throws
  {
    let large = [choice(10, 8), choice(20, 0)]
    let small = [choice(1, 2), choice(2, 1)]
    let allocation = try #require(BitAllocation([large, small], limit: 21))
    #expect(allocation.choices == [large[1], small[0]])
  }

  @Test func `no limit is passed, and without one nothing more is lost than must be`() throws {
    var random = SeededGenerator(seed: 4)
    for _ in 0..<20 {
      let parts = (0..<4).map { _ in
        (0..<4).map { _ in
          choice(Int.random(in: 1...20, using: &random), Double.random(in: 0...1, using: &random))
        }
      }
      for limit in stride(from: 4, through: 80, by: 7) {
        if let allocation = BitAllocation(parts, limit: limit) {
          #expect(allocation.byteCount <= limit)
        } else {
          #expect(parts.reduce(0) { $0 + ($1.map(\.byteCount).min() ?? 0) } > limit)
        }
      }
      let least = parts.reduce(0.0) { $0 + ($1.map(\.loss).min() ?? 0) }
      #expect(try #require(BitAllocation(parts, limit: 80)).loss == least)
    }
  }
}
