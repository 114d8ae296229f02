// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Kernels
import KilnFormat
import TensorCore

/// Bytes of a file that are read from end to end, in blocks, and what is known about them: a tensor, a
/// file that travels inside a packed one, or the padding between two of these.
struct ScannedEntry: Sendable {
  /// Bytes of a block, which in a packed file has a checksum.
  static let blockByteCount = KilnHeader.blockByteCount

  /// Numbers among the bytes.
  struct Numbers: Sendable {
    /// Where, from the start of the entry; whole numbers.
    let range: Range<Int>
    let dtype: DType
    /// Whether they are scales, which are never 0.
    let areScales: Bool
  }

  /// Where the bytes of a compressed tensor come from.
  struct Compressed: Sendable {
    let file: KilnFile
    let entry: KilnHeader.TensorEntry
  }

  /// How the entry is called in findings.
  let subject: String
  /// Its bytes in the file.
  let region: MappedRegion
  /// The blocks, counted from the start of the region.
  let blocks: [Range<Int>]
  /// One for each block; none in files that have no checksums.
  var checksums: [UInt64]?
  /// Numbers that must be finite.
  var numbers: Numbers?
  /// Whether every byte must be 0.
  var isPadding = false
  /// Whether it is a file that travels inside: configuration, tokenizer.
  var isFile = false
  /// How its blocks are unpacked, if it is compressed.
  var compressed: Compressed?

  var blockCount: Int { blocks.count }

  /// An entry in which blocks follow each other as they are.
  init(subject: String, region: MappedRegion, checksums: [UInt64]? = nil) {
    self.subject = subject
    self.region = region
    self.checksums = checksums
    blocks = stride(from: 0, to: region.byteCount, by: Self.blockByteCount).map { start in
      start..<min(start + Self.blockByteCount, region.byteCount)
    }
  }

  /// A compressed tensor.
  init(_ compressed: Compressed) {
    let extent = compressed.entry.extent
    subject = compressed.entry.name.text
    region = compressed.file.region(of: extent)
    checksums = extent.checksums
    blocks = extent.blocks.map { block in
      block.lowerBound - extent.range.lowerBound..<block.upperBound - extent.range.lowerBound
    }
    self.compressed = compressed
  }

  /// What was found in one or more blocks of an entry.
  struct Tally: Sendable, Equatable {
    var damagedBlocks = 0
    var firstDamagedBlock = Int.max
    var nanCount = 0
    var infinityCount = 0
    var zeroCount = 0
    var hasByteInPadding = false
    /// What is wrong with a block whose checksum is right, but which cannot be unpacked.
    var problem: String?

    static func + (left: Tally, right: Tally) -> Tally {
      Tally(
        damagedBlocks: left.damagedBlocks + right.damagedBlocks,
        firstDamagedBlock: min(left.firstDamagedBlock, right.firstDamagedBlock),
        nanCount: left.nanCount + right.nanCount,
        infinityCount: left.infinityCount + right.infinityCount,
        zeroCount: left.zeroCount + right.zeroCount,
        hasByteInPadding: left.hasByteInPadding || right.hasByteInPadding,
        problem: left.problem ?? right.problem)
    }
  }

  /// Reads one block, once.
  ///
  /// - Precondition: The entry has that block.
  /// - Throws: `FileError`.
  func scan(block: Int, with reader: BlockReader) throws(FileError) -> Tally {
    if let compressed { return try scan(compressed, block: block, with: reader) }
    let (start, end) = (blocks[block].lowerBound, blocks[block].upperBound)
    let numberRange = numbers.flatMap { numbers -> Range<Int>? in
      numbers.beginning(in: start..<end)
    }
    // A number whose first byte is the last of this block is read to its end.
    let readEnd = max(end, numberRange?.upperBound ?? end)
    return try reader.withBytes(of: region.part(start..<readEnd)) { bytes in
      var tally = Tally()
      if let checksums, Checksum.of(bytes.extracting(0..<end - start)) != checksums[block] {
        tally.damagedBlocks = 1
        tally.firstDamagedBlock = block
      }
      if let numberRange { count(numberRange, in: bytes, from: start, into: &tally) }
      if isPadding { tally.hasByteInPadding = !bytes.isZero(0..<bytes.byteCount) }
      return tally
    }
  }

  /// The same for a block that must be unpacked before its numbers are seen.
  private func scan(
    _ compressed: Compressed, block: Int, with reader: BlockReader
  ) throws(FileError) -> Tally {
    try reader.withBytes(of: region.part(blocks[block])) { bytes in
      var tally = Tally()
      guard checksums?[block] == Checksum.of(bytes) else {
        tally.damagedBlocks = 1
        tally.firstDamagedBlock = block
        return tally
      }
      let start = block * Self.blockByteCount
      do {
        var content = try compressed.file.unpack(bytes, block: block, of: compressed.entry)
        guard let range = numbers?.beginning(in: start..<start + content.count) else {
          return tally
        }
        if range.upperBound > start + content.count {
          // A scale that lies across two blocks is a part of this one.
          content += try compressed.file.unpack(block: block + 1, of: compressed.entry)
        }
        unsafe count(range, in: content.span.bytes, from: start, into: &tally)
      } catch {
        tally.problem = "block \(block): \(error)"
      }
      return tally
    }
  }

