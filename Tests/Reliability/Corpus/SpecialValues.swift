// SPDX-License-Identifier: Apache-2.0

import Foundation
import KilnFormat
import Safetensors
import SystemPackage
import TensorCore
import TestSupport

/// R7: NaN and infinities are kept and told, and no scale is ever one.
enum SpecialValues {
  static let experiment = Experiment(promises: ["R7"], name: "special values", run: run)

  private static func run(_ session: Session) throws -> [Ledger] {
    let exact = Ledger("R7", "NaN, infinities and subnormals bit-exact through convert and back")
    let told = Ledger("R7", "the same, told by quantize with tensor and count")
    let scales = Ledger(
      "R7", "scales of extreme tensors, all schemes, two methods: finite, not 0")
    let all = patterns
    try session.forEach(all.count, "special") { lane, index in
      try attempt(all[index], session, TemporaryFolder(at: lane), exact, told)
      try Files.empty(lane)
    }
    try extremes(session, scales)
    return [exact, told, scales]
  }

  /// A value in the bits of one type.
  private struct Pattern: Sendable {
    let name: String
    let dtype: DType
    let bytes: [UInt8]
    let nanCount: Int
    let infinityCount: Int
  }

  private static var patterns: [Pattern] {
    func make(_ name: String, _ bits: [UInt32], nan: Int, infinity: Int) -> [Pattern] {
      // The same sign, exponent and payload in all three types, as far as they fit.
      [
        Pattern(
          name: name, dtype: .bf16,
          bytes: bits.flatMap { UInt16(truncatingIfNeeded: $0 >> 16).littleEndianBytes },
          nanCount: nan, infinityCount: infinity),
        Pattern(
          name: name, dtype: .f16, bytes: bits.flatMap { half($0).littleEndianBytes },
          nanCount: nan,
          infinityCount: infinity),
        Pattern(
          name: name, dtype: .f32, bytes: bits.flatMap(\.littleEndianBytes), nanCount: nan,
          infinityCount: infinity),
      ]
    }
    return make("quiet NaN", [0x7FC0_0000], nan: 1, infinity: 0)
      + make("negative NaN", [0xFFC0_0000], nan: 1, infinity: 0)
      + make("signalling NaN", [0x7F81_0000], nan: 1, infinity: 0)
      + make("NaN with a payload", [0xFFD5_0000], nan: 1, infinity: 0)
      + make("infinity", [0x7F80_0000], nan: 0, infinity: 1)
      + make("negative infinity", [0xFF80_0000], nan: 0, infinity: 1)
      + make(
        "all of them", [0x7FC0_0000, 0xFF81_0000, 0x7F80_0000, 0xFF80_0000], nan: 2, infinity: 2)
      + make("subnormals and -0", [0x0001_0000, 0x8001_0000, 0x8000_0000], nan: 0, infinity: 0)
  }

  /// Sign, a full exponent or none, and the highest bits of the payload as float16.
  private static func half(_ bits: UInt32) -> UInt16 {
    let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
    let payload = UInt16(truncatingIfNeeded: (bits & 0x7F_FFFF) >> 13)
    let low = UInt16(truncatingIfNeeded: bits >> 16) & 0x7F
    return bits & 0x7F80_0000 == 0 ? sign | low : sign | 0x7C00 | payload | (payload == 0 ? low : 0)
  }

  /// A matrix that is quantized and a norm that is not.
  private static let names = ["lm_head.weight", "model.norm.weight"]

  private static func attempt(
    _ pattern: Pattern, _ session: Session, _ folder: TemporaryFolder, _ exact: Ledger,
    _ told: Ledger
  ) throws {
    var checkpoint = Models.tiny
    checkpoint.dtype = pattern.dtype
    let tensors = checkpoint.tensors.map { tensor in
      guard names.contains(tensor.name), tensor.dtype == pattern.dtype else { return tensor }
      var tensor = tensor
      // Not at the start of a group only.
      tensor.bytes.replaceSubrange(40..<40 + pattern.bytes.count, with: pattern.bytes)
      return tensor
    }
    var files = Models.files(checkpoint)
    files["model.safetensors"] = TinyTensor.file(tensors)
    for (name, bytes) in files { try folder.write(bytes, as: "model/\(name)") }
    let what = "\(pattern.name) in \(pattern.dtype.rawValue)"
    for arguments in [["convert", "model", "x.kiln"], ["convert", "x.kiln", "back"]] {
      let outcome = try session.run(arguments, in: folder.path)
      guard outcome.status == 0 else { return exact.record(outcome.errors, what) }
    }
    let back = try Bytes.ofTensors(folder.path.appending("back/model.safetensors"))
    let isSame = tensors.allSatisfy { back[$0.name] == $0.bytes }
    exact.record(isSame ? nil : "other bytes", what)
    let outcome = try session.run(
      ["quantize", "model", "q.kiln", "--scheme", "int4-g32"], in: folder.path)
    guard outcome.status == 0 else { return told.record(outcome.errors, what) }
    let mustTell = pattern.nanCount + pattern.infinityCount > 0
    for name in names {
      let text = "\"\(name)\" has \(pattern.nanCount) NaN and \(pattern.infinityCount) inf"
      let isTold = outcome.warnings.contains { $0.contains(text) }
      told.record(isTold == mustTell ? nil : "said \(outcome.warnings)", "\(what): \(name)")
    }
  }

