// SPDX-License-Identifier: Apache-2.0

import Benchmarking
import JSON
import Kernels
import KimiLinear
import TensorCore

extension BenchReport {
  /// The document of `--json`; `Docs/CommandLine.md` lists its keys.
  var json: JSONValue {
    [
      "model": .string(model),
      "threads": .integer(threads),
      "repeats": .integer(repeats),
      "load_average": loadAverage.map { .number($0) } ?? .null,
      "machine": machine.map(Self.json) ?? .null,
      "kda": .array(kda.map { json($0) }),
      "prefill": .array(prefill.map { json($0) }),
      "decode": .array(decode.map { Self.json($0) }),
      "products": .array(products.map { json($0) }),
      "jobs": .array(jobs.map { json($0) }),
    ]
  }

  private static func json(_ machine: MachineCeilings) -> JSONValue {
    [
      "instructions": .string(machine.instructions.rawValue),
      "sgemm_kernels": .string(machine.productKernels),
      "sgemm_flops_one_thread": .number(machine.singleThreadProduct),
      "sgemm_flops": .number(machine.product),
      "read": .array(
        machine.reads.map { read in
          [
            "working_set_bytes": .integer(read.workingSet),
            "bytes_per_second": .number(read.bytesPerSecond),
          ]
        }),
      "copy_bytes_per_second": .number(machine.copyBytesPerSecond),
    ]
  }

  private static func members(_ time: Measurement) -> [JSONMember] {
    [
      JSONMember(key: "seconds", value: .number(time.median)),
      JSONMember(key: "spread", value: .number(time.spread)),
      JSONMember(key: "runs", value: .array(time.seconds.map { .number($0) })),
    ]
  }

  private func json(_ result: KimiDeltaBenchmark.Result) -> JSONValue {
    .object(
      [
        JSONMember(key: "kernel", value: .string(Self.name(of: result.kernel))),
        JSONMember(key: "tokens", value: .integer(result.tokens)),
        JSONMember(key: "heads", value: .integer(result.heads)),
        JSONMember(
          key: "seconds_per_token_and_head", value: .number(result.secondsPerTokenAndHead)),
        JSONMember(key: "flop_per_token_and_head", value: .integer(result.operations)),
        JSONMember(key: "flops", value: .number(result.operationsPerSecond)),
        JSONMember(
          key: "share_of_sgemm",
          value: share(result.operationsPerSecond, of: machine?.singleThreadProduct)),
      ] + Self.members(result.time))
  }

  private func json(_ result: PrefillBenchmark.Result) -> JSONValue {
    .object(
      [
        JSONMember(key: "tokens", value: .integer(result.tokens)),
        JSONMember(key: "sequences", value: .integer(result.sequences)),
        JSONMember(key: "tokens_per_second", value: .number(result.tokensPerSecond)),
        JSONMember(
          key: "flop_per_token",
          value: .number(
            result.operations.values.reduce(0, +) / Double(result.tokens * result.sequences))),
        JSONMember(key: "flops", value: .number(result.operationsPerSecond)),
        JSONMember(
          key: "share_of_sgemm",
          value: share(result.operationsPerSecond, of: machine?.product)),
        JSONMember(key: "seconds_by_part", value: Self.json(result.secondsOfParts)),
        JSONMember(key: "seconds_of_kda", value: Self.json(result.secondsOfLinearAttention)),
        JSONMember(key: "flop_by_part", value: Self.json(result.operations)),
        JSONMember(key: "peak_memory_bytes", value: .integer(result.peakMemoryByteCount)),
      ] + Self.members(result.time))
  }

  private static func json(_ result: DecodeBenchmark.Result) -> JSONValue {
    .object(
      [
        JSONMember(key: "context", value: .integer(result.context)),
        JSONMember(key: "tokens_per_run", value: .integer(result.tokensPerRun)),
        JSONMember(key: "tokens_per_second", value: .number(result.tokensPerSecond)),
        JSONMember(key: "seconds_of_fastest", value: .number(result.fastest)),
        JSONMember(key: "seconds_by_part", value: json(result.secondsOfParts)),
        JSONMember(key: "weight_bytes", value: .integer(result.weightByteCount)),
        JSONMember(key: "state_bytes", value: .integer(result.stateByteCount)),
        JSONMember(key: "read_bytes_per_second", value: .number(result.readBytesPerSecond)),
        JSONMember(key: "share_of_bandwidth", value: .number(result.shareOfBound)),
        JSONMember(key: "flop", value: .number(result.operations)),
        JSONMember(key: "peak_memory_bytes", value: .integer(result.peakMemoryByteCount)),
      ] + members(result.time))
  }

  private func json(_ result: ProductBenchmark.Result) -> JSONValue {
    .object(
      [
        JSONMember(
          key: "shape", value: .array(result.shape.dimensions.map { .integer($0) })),
        JSONMember(key: "encoding", value: .string(result.encoding.description)),
        JSONMember(key: "parts", value: .array(result.parts.map { .string($0.rawValue) })),
        JSONMember(key: "matrices", value: .integer(result.count)),
        JSONMember(key: "tokens", value: .integer(result.tokens)),
        JSONMember(key: "flop", value: .number(result.operations)),
        JSONMember(key: "flops", value: .number(result.operationsPerSecond)),
        JSONMember(
          key: "share_of_sgemm",
          value: share(result.operationsPerSecond, of: machine?.product)),
      ] + Self.members(result.time))
  }

  private func json(_ result: ConversionBenchmark.Result) -> JSONValue {
    let copy = jobs.first { $0.job == .copy }?.bytesPerSecond
    return .object(
      [
        JSONMember(key: "job", value: .string(Self.name(of: result.job))),
        JSONMember(key: "source_bytes", value: .integer(result.sourceByteCount)),
        JSONMember(key: "written_bytes", value: .integer(result.writtenByteCount)),
        JSONMember(key: "bytes_per_second", value: .number(result.bytesPerSecond)),
        JSONMember(key: "share_of_copy", value: share(result.bytesPerSecond, of: copy)),
      ] + Self.members(result.time))
  }

  private func share(_ value: Double, of ceiling: Double?) -> JSONValue {
    guard let ceiling, ceiling > 0 else { return .null }
    return .number(value / ceiling)
  }

  private static func json<Part: CaseIterable & RawRepresentable<String> & Hashable>(
    _ parts: [Part: Double]
  ) -> JSONValue {
    .object(
      Part.allCases.compactMap { part in
        parts[part].map { JSONMember(key: ExactString(part.rawValue), value: .number($0)) }
      })
  }
}
