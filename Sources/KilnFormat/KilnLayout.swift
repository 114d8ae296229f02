// SPDX-License-Identifier: Apache-2.0

package import JSON
import SystemPackage
package import TensorCore

/// Where everything will be in a packed file, before any of it is written.
///
/// Sizes follow from encodings and shapes, and checksums have a fixed width in the header, so the
/// header's length is known before the data: data is written first, in one pass, the header last.
/// With compression sizes are not known, but their bounds are: nothing becomes larger.
package struct KilnLayout: Sendable {
  /// The header; its checksums are 0 until the data is written, and with compression all entries have
  /// the largest size and the last place that they can have.
  package private(set) var header: KilnHeader
  /// Size of the file in bytes; with compression at most.
  package let fileByteCount: Int
  /// Whether tensors may be compressed.
  package let isCompressed: Bool
  let headerByteCount: Int

  /// A file that will travel inside.
  package struct File: Sendable {
    package let name: String
    package let byteCount: Int

    package init(name: String, byteCount: Int) {
      self.name = name
      self.byteCount = byteCount
    }
  }

  /// A tensor that will be written.
  package struct Tensor: Sendable {
    package let name: ExactString
    package let encoding: TensorEncoding
    package let shape: TensorShape
    package let sourceDType: DType
    /// Whether it follows the entry before it without a page border: the later matrices of an
    /// expert.
    package let continuesRun: Bool
    /// What rounding it has cost, if that is known already.
    package let errors: KilnHeader.TensorErrors?

    package init(
      name: ExactString, encoding: TensorEncoding, shape: TensorShape, sourceDType: DType,
      continuesRun: Bool, errors: KilnHeader.TensorErrors? = nil
    ) {
      self.name = name
      self.encoding = encoding
      self.shape = shape
      self.sourceDType = sourceDType
      self.continuesRun = continuesRun
      self.errors = errors
    }
  }

  /// Offsets of all entries are multiples of this.
  static let entryAlignment = 64
  /// Smallest run that begins at a page border.
  static let pageAlignedByteCount = 1 << 16

  /// Lays out a file; gives nil if a tensor does not fit its encoding, the header would be longer than
  /// the format allows, or the file larger than 2^61 bytes.
  ///
  /// - Parameters:
  ///   - producer: Program and version.
  ///   - source: Where the weights came from.
  ///   - recipe: How they were quantized, or null.
  ///   - calibration: The calibration that chose the codes, or null.
  ///   - calibrationRoom: Bytes that the header keeps free for what calibration will measure.
  ///   - measuredTensorCount: Tensors whose errors will be measured; the header keeps room for them.
  ///   - shard: Which part of a model this is; nil for all of it.
  ///   - files: What travels inside.
  ///   - tensors: What is written, in order.
  ///   - assemblies: How tensors of the source are put together again.
  ///   - isCompressed: Whether tensors may be compressed.
  package init?(
    producer: String, source: KilnHeader.Source, recipe: JSONValue,
    calibration: JSONValue = .null, calibrationRoom: Int = 0, measuredTensorCount: Int = 0,
    shard: KilnHeader.Shard? = nil, files: [File], tensors: [Tensor],
    assemblies: [KilnHeader.Assembly], isCompressed: Bool = false
  ) {
    // Offsets have a variable number of digits in JSON, so the header's length depends on
    // where the data begins. Growing the guess settles after a round or two.
    var dataOffset = KilnPrelude.pageByteCount
    var empty = KilnHeader(
      producer: producer, source: source, recipe: recipe, shard: shard, files: [], tensors: [],
      assemblies: assemblies)
    empty.calibration = calibration
    let room = calibrationRoom + measuredTensorCount * KilnHeader.TensorErrors.maximumByteCount
    while true {
      guard
        let placed = Self.place(
          empty,
          files: files, tensors: tensors, dataOffset: dataOffset, isCompressed: isCompressed)
      else { return nil }
      let length = placed.header.encoded().count + room
      // A reader would refuse the file.
      guard length < KilnPrelude.maximumHeaderByteCount - KilnPrelude.pageByteCount else {
        return nil
      }
      let needed = Self.roundUp(KilnPrelude.byteCount + length, KilnPrelude.pageByteCount)
      if needed <= dataOffset {
        header = placed.header
        fileByteCount = placed.end
        self.isCompressed = isCompressed
        headerByteCount = dataOffset - KilnPrelude.byteCount
        return
      }
      dataOffset = needed
    }
  }

  /// Everything that was decided about the file, as text.
  package var description: [UInt8] { header.encoded() }

  /// The header with its checksums, padded to the length that was planned.
  func encodedHeader(_ header: KilnHeader) -> [UInt8] {
    let text = header.encoded()
    return text + repeatElement(UInt8(ascii: " "), count: headerByteCount - text.count)
  }

  private static func place(
    _ empty: KilnHeader, files: [File], tensors: [Tensor], dataOffset: Int, isCompressed: Bool
  ) -> (header: KilnHeader, end: Int)? {
    var header = empty
    var end = dataOffset
    // Tensors of one size share what stands for their checksums.
    var zeros: [Int: [UInt64]] = [:]
    var fullBlocks: [Int: [Int]] = [:]
    func extent(
      _ byteCount: Int, startsPage: Bool, isCompressed: Bool = false
    ) -> KilnHeader.Extent? {
      // Far below the limit, so that rounding up cannot overflow.
      guard end < Int.max / 4, byteCount < Int.max / 4 else { return nil }
      let start = roundUp(end, startsPage ? KilnPrelude.pageByteCount : entryAlignment)
      end = start + byteCount
      let blocks = KilnHeader.blockCount(byteCount: byteCount)
      var extent = KilnHeader.Extent(
        range: start..<end, checksums: zeros[blocks] ?? [UInt64](repeating: 0, count: blocks))
      zeros[blocks] = extent.checksums
      if isCompressed, blocks > 0 {
        extent.blockByteCounts =
          fullBlocks[blocks] ?? [Int](repeating: KilnHeader.blockByteCount, count: blocks)
        fullBlocks[blocks] = extent.blockByteCounts
      }
      return extent
    }
    for file in files {
      let startsPage = file.byteCount >= pageAlignedByteCount && !isCompressed
      guard let extent = extent(file.byteCount, startsPage: startsPage) else { return nil }
      header.files.append(KilnHeader.FileEntry(name: file.name, extent: extent))
    }
    var sizes: [Int] = []
    for tensor in tensors {
      guard let byteCount = tensor.encoding.byteCount(tensor.shape), byteCount < Int.max / 4 else {
        return nil
      }
      sizes.append(byteCount)
    }
    header.tensors.reserveCapacity(tensors.count)
    for (index, tensor) in tensors.enumerated() {
      let startsPage =
        !isCompressed && runByteCount(from: index, of: tensors, sizes) >= pageAlignedByteCount
      guard
        let extent = extent(sizes[index], startsPage: startsPage, isCompressed: isCompressed)
      else { return nil }
      header.tensors.append(
        KilnHeader.TensorEntry(
          name: tensor.name, encoding: tensor.encoding, shape: tensor.shape,
          sourceDType: tensor.sourceDType, extent: extent, errors: tensor.errors))
    }
    return (header, end)
  }

  /// Bytes of the run that a tensor opens; 0 if it continues one.
  private static func runByteCount(from index: Int, of tensors: [Tensor], _ sizes: [Int]) -> Int {
    guard !tensors[index].continuesRun else { return 0 }
    var sum = sizes[index]
    for next in tensors.indices.dropFirst(index + 1) {
      guard tensors[next].continuesRun, sum < pageAlignedByteCount else { break }
      sum += sizes[next]
    }
    return sum
  }

  static func roundUp(_ value: Int, _ multiple: Int) -> Int {
    (value + multiple - 1) / multiple * multiple
  }
}