  /// Tensors whose groups leave no good scale: all zero, constant, tiny, huge.
  private static func extremes(_ session: Session, _ ledger: Ledger) throws {
    let values: [(String, [Float])] = [
      ("zeros", [0]), ("negative zeros", [-0.0]), ("ones", [1]), ("a constant", [-0.3]),
      ("subnormals", [Float(bitPattern: 0x0001_1000), -Float(bitPattern: 0x0001_1000)]),
      ("the least", [Float.leastNonzeroMagnitude]),
      ("the largest", [3.38e38, -3.38e38]),
      ("one large among zeros", [3.38e38] + Array(repeating: 0, count: 31)),
      ("one tiny among zeros", [1e-38] + Array(repeating: 0, count: 31)),
      ("tiny and huge", [1e-38, 3e38]),
      ("NaN alone", [.nan]), ("infinities", [.infinity, -.infinity]),
      ("NaN and large", [.nan, 3.38e38]),
      ("infinity and small", [.infinity, 1e-3]),
    ]
    let schemes = ["int4", "int5", "int6", "int8"].flatMap { bits in
      ["g32", "g64", "g128", "row"].map { "\(bits)-\($0)" }
    }
    let runs = schemes.flatMap { scheme in ["rtn", "search"].map { (scheme, $0) } }
    try session.forEach(runs.count * 2, "scales") { lane, index in
      let (scheme, method) = runs[index / 2]
      let dtype = index % 2 == 0 ? DType.bf16 : .f32
      let folder = TemporaryFolder(at: lane)
      // Rows of 128 elements, so that every group fits.
      var checkpoint = Models.tiny
      (checkpoint.hiddenSize, checkpoint.dtype) = (128, dtype)
      var number = 0
      let tensors = checkpoint.tensors.map { tensor in
        guard tensor.shape.count == 2, tensor.dtype == dtype else { return tensor }
        var tensor = tensor
        let pattern = values[number % values.count].1
        number += 1
        let floats = (0..<tensor.shape.reduce(1, *)).map { pattern[$0 % pattern.count] }
        tensor.bytes = floats.flatMap { value in
          dtype == .f32
            ? value.bitPattern.littleEndianBytes : BFloat16(value).bitPattern.littleEndianBytes
        }
        return tensor
      }
      var files = Models.files(checkpoint)
      files["model.safetensors"] = TinyTensor.file(tensors)
      for (name, bytes) in files { try folder.write(bytes, as: "model/\(name)") }
      let outcome = try session.run(
        ["quantize", "model", "q.kiln", "--scheme", scheme, "--method", method], in: lane)
      let what = "\(scheme) \(method) \(dtype.rawValue)"
      if outcome.status != 0 {
        ledger.record(outcome.errors, what)
      } else {
        for (name, problem) in try scaleProblems(lane.appending("q.kiln")) {
          ledger.record(problem, "\(what): \(name)")
        }
      }
      try Files.empty(lane)
    }
  }

  /// For each quantized tensor of a packed file, whether a scale is 0 or not finite.
  private static func scaleProblems(_ path: FilePath) throws -> [(String, String?)] {
    let file = try KilnFile(path)
    return file.header.tensors.compactMap { entry in
      guard case .quantized(let bits, let group) = entry.encoding else { return nil }
      let columns = entry.shape.dimensions.last ?? 1
      let groupSize = if case .size(let size) = group { size } else { columns }
      let rows = entry.shape.elementCount / max(columns, 1)
      let bytes = file.region(of: entry.extent).bytes
      let start = rows * columns * bits / 8
      let count = rows * (columns / groupSize)
      guard bytes.byteCount == start + 2 * count else {
        return (entry.name.text, "has another size")
      }
      let bad = (0..<count).count { index in
        let pattern = bytes.load(at: start + 2 * index, as: UInt16.self)
        return pattern & 0x7F80 == 0x7F80 || pattern & 0x7FFF == 0
      }
      return (entry.name.text, bad == 0 ? nil : "\(bad) of \(count) scales are 0 or not finite")
    }
  }
}

/// The bytes of tensors, for comparison.
enum Bytes {
  /// The bytes of each tensor of a safetensors file, by name.
  static func ofTensors(_ path: FilePath) throws -> [String: [UInt8]] {
    let file = try SafetensorsFile(path)
    var result: [String: [UInt8]] = [:]
    for entry in file.header.entries {
      result[entry.name.text] = file.region(of: entry).bytes.copy()
    }
    return result
  }
}