  /// Looks at the numbers in a range of the entry, given its bytes from `start` on.
  private func count(
    _ range: Range<Int>, in bytes: RawSpan, from start: Int, into tally: inout Tally
  ) {
    guard let numbers else { return }
    let stored = bytes.extracting(range.lowerBound - start..<range.upperBound - start)
    let odd = NonFiniteCount(stored, as: numbers.dtype)
    tally.nanCount = odd.nanCount
    tally.infinityCount = odd.infinityCount
    if numbers.areScales { tally.zeroCount = countZeros(stored) }
  }

  /// What the tally of all blocks says in words.
  func findings(_ tally: Tally) -> [Verification.Finding] {
    var problems: [String] = []
    if tally.damagedBlocks > 0 {
      let first = region.range.lowerBound + blocks[tally.firstDamagedBlock].lowerBound
      problems.append(
        "checksum does not match in \(tally.damagedBlocks) of \(blockCount) blocks, first at byte"
          + " \(first)")
    }
    if let problem = tally.problem { problems.append(problem) }
    if tally.nanCount + tally.infinityCount > 0 {
      problems.append(
        "\(tally.nanCount) NaN and \(tally.infinityCount) infinite"
          + (numbers?.areScales == true ? " scales" : " values"))
    }
    if tally.zeroCount > 0 {
      problems.append("\(tally.zeroCount) scales are 0, which a scale never is")
    }
    if tally.hasByteInPadding { problems.append("is not 0") }
    return problems.map { Verification.Finding(subject: subject, problem: $0) }
  }
}

extension ScannedEntry.Numbers {
  /// Those whose first byte lies in a range of the entry, so that each belongs to one block.
  ///
  /// Scales behind an odd number of codes begin at odd places and can lie across two blocks.
  func beginning(in block: Range<Int>) -> Range<Int>? {
    let width = dtype.bitWidth / 8
    func firstNumber(from place: Int) -> Int {
      let index = (max(place, range.lowerBound) - range.lowerBound + width - 1) / width
      return min(range.lowerBound + index * width, range.upperBound)
    }
    let (first, end) = (firstNumber(from: block.lowerBound), firstNumber(from: block.upperBound))
    return first < end ? first..<end : nil
  }
}

// MARK: - The entries of a checkpoint

extension ScannedEntry {
  /// Everything that is read of a checkpoint, in the order of its files.
  static func all(of checkpoint: Checkpoint) -> [ScannedEntry] {
    if let packed = checkpoint.packed { return packed.shards.flatMap(all) }
    return checkpoint.storedTensors.compactMap { stored in
      guard let tensor = stored.inPlace else { return nil }
      var entry = ScannedEntry(subject: stored.name.text, region: tensor.region)
      entry.numbers = Numbers(stored.encoding, stored.shape)
      return entry
    }
  }

  private static func all(in packed: KilnFile) -> [ScannedEntry] {
    let files = packed.header.files.map { file in
      var entry = ScannedEntry(
        subject: file.name, region: packed.region(of: file.extent),
        checksums: file.extent.checksums)
      entry.isFile = true
      return entry
    }
    let tensors = packed.header.tensors.map { tensor in
      var entry =
        tensor.extent.blockByteCounts == nil
        ? ScannedEntry(
          subject: tensor.name.text, region: packed.region(of: tensor.extent),
          checksums: tensor.extent.checksums)
        : ScannedEntry(Compressed(file: packed, entry: tensor))
      entry.numbers = Numbers(tensor.encoding, tensor.shape)
      return entry
    }
    let paddings = packed.paddings.map { range in
      var entry = ScannedEntry(
        subject: "padding at byte \(range.lowerBound)",
        region: MappedRegion(file: packed.file, range: range))
      entry.isPadding = true
      return entry
    }
    // None of them overlap; those without bytes stay where they were.
    let entries = files + tensors + paddings
    return entries.indices.sorted { left, right in
      (entries[left].region.range.lowerBound, left)
        < (entries[right].region.range.lowerBound, right)
    }.map { entries[$0] }
  }
}

extension ScannedEntry.Numbers {
  /// The numbers of a tensor that must be finite; nil if it has none.
  init?(_ encoding: TensorEncoding, _ shape: TensorShape) {
    guard let byteCount = encoding.byteCount(shape) else { return nil }
    switch encoding {
    case .quantized:
      // Any bits are a code of the range, so there is nothing to check about codes: 4 bits hold -8 to 7 and
      // no more.
      self.init(
        range: byteCount - encoding.scaleByteCount(shape)..<byteCount, dtype: .bf16,
        areScales: true)
    case .plain(let dtype) where dtype.isComputable:
      self.init(range: 0..<byteCount, dtype: dtype, areScales: false)
    case .plain: return nil
    }
  }
}
