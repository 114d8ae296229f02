// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Benchmarking
import Checkpoints
import Evaluation
import Kernels
import KimiLinear
import Quantization
import SystemPackage
import TensorCore
import Tokenization

/// `kiln bench`: how fast this machine runs and converts a model, beside what the machine can do.
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure speed beside the ceilings of this machine.",
    discussion: """
      EXAMPLES
        kiln bench model.kiln
        kiln bench model.kiln --only prefill --tokens 512,2048 --text sample.txt
        kiln bench checkpoint/ --only quantize,convert --scratch /dev/shm --json

      Ceilings (products by OpenBLAS, reading, copying) are measured first, in the
      same run. Times are medians; a spread of more than 10 % is told.
      """)

  /// What can be measured.
  enum Section: String, CaseIterable, ExpressibleByArgument {
    case machine, prefill, decode, kda, products, convert, quantize
  }

  @OptionGroup var model: ModelArgument

  @Option(
    help: ArgumentHelp(
      "What to measure, separated by commas; all by default.",
      discussion: Section.allCases.map(\.rawValue).joined(separator: ", "), valueName: "names"),
    transform: CommaSeparated.sections)
  var only: [Section] = Section.allCases

  @Option(
    help: ArgumentHelp("Lengths of the sequences of a prefill.", valueName: "n,n"),
    transform: { try CommaSeparated.counts($0, in: 1...1 << 24) })
  var tokens = [128, 512, 2048, 8192]

  @Option(
    help: ArgumentHelp(
      "Lengths of the contexts behind which tokens are decoded.", valueName: "n,n"),
    transform: { try CommaSeparated.counts($0, in: 0...1 << 24) })
  var context = [0, 4096, 32768]

  @Option(help: ArgumentHelp("Runs of each measurement.", valueName: "n"))
  var repeats = 3

  @Option(
    help: "A text to read in the prefill, UTF-8; seeded random tokens without.",
    completion: .file(), transform: InputPath.read)
  var text: FilePath?

  @Option(
    help: "Where a folder for outputs is made, and removed; $TMPDIR or /tmp by default.",
    completion: .directory, transform: InputPath.read)
  var scratch: FilePath?

  @OptionGroup var headOptions: HeadOptions
  @OptionGroup var kernel: KernelOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...1000).contains(repeats) else {
      throw ValidationError("--repeats must be from 1 to 1000, found \(repeats)")
    }
    // Its tables have nothing in common, so that none of them is the main one.
    if common.resultFormat == .csv, measuredTables.count != 1 {
      throw ValidationError(
        "--format csv prints one table: choose it with --only kda, prefill, decode, products, or"
          + " convert,quantize")
    }
  }

  func run() throws {
    let checkpoint = try Checkpoint(model.model, workers: common.workers)
    let checked = try CheckedCheckpoint(checkpoint, head: headOptions.head)
    common.warn(
      checkpoint.warnings + checked.unknownWarnings + headOptions.warnings(for: [checked]))
    try checked.checkRunnable(workers: common.workers)
    let text = try tokens(of: checked)
    var report = BenchReport(
      model: model.model.string, threads: common.workers.count, repeats: repeats,
      loadAverage: LoadAverage.lastMinute)
    if let warning = report.loadWarning { common.warn([warning]) }
    let progress = BenchProgress(common.progressPrinter(), total: measurementCount(of: checked))
    progress.begin("machine")
    let machine = MachineCeilings(
      workers: common.workers, repeats: repeats,
      availableByteCount: PhysicalMemory.byteCount)
    report.machine = machine
    if only.contains(.kda) { measureKimiDelta(checked, progress, &report) }
    if !only.allSatisfy({ ![.prefill, .decode, .products].contains($0) }) {
      try PackedIntegrity(checkpoint).checkAll(workers: common.workers)
      let model = try Model(checked, workers: common.workers)
      if only.contains(.prefill) { try measurePrefill(model, text, progress, &report) }
      if only.contains(.decode) { try measureDecode(model, machine, progress, &report) }
      if only.contains(.products) { measureProducts(model, progress, &report) }
    }
    if only.contains(.convert) || only.contains(.quantize) {
      try measureJobs(checked, progress, &report)
    }
    progress.finish()
    common.warn(report.spreadWarnings + report.ceilingWarnings)
    try common.print(report.report)
  }

  /// The tables of the result that programs get, by what fills them.
  private var measuredTables: Set<Section> {
    Set(only.filter { $0 != .machine }.map { $0 == .quantize ? .convert : $0 })
  }

  /// How many measurements there will be; all products are one, since only the open model tells how many it has.
  private func measurementCount(of checked: CheckedCheckpoint) -> Int {
    let hasKimiDelta = only.contains(.kda) && checked.configuration.linearAttention != nil
    return 1 + (hasKimiDelta ? Self.kimiDeltaLengths.count * Self.kimiDeltaKernels.count : 0)
      + (only.contains(.prefill) ? tokens.reduce(0) { $0 + Self.batches(of: $1).count } : 0)
      + (only.contains(.decode) ? context.count : 0) + (only.contains(.products) ? 1 : 0)
      + (only.contains(.convert) || only.contains(.quantize) ? 1 : 0)
      + (only.contains(.convert) ? 1 : 0) + (only.contains(.quantize) ? 4 : 0)
  }

  private func tokens(of checked: CheckedCheckpoint) throws -> [Int] {
    guard let text else { return [] }
    return try checked.tokenizer().encode(InputText.read(text), file: text.string)
  }

  // MARK: - Sections

  /// Sequences that are run together: one, and as many as fill a batch.
  private static func batches(of length: Int) -> [Int] {
    let full = max(1, PrefillBenchmark.tokensPerBatch / length)
    return full == 1 ? [1] : [1, full]
  }

  private func measurePrefill(
    _ model: Model, _ text: [Int], _ progress: BenchProgress, _ report: inout BenchReport
  ) throws {
    let benchmark = PrefillBenchmark(
      model, options: Model.Options(kernel: kernel.kernel, workers: common.workers),
      repeats: repeats, text: text)
    for length in tokens {
      for sequences in Self.batches(of: length) {
        progress.begin("prefill, \(length) tokens, \(sequences) at a time")
        report.prefill.append(try benchmark.run(tokens: length, sequences: sequences))
      }
    }
  }

  private func measureDecode(
    _ model: Model, _ machine: MachineCeilings, _ progress: BenchProgress,
    _ report: inout BenchReport
  ) throws {
    let benchmark = DecodeBenchmark(
      model, workers: common.workers, repeats: repeats, machine: machine)
    for length in context {
      progress.begin("decode, context \(length)")
      report.decode.append(try benchmark.run(context: length))
    }
  }

  private static let kimiDeltaLengths = [1, 64, 512, 4096, 65536]
  private static let kimiDeltaKernels =
    [.passes, .recurrent] + [16, 32, 64].map { KimiDeltaKernel.chunkwise(chunk: $0) }

  private func measureKimiDelta(
    _ checked: CheckedCheckpoint, _ progress: BenchProgress, _ report: inout BenchReport
  ) {
    guard let dimensions = checked.configuration.linearAttention else { return }
    let channels = dimensions.headDimension
    let benchmark = KimiDeltaBenchmark(
      shape: KimiDeltaShape(
        heads: dimensions.heads, keyDimension: channels, valueDimension: channels),
      repeats: repeats)
    for length in Self.kimiDeltaLengths {
      for kernel in Self.kimiDeltaKernels {
        progress.begin("kda, \(length) tokens, \(BenchReport.name(of: kernel))")
        report.kda.append(benchmark.run(kernel, tokens: length))
      }
    }
  }

  private func measureProducts(
    _ model: Model, _ progress: BenchProgress, _ report: inout BenchReport
  ) {
    let benchmark = ProductBenchmark(model, workers: common.workers, repeats: repeats)
    for index in 0..<benchmark.count {
      let detail = "products, \(index + 1) of \(benchmark.count)"
      if index == 0 { progress.begin(detail) } else { progress.go(on: detail) }
      report.products.append(benchmark.run(index, tokens: 512))
    }
  }

  private func measureJobs(
    _ checked: CheckedCheckpoint, _ progress: BenchProgress, _ report: inout BenchReport
  ) throws {
    let environment = Environment.process["TMPDIR"].map { FilePath(argument: $0) }
    let benchmark = try ConversionBenchmark(
      checked, in: scratch ?? environment ?? "/tmp", workers: common.workers, repeats: repeats)
    var jobs: [ConversionBenchmark.Job] = [.copy]
    if only.contains(.convert) { jobs.append(.convert) }
    if only.contains(.quantize), !benchmark.isQuantized {
      jobs += [8, 4].flatMap { bits in
        [.roundToNearest, .search].map {
          .quantize(.quantized(bits: bits, group: .size(32)), $0)
        }
      }
    }
    for job in jobs {
      progress.begin(BenchReport.name(of: job))
      report.jobs.append(try benchmark.run(job))
    }
  }
}

/// Lists that users write with commas.
private enum CommaSeparated {
  static func sections(_ text: String) throws -> [Bench.Section] {
    try text.split(separator: ",").map { name in
      guard let section = Bench.Section(rawValue: String(name)) else {
        throw ValidationError(
          "there is no measurement \"\(name)\""
            + Suggestion.text(
              for: String(name), among: Bench.Section.allCases.map(\.rawValue),
              of: "the measurements are"))
      }
      return section
    }
  }

  static func counts(_ text: String, in range: ClosedRange<Int>) throws -> [Int] {
    try text.split(separator: ",").map { digits in
      guard let count = Int(digits), range.contains(count) else {
        throw ValidationError(
          "expected numbers from \(range.lowerBound) to \(range.upperBound), found \"\(digits)\"")
      }
      return count
    }
  }
}
