// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import JSON
import Reports
import SystemPackage
import TensorCore

/// The summary of tensors whose architecture Kiln does not know.
struct ContentReport {
  private let inspected: InspectedCheckpoint
  private let summary: ContentSummary

  init(_ inspected: InspectedCheckpoint) {
    self.inspected = inspected
    summary = ContentSummary(inspected.checkpoint.storedTensors)
  }

  /// Totals, then sizes by encoding and by layer.
  var blocks: [Report.Block] {
    [.facts([totals] + (packedIntegers.map { [$0] } ?? [])), .table(encodings)]
      + (summary.byLayer.contains { $0.layer != nil } ? [.table(layers)] : [])
  }

  private var totals: Fact {
    let total = summary.total
    return Fact(
      "tensors",
      "\(Quantities.grouped(total.tensorCount)), \(Quantities.count(total.parameterCount)) parameters,"
        + " \(Quantities.bytes(total.byteCount))",
      [
        "tensor_count": .integer(total.tensorCount),
        "parameters": .integer(total.parameterCount),
        "tensor_bytes": .integer(total.byteCount),
      ])
  }

  /// A remark without which the number of parameters would mislead.
  private var packedIntegers: Fact? {
    guard summary.packedIntegerCount > 0 else { return nil }
    return Fact(
      "",
      "of these, packed integers: \(Quantities.grouped(summary.packedIntegerCount)); an element counts as"
        + " one parameter, and may hold several weights",
      ["packed_integer_tensors": .integer(summary.packedIntegerCount)])
  }

  private var encodings: ReportTable {
    ReportTable(
      "encodings", form: .keyed, rows: summary.byEncoding,
      columns: [.text("encoding", "encoding") { .text($0.encoding) }] + Self.sizes(\.share))
  }

  private var layers: ReportTable {
    ReportTable(
      "by_layer", rows: summary.byLayer,
      columns: [
        .number("layer", "layer") { $0.layer.map { .count($0) } ?? .missing }
      ] + Self.sizes(\.share))
  }

  private static func sizes<Row>(_ share: @escaping (Row) -> TensorShare) -> [TableColumn<Row>] {
    [
      .number("tensors", "tensors") { .count(share($0).tensorCount) },
      .number("parameters", "parameters", importance: 2) { .count(share($0).parameterCount) },
      .number("bytes", "bytes", importance: 1) { .bytes(share($0).byteCount) },
    ]
  }
}

/// What files say about themselves, whatever is in them: shards, the model's family, metadata.
struct OriginReport {
  let inspected: InspectedCheckpoint

  /// Entries of metadata that are shown, bytes of a value, and files whose metadata is told apart.
  private static let (maximumEntries, maximumValueBytes, maximumFiles) = (32, 200, 64)

  /// - Throws: What is wrong with a header that has changed since it was opened.
  func blocks() throws -> [Report.Block] {
    var facts: [Fact] = []
    if let shards = ShardCount(inspected.checkpoint), shards.present < shards.total {
      facts.append(
        Fact(
          "shards", "\(shards.present) of \(shards.total)",
          ["shards": .integer(shards.present), "shard_count": .integer(shards.total)],
          tone: .warning))
    }
    if let family { facts.append(family) }
    if let note = inspected.configuration.flatMap({ QuantizationNote($0) }) {
      facts.append(Fact("quantized", note.text, ["quantization": .string(note.text)]))
    }
    let metadata = try FileMetadata.all(of: inspected.checkpoint)
    facts += Self.lines(of: metadata).enumerated().map { index, line in
      Fact(index == 0 ? "metadata" : "", line)
    }
    let fields = metadata.isEmpty ? [] : [JSONMember(key: "metadata", value: Self.json(metadata))]
    return (facts.isEmpty ? [] : [.facts(facts)]) + (fields.isEmpty ? [] : [.fields(fields)])
  }

  /// The family of a model that is not described by its architecture.
  private var family: Fact? {
    if case .model = inspected.content { return nil }
    guard let configuration = inspected.configuration,
      case .string(let type)? = configuration["model_type"]
    else { return nil }
    var text = type
    if case .array(let names)? = configuration["architectures"],
      case .string(let name)? = names.first
    {
      text += " (\(name))"
    }
    if type != "kimi_linear" { text += ", not of the Kimi Linear family" }
    return Fact("family", text, ["model_type": .string(type)])
  }

  // MARK: - Metadata

  /// A line for each entry; files that say the same are counted.
  private static func lines(of metadata: [FileMetadata]) -> [String] {
    var counts: [String: Int] = [:]
    var order: [String] = []
    for file in metadata {
      for entry in file.entries.prefix(maximumEntries) {
        let line = "\(shortened(entry.key)): \(shortened(entry.value))"
        if counts.updateValue((counts[line] ?? 0) + 1, forKey: line) == nil { order.append(line) }
      }
    }
    let lines = order.prefix(maximumEntries).map { line in
      metadata.count == 1 ? line : "\(line) (\(counts[line] ?? 0) of \(metadata.count) files)"
    }
    let most = metadata.map(\.entries.count).max() ?? 0
    let rest = max(order.count - maximumEntries, most - maximumEntries)
    return lines + (rest > 0 ? ["… and \(Quantities.grouped(rest)) more entries"] : [])
  }

  private static func json(_ metadata: [FileMetadata]) -> JSONValue {
    .array(
      metadata.prefix(maximumFiles).map { file in
        [
          "file": .string(file.file.lastComponent?.string ?? file.file.string),
          "entries": .object(
            file.entries.prefix(maximumEntries).map {
              JSONMember(key: ExactString(shortened($0.key)), value: .string(shortened($0.value)))
            }),
          "entry_count": .integer(file.entries.count),
        ]
      })
  }

  /// A text of which a hostile file could have made a hundred megabytes.
  private static func shortened(_ text: String) -> String {
    guard text.utf8.count > maximumValueBytes else { return text }
    return String(decoding: text.utf8.prefix(maximumValueBytes), as: UTF8.self) + "…"
  }
}
