// SPDX-License-Identifier: Apache-2.0

import Benchmarking
import Testing

/// Times of several runs.
@Suite struct MeasurementTests {
  @Test func `the median is the time in the middle, the spread is relative to it`() {
    let odd = Measurement(seconds: [3, 1, 2])
    #expect(odd.median == 2 && odd.fastest == 1 && odd.spread == 1)
    #expect(odd.typicalRun == 2)
    let even = Measurement(seconds: [4, 1, 2, 8])
    #expect(even.median == 3 && even.spread == 7.0 / 3)
  }

  @Test func `runs are counted, and what warms up or cleans up is not timed`() {
    var (runs, cleanUps) = (0, 0)
    let time = Measurement(repeats: 4, warmUps: 2, { runs += 1 }, cleanUp: { cleanUps += 1 })
    #expect(runs == 6 && cleanUps == 6)
    #expect(time.seconds.count == 4)
  }

  @Test func `short work is done often, and cleaned up behind each time`() {
    var (isClean, runs) = (true, 0)
    let time = Measurement.ofShort(repeats: 3, shortest: 1e-4) {
      #expect(isClean)
      isClean = false
      runs += 1
    } cleanUp: {
      isClean = true
    }
    // One to warm up, one to see how long it takes.
    #expect(isClean && runs >= 2 + 3 && (runs - 2) % 3 == 0)
    #expect(time.seconds.count == 3)
  }
}
