// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import Glibc
import KilnFormat
import KimiLinear
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// A packed model of which one tensor can be damaged for a while: a conversion of it then ends there, however fast
/// the machine is, and a later one goes on as after a kill.
struct FailingSource {
  let folder: TemporaryFolder
  let path: FilePath
  /// Its tensors, in the order of the file.
  let tensors: [KilnHeader.TensorEntry]
  /// Files that travel inside.
  let fileCount: Int

  init(_ checkpoint: TinyCheckpoint = TinyCheckpoint(), in folder: TemporaryFolder) throws {
    self.folder = folder
    path = folder.path.appending("source.kiln")
    // Two NaN and an infinity in the embedding, so that there is something to be counted.
    var tensors = checkpoint.tensors
    let embedding = try #require(
      tensors.firstIndex { $0.name == "model.embed_tokens.weight" })
    for (element, bits) in [(3, 0x7FC0), (40, 0xFFC1), (99, 0xFF80)] {
      tensors[embedding].bytes = tensors[embedding].bytes.replacing(
        at: 2 * element, with: UInt16(bits))
    }
    try pack(checkpoint.write(to: folder, tensors: tensors), to: path)
    let header = try KilnFile(path).header
    self.tensors = header.tensors
    fileCount = header.files.count
    try setTime(1_700_000_000)
  }

  /// Does something while a tensor is damaged; the file is as old before, then and afterwards.
  func damaged(tensor: Int, _ body: () throws -> Void) throws {
    let place = tensors[tensor].extent.range.lowerBound
    let byte = try folder.read("source.kiln")[place]
    try folder.patch("source.kiln", at: place, with: byte ^ 0x10)
    try setTime(1_700_000_000)
    let expected = KilnFormatError.checksum(path, part: "tensor \"\(tensors[tensor].name)\"")
    #expect(throws: expected) { try body() }
    try folder.patch("source.kiln", at: place, with: byte)
    try setTime(1_700_000_000)
  }

  /// Says when the file was changed, in seconds since 1970.
  func setTime(_ seconds: Int) throws {
    let times = [timespec(tv_sec: seconds, tv_nsec: 0), timespec(tv_sec: seconds, tv_nsec: 0)]
    guard unsafe utimensat(AT_FDCWD, path.string, times, 0) == 0 else {
      throw Errno(rawValue: errno)
    }
  }

  /// Packs it, and keeps what is done if that fails.
  @discardableResult
  func runPacking(
    to output: String, recipe: Recipe? = nil, options: PackingPlan.Options = .init(),
    resuming: Bool = true
  ) throws -> Packing.Report {
    let plan = try PackingPlan(
      try CheckedCheckpoint(try Checkpoint(path)), recipe: recipe, producer: "kiln test",
      options: options)
    return try Packing(plan, workers: Workers(count: 2)).run(
      to: folder.path.appending(output), replacing: false, resuming: resuming,
      progress: { _ in })
  }

  /// Writes a folder of it, and keeps what is done if that fails.
  ///
  /// - Returns: Tensors that an earlier run had written.
  @discardableResult
  func runExport(to output: String, shardByteCount: Int) throws -> Int {
    try SafetensorsExport(
      try CheckedCheckpoint(try Checkpoint(path)), dtype: .f32, shardByteCount: shardByteCount,
      workers: Workers(count: 2)
    ).run(
      to: folder.path.appending(output), replacing: false, resuming: true, progress: { _ in })
  }

  /// The lines of the journal of an output: its title, then one for each entry.
  func journal(of output: String) throws -> [String] {
    String(decoding: try folder.read(".\(output).journal"), as: UTF8.self)
      .split(separator: "\n").map(String.init)
  }

  /// Every file of an output by its name in a folder.
  func contents(_ output: String) throws -> [String: [UInt8]] {
    guard FileKind(of: folder.path.appending(output)) == .directory else {
      return ["": try folder.read(output)]
    }
    return try folder.entries(of: output).reduce(into: [:]) { files, name in
      files[name] = try folder.read("\(output)/\(name)")
    }
  }
}
