// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import JSON
import KilnFormat
import Quantization
import TensorCore

/// How the tensors of a packed model are divided over files, and what each file will look like.
struct ShardDraft: Sendable {
  let items: [PackingPlan.Item]
  let options: PackingPlan.Options
  let producer: String
  let source: KilnHeader.Source
  let recipe: JSONValue
  let calibration: JSONValue
  /// Bytes that the header of a single file keeps free for what calibration will measure.
  let calibrationRoom: Int
  /// Whether matrices are quantized by a calibration text, so that their errors will be in the header.
  let isCalibrated: Bool
  let files: [AuxiliaryFile]
  let assemblies: [KilnHeader.Assembly]
  /// Which tensors are in which file.
  let parts: [Range<Int>]
  /// Whether the tensor belongs to the same expert as the one before it.
  private let continuesRun: [Bool]

  init(
    items: [PackingPlan.Item], options: PackingPlan.Options, producer: String,
    source: KilnHeader.Source, recipe: JSONValue, calibration: JSONValue, calibrationRoom: Int,
    isCalibrated: Bool, files: [AuxiliaryFile],
    assemblies: [KilnHeader.Assembly]
  ) {
    self.items = items
    self.options = options
    self.producer = producer
    self.source = source
    self.recipe = recipe
    self.calibration = calibration
    self.calibrationRoom = options.shardByteCount == nil ? calibrationRoom : 0
    self.isCalibrated = isCalibrated
    self.files = files
    self.assemblies = assemblies
    let orders = items.map { TensorOrder($0.stored.name) }
    continuesRun = orders.indices.map { index in
      index > 0 && orders[index].continuesExpert(of: orders[index - 1])
    }
    parts = Self.parts(
      of: items, limit: options.shardByteCount, continuesRun: continuesRun)
  }

  /// Divides tensors over files: as many as fit, and no expert is cut.
  ///
  /// Sizes are those before compression, so that the division is known before anything is written.
  private static func parts(
    of items: [PackingPlan.Item], limit: Int?, continuesRun: [Bool]
  ) -> [Range<Int>] {
    guard let limit else { return [0..<items.count] }
    var parts: [Range<Int>] = []
    var start = 0
    var byteCount = 0
    var next = 0
    while next < items.count {
      let end = items.indices.dropFirst(next + 1).first { !continuesRun[$0] } ?? items.count
      let run = items[next..<end].reduce(0) { $0 + $1.byteCount }
      if next > start, byteCount + run > limit {
        parts.append(start..<next)
        start = next
        byteCount = 0
      }
      byteCount += run
      next = end
    }
    return parts + [start..<items.count]
  }

  /// The files, and a checksum of all that was decided about them.
  ///
  /// - Returns: nil if one is too large for the format.
  func shards() -> (shards: [PackingPlan.Shard], digest: UInt64)? {
    // What all shards share must say everything about all of them, so it is taken from a first draft
    // in which it is 0.
    var text: [UInt8] = []
    for number in 1...parts.count {
      guard let draft = layout(number, set: 0, isCompressed: false) else { return nil }
      text += draft.description
    }
    for file in files { text += Array(Checksum.text(Checksum.of(file.region.bytes)).utf8) }
    for item in items where item.isQuantizedNow { text += Array(item.method.rawValue.utf8) }
    text += Array("\(options.compressionLevel ?? 0)".utf8)
    let digest = Checksum.of(text)
    var shards: [PackingPlan.Shard] = []
    for number in 1...parts.count {
      guard let plain = layout(number, set: digest, isCompressed: false),
        let layout = options.compressionLevel == nil
          ? plain : layout(number, set: digest, isCompressed: true)
      else { return nil }
      var plainLayout: @Sendable () -> KilnLayout? = { layout }
      if options.compressionLevel != nil {
        // Made again if need be: compression seldom fails to earn its place, and a layout is large.
        plainLayout = { self.layout(number, set: digest, isCompressed: false) }
      }
      shards.append(
        PackingPlan.Shard(
          fileName: Self.fileName(number, of: parts.count), items: parts[number - 1],
          layout: layout, plainByteCount: plain.fileByteCount, plainLayout: plainLayout))
    }
    return (shards, digest)
  }

  static func fileName(_ number: Int, of count: Int) -> String {
    func padded(_ value: Int) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
    return "model-\(padded(number))-of-\(padded(count)).kiln"
  }

  /// Where everything is in one file; nil if it is too large for the format.
  private func layout(_ number: Int, set: UInt64, isCompressed: Bool) -> KilnLayout? {
    let isFirst = number == 1
    return KilnLayout(
      producer: producer, source: source, recipe: recipe, calibration: calibration,
      calibrationRoom: calibrationRoom,
      measuredTensorCount: isCalibrated
        ? parts[number - 1].count { items[$0].isQuantizedNow } : 0,
      shard: options.shardByteCount == nil
        ? nil : KilnHeader.Shard(number: number, count: parts.count, set: set),
      files: isFirst
        ? files.map { KilnLayout.File(name: $0.name, byteCount: $0.region.byteCount) } : [],
      tensors: parts[number - 1].map { tensor($0) }, assemblies: isFirst ? assemblies : [],
      isCompressed: isCompressed)
  }

  private func tensor(_ index: Int) -> KilnLayout.Tensor {
    let stored = items[index].stored
    return KilnLayout.Tensor(
      name: stored.name, encoding: items[index].encoding, shape: stored.shape,
      sourceDType: stored.sourceDType, continuesRun: continuesRun[index],
      errors: items[index].keptErrors)
  }
}
