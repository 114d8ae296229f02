import Checkpoints
import Glibc
import Kernels
import KimiLinear
import SystemPackage
import TensorCore

@main struct Main {
  static func allocations() -> Int { 
    0 }
  static func main() throws {
    let args = CommandLine.arguments
    let model = try Model(try CheckedCheckpoint(try Checkpoint(FilePath(args[1]))))
    let threads = Int(args[2])!
    let contexts = args.dropFirst(3).map { Int($0)! }
    let limit = (contexts.max() ?? 0) + 400
    let decoder = try Decoder(model, options: .init(workers: Workers(count: threads), contextLimit: limit))
    let clock = ContinuousClock()
    for c in contexts {
      let t0 = clock.now
      if c > 0 { try decoder.fillSynthetically(tokens: c, seed: 1) }
      let fill = (clock.now - t0).inSeconds
      var best = 1e9
      var all: [Double] = []
      let n = c > 100_000 ? 12 : 200
      let before = allocations()
      for i in 0..<n {
        let t = clock.now
        try decoder.step((i * 37 + 11) % model.configuration.vocabularySize)
        let s = (clock.now - t).inSeconds
        all.append(s); best = min(best, s)
      }
      let after = allocations()
      all.sort()
      let m = all[n / 2]
      print("context \(c) threads \(threads): median \(Int(m * 1e7) / 10) us, best \(Int(best * 1e7)/10) us, \(Int(1 / m)) tok/s; active \(decoder.activeBytes / 1000) kB cache \(decoder.cacheBytes / 1000) kB -> \(Int(Double(decoder.activeBytes) / m / 1e8))/10 GB/s weights, with cache \(Int(Double(decoder.activeBytes + decoder.cacheBytes) / m / 1e8))/10; heap growth \(after - before); fill \(fill)")
    }
  }
}
