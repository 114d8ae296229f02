// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Checkpoints
import Inspection
import Quantization
import TensorCore

/// Which tensors `inspect` lists, and in which order.
struct SelectionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Only tensors whose name matches; of several patterns, one.",
      discussion: "With * and ? a pattern for the whole name, else a part of it.",
      valueName: "pattern"))
  var filter: [String] = []

  @Option(
    help: ArgumentHelp(
      "Only tensors of these roles, such as router or routed_expert,kda_gate.",
      valueName: "roles"))
  var role: [String] = []

  @Option(
    help: ArgumentHelp("Only tensors of these layers: 3, 0-2 or 0,3-5.", valueName: "layers"))
  var layer: [String] = []

  @Option(
    name: [.customLong("encoding"), .customLong("dtype")],
    help: ArgumentHelp(
      "Only tensors in these encodings, such as bf16 or int4-g32,f32.", valueName: "encodings"))
  var encoding: [String] = []

  @Option(
    help: ArgumentHelp(
      "Order by a column: \(TensorColumn.allCases.map(\.rawValue).joined(separator: ", ")).",
      discussion:
        "The largest number first, names and layers from the first. A statistic implies --stats.",
      valueName: "column"))
  var sort: String?

  @Flag(help: "Reverse the order.")
  var reverse = false

  @Option(help: ArgumentHelp("List only the first tensors.", valueName: "n"))
  var limit: Int?

  func validate() throws {
    _ = try selection()
    _ = try column()
    if let limit, limit < 1 {
      throw ValidationError("--limit must be at least 1, found \(limit)")
    }
  }

  /// Whether any of these flags asks for a list of tensors.
  var isGiven: Bool {
    sort != nil || reverse || limit != nil || !(filter + role + layer + encoding).isEmpty
  }

  /// The column to order by; nil for the order of the checkpoint.
  ///
  /// - Throws: A `ValidationError` for an unknown one.
  func column() throws -> TensorColumn? {
    guard let sort else { return nil }
    guard let column = TensorColumn(rawValue: sort) else {
      throw unknown(
        "--sort", sort, among: TensorColumn.allCases.map(\.rawValue), kind: "a column")
    }
    return column
  }

  /// The tensors that are asked for.
  ///
  /// - Throws: A `ValidationError` for a bad pattern, an unknown role, layer or encoding.
  func selection() throws -> TensorSelection {
    var selection = TensorSelection()
    for filter in filter {
      guard let read = TensorFilter(filter) else {
        throw ValidationError(
          "--filter \"\(filter)\": \(TensorFilter.problem(in: filter) ?? "bad pattern")")
      }
      selection.filters.append(read)
    }
    for name in values(of: role) {
      guard let role = TensorRole(rawValue: name) else {
        throw unknown(
          "--role", name, among: TensorRole.allCases.map(\.rawValue), kind: "a role")
      }
      selection.roles.insert(role)
    }
    for text in values(of: layer) {
      guard let layers = Self.layers(text) else {
        throw ValidationError("--layer \"\(text)\": expected a layer or a range, such as 3 or 0-2")
      }
      selection.layers.append(layers)
    }
    for name in values(of: encoding) {
      let lowercase = name.lowercased()
      guard TensorEncoding(name: lowercase) != nil else {
        let names = TensorEncoding.schemeNames + DType.allCases.map { $0.rawValue.lowercased() }
        throw ValidationError(
          "--encoding \"\(name)\" is not an encoding"
            + RecipeScheme.suggestion(for: name, among: names))
      }
      selection.encodings.insert(lowercase)
    }
    return selection
  }

  private func values(of lists: [String]) -> [String] {
    lists.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
  }

  private static func layers(_ text: String) -> ClosedRange<Int>? {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { part in
      part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(part) : nil
    }
    guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
      first <= last
    else { return nil }
    return first...last
  }

  private func unknown(
    _ option: String, _ name: String, among names: [String], kind: String
  ) -> ValidationError {
    let hint =
      NearestName.of(name, among: names).map { "did you mean \($0)?" }
      ?? "expected one of \(names.joined(separator: ", "))"
    return ValidationError("\(option) \"\(name)\" is not \(kind); \(hint)")
  }
}

/// What tensors can be ordered by.
enum TensorColumn: String, CaseIterable {
  case name
  case layer
  case role
  case encoding
  case bytes
  case parameters
  case weightError = "weight_error"
  case outputError = "output_error"
  case min
  case max
  case mean
  case std
  case absmax
  case outliers
  case zeros
  case nan
  case inf

  /// The key of the column in a list of tensors.
  var key: String {
    switch self {
    case .outliers: "outlier_share"
    case .zeros: "zero_count"
    case .nan: "nan_count"
    case .inf: "inf_count"
    default: rawValue
    }
  }

  /// Whether values have to be read for it.
  var isStatistic: Bool {
    switch self {
    case .name, .layer, .role, .encoding, .bytes, .parameters, .weightError, .outputError: false
    case .min, .max, .mean, .std, .absmax, .outliers, .zeros, .nan, .inf: true
    }
  }
}
