// SPDX-License-Identifier: Apache-2.0

import Compression
import TensorCore

/// Cuts the bytes of entries into blocks and compresses a batch of them at a time, on all threads.
final class BlockCompressor {
  /// Blocks that are compressed together: memory is about twice that many megabytes.
  private static let blocksPerBatch = 16

  /// One block as it is stored.
  struct Block {
    let stored: [UInt8]
    let contentByteCount: Int
    let beginsEntry: Bool
    let endsEntry: Bool
  }

  private struct Waiting: Sendable {
    var content: [UInt8]
    let codec: BlockCodec
    let beginsEntry: Bool
    var endsEntry: Bool
  }

  private let level: Int
  private let workers: Workers
  private var waiting: [Waiting] = []
  /// The blocks so far of the entry that is being written.
  private var recorded: [(byteCount: Int, checksum: UInt64, isShorter: Bool)] = []
  private var beginsEntry = true

  init(level: Int, workers: Workers) {
    self.level = level
    self.workers = workers
  }

  /// Whether enough blocks wait for all threads.
  var isFull: Bool { waiting.count >= Self.blocksPerBatch && isLastComplete }

  private var isLastComplete: Bool {
    guard let last = waiting.last else { return true }
    return last.endsEntry || last.content.count == KilnHeader.blockByteCount
  }

  /// Takes the next bytes of an entry.
  func add(_ bytes: RawSpan, of encoding: TensorEncoding, endsEntry: Bool) {
    var start = 0
    while start < bytes.byteCount {
      if isLastComplete {
        var content: [UInt8] = []
        content.reserveCapacity(KilnHeader.blockByteCount)
        waiting.append(
          Waiting(
            content: content, codec: BlockCodec(of: encoding), beginsEntry: beginsEntry,
            endsEntry: false))
        beginsEntry = false
      }
      let last = waiting.count - 1
      let room = KilnHeader.blockByteCount - waiting[last].content.count
      let end = min(start + room, bytes.byteCount)
      waiting[last].content += bytes.copy(start..<end)
      start = end
    }
    if endsEntry {
      waiting[waiting.count - 1].endsEntry = true
      beginsEntry = true
    }
  }

  /// Takes an entry without bytes.
  func addEmpty() {
    waiting.append(
      Waiting(
        content: [], codec: BlockCodec(elementByteCount: 1), beginsEntry: true, endsEntry: true))
  }

  /// Compresses what waits, all of it.
  func takeBlocks() -> [Block] {
    let waiting = self.waiting
    self.waiting = []
    let level = level
    return workers.map(waiting.count) { index in
      let block = waiting[index]
      let stored = unsafe block.codec.compress(block.content.span.bytes, level: level)
      return Block(
        stored: stored ?? block.content, contentByteCount: block.content.count,
        beginsEntry: block.beginsEntry, endsEntry: block.endsEntry)
    }
  }

  /// Notes a block that was written.
  ///
  /// - Parameters:
  ///   - block: The block.
  ///   - end: Where it ends in the file.
  /// - Returns: The extent of the entry that it completes, if it does.
  func record(_ block: Block, end: Int) -> KilnHeader.Extent? {
    if block.contentByteCount > 0 {
      recorded.append(
        (
          block.stored.count, Checksum.of(block.stored),
          block.stored.count < block.contentByteCount
        ))
    }
    guard block.endsEntry else { return nil }
    defer { recorded = [] }
    let byteCounts = recorded.map(\.byteCount)
    return KilnHeader.Extent(
      range: end - byteCounts.reduce(0, +)..<end, checksums: recorded.map(\.checksum),
      blockByteCounts: recorded.contains(where: \.isShorter) ? byteCounts : nil)
  }
}
