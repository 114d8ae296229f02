// SPDX-License-Identifier: Apache-2.0

import Benchmarking
import Kernels
import KimiLinear
import Quantization
import Reports
import TensorCore

/// What `kiln bench` has measured so far.
struct BenchReport {
  /// Spreads beyond this are told: something else was running.
  static let wideSpread = 0.1
  /// What may run beside a measurement without being noticed.
  private static let quietLoad = 0.3

  let model: String
  let threads: Int
  let repeats: Int
  /// Before the start; nil if it is not known.
  let loadAverage: Double?
  var machine: MachineCeilings?
  var prefill: [PrefillBenchmark.Result] = []
  var decode: [DecodeBenchmark.Result] = []
  var kda: [KimiDeltaBenchmark.Result] = []
  var products: [ProductBenchmark.Result] = []
  var jobs: [ConversionBenchmark.Result] = []

  init(model: String, threads: Int, repeats: Int, loadAverage: Double?) {
    self.model = model
    self.threads = threads
    self.repeats = repeats
    self.loadAverage = loadAverage
  }

  /// What to say about a machine that is not quiet.
  var loadWarning: String? {
    guard let loadAverage, loadAverage > Self.quietLoad else { return nil }
    return
      "the load average is \(loadAverage.decimalText(decimals: 2)): what else runs on this machine"
      + " makes everything slower"
  }

  /// A line about measurements whose runs differ too much.
  var spreadWarnings: [String] {
    let wide = measurements.filter { $0.time.spread > Self.wideSpread }
    guard let worst = wide.max(by: { $0.time.spread < $1.time.spread }) else { return [] }
    return [
      "runs of \(wide.count) of \(measurements.count) measurements differ by more than"
        + " \(Quantities.percent(Self.wideSpread)), most those of \(worst.name), by"
        + " \(Quantities.percent(worst.time.spread)): this machine was not quiet"
    ]
  }

  /// A line about a ceiling that was passed.
  var ceilingWarnings: [String] {
    guard let machine else { return [] }
    let rates = prefill.map(\.operationsPerSecond) + products.map(\.operationsPerSecond)
    let share = (rates.max() ?? 0) / machine.product
    guard share > 1 + Self.wideSpread else { return [] }
    return [
      "\(Quantities.percent(share)) of sgemm: OpenBLAS, which runs its kernels for"
        + " \(machine.productKernels) here, is no ceiling; it may be one with OPENBLAS_CORETYPE=HASWELL"
        + " (AVX2) or SKYLAKEX (AVX-512) in the environment"
    ]
  }

  private var measurements: [(name: String, time: Measurement)] {
    prefill.map { ("prefill, \($0.tokens) tokens", $0.time) }
      + decode.map { ("decode, context \($0.context)", $0.time) }
      + kda.map { ("kda \(Self.name(of: $0.kernel)), \($0.tokens) tokens", $0.time) }
      + products.map { ("product \($0.shape) \($0.encoding)", $0.time) }
      + jobs.map { (Self.name(of: $0.job), $0.time) }
  }

  /// How a kernel is called.
  static func name(of kernel: KimiDeltaKernel) -> String {
    switch kernel {
    case .passes: "four passes"
    case .recurrent: "recurrent"
    case .chunkwise(let chunk): "chunk \(chunk)"
    }
  }

  /// How a job is called.
  static func name(of job: ConversionBenchmark.Job) -> String {
    switch job {
    case .copy: "copy"
    case .convert: "convert"
    case .quantize(let scheme, let method): "quantize \(scheme) \(method.rawValue)"
    }
  }
}
