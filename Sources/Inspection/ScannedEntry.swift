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

  /// How the entry is called in findings.
  let subject: String
  let region: MappedRegion
  /// One for each block; none in files that have no checksums.
  var checksums: [UInt64]?
  /// Numbers that must be finite.
  var numbers: Numbers?
  /// Whether every byte must be 0.
  var isPadding = false

  var blockCount: Int {
    (region.byteCount + Self.blockByteCount - 1) / Self.blockByteCount
  }

  /// What was found in one or more blocks of an entry.
  struct Tally: Sendable, Equatable {
    var damagedBlocks = 0
    var firstDamagedBlock = Int.max
    var nanCount = 0
    var infinityCount = 0
    var zeroCount = 0
    var hasByteInPadding = false

    static func + (left: Tally, right: Tally) -> Tally {
      Tally(
        damagedBlocks: left.damagedBlocks + right.damagedBlocks,
        firstDamagedBlock: min(left.firstDamagedBlock, right.firstDamagedBlock),
        nanCount: left.nanCount + right.nanCount,
        infinityCount: left.infinityCount + right.infinityCount,
        zeroCount: left.zeroCount + right.zeroCount,
        hasByteInPadding: left.hasByteInPadding || right.hasByteInPadding)
    }
  }

  /// Reads one block, once.
  ///
  /// - Precondition: The entry has that block.
  /// - Throws: `FileError`.
  func scan(block: Int, with reader: BlockReader) throws(FileError) -> Tally {
    let start = block * Self.blockByteCount
    let end = min(start + Self.blockByteCount, region.byteCount)
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
      if let numbers, let numberRange {
        let stored = bytes.extracting(
          numberRange.lowerBound - start..<numberRange.upperBound - start)
        let odd = NonFiniteCount(stored, as: numbers.dtype)
        tally.nanCount = odd.nanCount
        tally.infinityCount = odd.infinityCount
        if numbers.areScales { tally.zeroCount = countZeros(stored) }
      }
      if isPadding {
        tally.hasByteInPadding = !(0..<bytes.byteCount).allSatisfy { bytes.byte(at: $0) == 0 }
      }
      return tally
    }
  }

  /// What the tally of all blocks says in words.
  func findings(_ tally: Tally) -> [Verification.Finding] {
    var problems: [String] = []
    if tally.damagedBlocks > 0 {
      let first = region.range.lowerBound + tally.firstDamagedBlock * Self.blockByteCount
      problems.append(
        "checksum does not match in \(tally.damagedBlocks) of \(blockCount) blocks, first at byte"
          + " \(first)")
    }
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
    guard let packed = checkpoint.packed else {
      return checkpoint.storedTensors.map { ScannedEntry($0, checksums: nil) }
    }
    let files = packed.header.files.map { file in
      ScannedEntry(
        subject: file.name, region: packed.region(of: file.extent),
        checksums: file.extent.checksums)
    }
    let tensors = zip(checkpoint.storedTensors, packed.header.tensors).map { stored, entry in
      ScannedEntry(stored, checksums: entry.extent.checksums)
    }
    let paddings = packed.paddings.map { range in
      ScannedEntry(
        subject: "padding at byte \(range.lowerBound)",
        region: MappedRegion(file: packed.file, range: range), isPadding: true)
    }
    // None of them overlap; those without bytes stay where they were.
    let entries = files + tensors + paddings
    return entries.indices.sorted { left, right in
      (entries[left].region.range.lowerBound, left)
        < (entries[right].region.range.lowerBound, right)
    }.map { entries[$0] }
  }

  private init(_ stored: StoredTensor, checksums: [UInt64]?) {
    let tensor = stored.tensor
    self.init(subject: stored.name.text, region: tensor.region, checksums: checksums)
    switch tensor.encoding {
    case .quantized:
      // Any bits are a code of the range, so there is nothing to check about codes: 4 or 8 bits hold
      // -8 to 7 or -128 to 127 and no more.
      numbers = Numbers(
        range: tensor.codeByteCount..<tensor.region.byteCount, dtype: .bf16, areScales: true)
    case .plain(let dtype) where dtype.isComputable:
      numbers = Numbers(range: 0..<tensor.region.byteCount, dtype: dtype, areScales: false)
    case .plain: break
    }
  }
}
