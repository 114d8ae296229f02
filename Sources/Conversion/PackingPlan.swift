// SPDX-License-Identifier: Apache-2.0

import Calibration
package import Checkpoints
import Compression
import JSON
import KilnFormat
package import KimiLinear
package import Quantization
import SystemPackage
package import TensorCore

/// What a packed file will hold, decided before anything is written.
package struct PackingPlan: Sendable {
  /// What becomes of one tensor.
  package struct Item: Sendable {
    /// The tensor of the source.
    package let stored: StoredTensor
    /// What it does in the model.
    package let role: TensorRole
    /// How it will be written.
    package let encoding: TensorEncoding
    /// How scales are chosen, where it will be quantized.
    package let method: RoundingMethod
    /// Why the encoding is not what was asked for, if so.
    package let note: String?

    /// Bytes in the packed file.
    package var byteCount: Int { encoding.byteCount(stored.shape) ?? 0 }
    /// Whether values are rounded now.
    package var isQuantizedNow: Bool { encoding.isQuantized && encoding != stored.encoding }
    /// Whether codes of the source are copied, so that what it says about them still holds.
    var keepsCodes: Bool { encoding.isQuantized && encoding == stored.encoding }
    /// What the source says that rounding has cost, where that still holds.
    var keptErrors: KilnHeader.TensorErrors? { encoding == stored.encoding ? stored.errors : nil }
  }

  /// How the tensors are divided and stored.
  package struct Options: Sendable {
    /// Most bytes of tensors in a file, before compression; nil for one file.
    package var shardByteCount: Int?
    /// How hard to compress, one of `BlockCodec.levels`; nil for not at all.
    package var compressionLevel: Int?
    /// Numbers of the shards to write, from 1 on; nil for all.
    package var shards: ClosedRange<Int>?

    /// One file, not compressed, unless something else is asked for.
    package init(
      shardByteCount: Int? = nil, compressionLevel: Int? = nil, shards: ClosedRange<Int>? = nil
    ) {
      self.shardByteCount = shardByteCount
      self.shards = shards
      self.compressionLevel = compressionLevel
    }
  }

  /// One file of the output.
  struct Shard: Sendable {
    /// Its name in a folder of shards.
    let fileName: String
    /// Which tensors of the plan it has.
    private(set) var items: Range<Int>
    /// Where everything is.
    let layout: KilnLayout
    /// Size of the file in bytes without compression.
    let plainByteCount: Int
    /// The same without compression, for when that is not larger; nil never, as `layout` is there.
    let plainLayout: @Sendable () -> KilnLayout?
    /// Files that travel inside.
    var fileCount: Int { layout.header.files.count }
    /// Files and tensors.
    var entryCount: Int { fileCount + items.count }

    init(
      fileName: String, items: Range<Int>, layout: KilnLayout, plainByteCount: Int,
      plainLayout: @escaping @Sendable () -> KilnLayout?
    ) {
      self.fileName = fileName
      self.items = items
      self.layout = layout
      self.plainByteCount = plainByteCount
      self.plainLayout = plainLayout
    }

    /// The same shard of a plan in which its tensors have other places.
    func moved(by distance: Int) -> Shard {
      var moved = self
      moved.items = items.lowerBound + distance..<items.upperBound + distance
      return moved
    }
  }

  /// The source.
  package let source: CheckedCheckpoint
  /// The tensors that are written, in the order of the files.
  package let items: [Item]
  /// How they are stored.
  package let options: Options
  /// The text by which matrices are quantized; nil without one, or where there is none to quantize.
  package let calibration: CalibrationText?
  /// How tensors are rounded, those of other shards too.
  package let roundingMethods: Set<RoundingMethod>
  /// What becomes of all matrices that are quantized now, those of other shards too; none without a
  /// calibration.
  let targets: [ExactString: SequentialQuantizer.Target]
  let shards: [Shard]
  /// A head that is the embedding once more, and is left out since the two would be rounded on their own.
  package let omittedHead: ExactString?
  /// A checksum of everything that was decided.
  let digest: UInt64

  /// Bytes of all files together; with compression at most.
  package var fileByteCount: Int { shards.reduce(0) { $0 + $1.plainByteCount } }
  /// Number of files.
  package var shardCount: Int { shards.count }
  /// Whether every tensor keeps its bytes.
  var isLossless: Bool { !items.contains { $0.encoding != $0.stored.encoding } }
  /// Whether the output is a folder of shards.
  package var isSharded: Bool { options.shardByteCount != nil }

  /// Plans a packed model.
  ///
  /// - Parameters:
  ///   - source: The checkpoint.
  ///   - recipe: How to quantize; nil to keep every tensor bit for bit.
  ///   - producer: Program and version, for the header.
  ///   - options: How to store the tensors.
  ///   - calibration: The text to quantize by; needed if the recipe asks for such a method.
  /// - Throws: `ConversionError.alreadyQuantized`, `.needsCalibration`, `.tooManyShards`, `.noSuchShard` or `.tooLarge`.
  package init(
    _ source: CheckedCheckpoint, recipe: Recipe?, producer: String, options: Options = Options(),
    calibration: CalibrationText? = nil
  ) throws {
    let checkpoint = source.checkpoint
    var items = try source.tensors.tensors.map { stored in
      try Self.item(stored, role: source.role(of: stored.name), recipe: recipe, checkpoint)
    }
    let omitted = try Self.omittedHead(source, items)
    items.removeAll { $0.stored.name == omitted }
    var targets: [ExactString: SequentialQuantizer.Target] = [:]
    for item in items where item.isQuantizedNow {
      guard calibration != nil || !item.method.needsCalibration else {
        throw ConversionError.needsCalibration(
          checkpoint.path, name: item.stored.name.text, method: item.method.rawValue)
      }
      guard calibration != nil else { continue }
      targets[item.stored.name] = SequentialQuantizer.Target(
        encoding: item.encoding, method: item.method)
    }
    // A text by which nothing is rounded is not run, and has chosen no codes.
    let calibration = targets.isEmpty ? nil : calibration
    let draft = ShardDraft(
      items: items, options: options, producer: producer,
      source: checkpoint.provenance, recipe: recipe?.json ?? checkpoint.recipe,
      calibration: calibration?.json ?? Self.keptCalibration(checkpoint, recipe, items),
      calibrationRoom: calibration.map { Self.calibrationRoom(source, $0) } ?? 0,
      isCalibrated: calibration != nil,
      files: checkpoint.files, assemblies: source.tensors.assemblies)
    guard draft.parts.count <= KilnModel.maximumShardCount else {
      throw ConversionError.tooManyShards(checkpoint.path, count: draft.parts.count)
    }
    guard let (shards, digest) = draft.shards() else {
      throw ConversionError.tooLarge(checkpoint.path)
    }
    let selected = try Self.selected(options.shards, of: shards)
    let places = selected[0].items.lowerBound..<selected[selected.count - 1].items.upperBound
    self.source = source
    self.items = Array(items[places])
    self.options = options
    omittedHead = omitted
    self.calibration = calibration
    self.targets = targets
    roundingMethods = Set(items.filter(\.isQuantizedNow).map(\.method))
    self.shards = selected.map { $0.moved(by: -places.lowerBound) }
    self.digest = digest
  }

  /// A head that stands for the same matrix as the embedding, if either would be rounded: what becomes of them
  /// differs by role and method, and the output would be a model with two heads.
  private static func omittedHead(
    _ source: CheckedCheckpoint, _ items: [Item]
  ) throws -> ExactString? {
    let isKept = items.allSatisfy { item in
      ![.embedding, .head].contains(item.role) || item.encoding == item.stored.encoding
    }
    return isKept ? nil : try source.surplusHead(workers: Workers(count: 1))
  }

  /// What the source says about its calibration, as long as its codes are there.
  private static func keptCalibration(
    _ checkpoint: Checkpoint, _ recipe: Recipe?, _ items: [Item]
  ) -> JSONValue {
    guard recipe != nil else { return checkpoint.calibration }
    return items.contains(where: \.keepsCodes) ? checkpoint.calibrationBesideOtherRecipe : .null
  }

  /// Bytes that the header keeps free for what calibration will measure.
  private static func calibrationRoom(
    _ source: CheckedCheckpoint, _ calibration: CalibrationText
  ) -> Int {
    let configuration = source.configuration
    return CalibrationEvidence.maximumByteCount(
      tokens: calibration.sample.tokens.count,
      expertCounts: configuration.layers.filter(\.hasExperts).map { _ in
        configuration.experts?.count ?? 0
      },
      longestName: source.tensors.tensors.map { $0.name.text.utf8.count }.max() ?? 0)
  }

  /// The shards that are asked for, at least one.
  private static func selected(
    _ numbers: ClosedRange<Int>?, of shards: [Shard]
  ) throws -> [Shard] {
    let all = 1...shards.count
    let asked = numbers ?? all
    guard all.contains(asked.lowerBound), all.contains(asked.upperBound) else {
      throw ConversionError.noSuchShard(
        number: all.contains(asked.lowerBound) ? asked.upperBound : asked.lowerBound,
        count: all.upperBound)
    }
    return Array(shards[asked.lowerBound - 1..<asked.upperBound])
  }

  private static func item(
    _ stored: StoredTensor, role: TensorRole, recipe: Recipe?, _ checkpoint: Checkpoint
  ) throws -> Item {
    guard let recipe else {
      return Item(
        stored: stored, role: role, encoding: stored.encoding, method: .roundToNearest,
        note: nil)
    }
    let decision = recipe.decision(
      name: stored.name, role: role, shape: stored.shape, source: stored.encoding)
    if case .alreadyQuantized(let storedAs, let asked) = decision.reason {
      throw ConversionError.alreadyQuantized(
        checkpoint.path, name: stored.name.text, stored: storedAs.description,
        asked: asked.description)
    }
    return Item(
      stored: stored, role: role, encoding: decision.encoding, method: decision.method,
      note: decision.note)
  }
}

extension PackingPlan {
  /// A checksum of everything on which the bytes of the output depend, for the journal.
  var job: UInt64 {
    let files = shards.map(\.fileName).joined(separator: " ")
    let library = options.compressionLevel == nil ? 0 : BlockCodec.libraryVersion
    return Checksum.of("\(digest) \(files) \(library) \(source.checkpoint.fingerprint)")
  }

  /// About how much memory writing takes, in bytes.
  package func peakMemoryByteCount(workers: Workers) -> Int {
    let scales = items.map { $0.encoding.scaleByteCount($0.stored.shape) }.max() ?? 0
    return ConversionStream.peakMemoryByteCount(
      largestTensor: items.map(\.stored.byteCount).max() ?? 0, workers: workers)
      + scales
      + (calibration.map {
        SequentialQuantizer.peakMemoryByteCount(source, sample: $0.sample)
      } ?? 0)
  }
}
