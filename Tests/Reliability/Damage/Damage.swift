// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// The ways in which a copy of a file goes wrong: disks, memory, transfers, programs.
enum DamageKind: String, CaseIterable {
  case flippedBit = "a flipped bit"
  case flippedBits = "several flipped bits"
  case burst = "a burst"
  case stuckByte = "a byte of 0 or FF"
  case swappedWords = "swapped words"
  case swappedPages = "swapped pages"
  case zeroedSector = "a zeroed sector"
  case zeroedPage = "a zeroed page"
  case zeroedTail = "a zeroed tail"
  case cut = "a cut"
  case removed = "bytes removed"
  case inserted = "bytes inserted"
  case appendedZeros = "zeros appended"
  case appendedBytes = "bytes appended"
  case repeated = "a page written twice"
  case shifted = "a range shifted by a byte"
}

/// One change to a file: some bytes replaced by others, perhaps more or fewer.
struct Damage: Sendable {
  /// Which bytes are gone.
  let range: Range<Int>
  /// What stands in their place.
  let bytes: [UInt8]

  /// Damage of a kind at a random place, which does change something.
  ///
  /// - Parameters:
  ///   - kind: The kind.
  ///   - original: The sound file.
  ///   - random: Chooses place and size.
  init(_ kind: DamageKind, of original: [UInt8], _ random: inout SeededGenerator) {
    var damage = Self.make(kind, original, &random)
    // Zeros over zeros, or two equal pages exchanged, are no damage.
    while damage.changesNothing(in: original) { damage = Self.make(kind, original, &random) }
    self = damage
  }

  init(_ range: Range<Int>, _ bytes: [UInt8]) {
    self.range = range
    self.bytes = bytes
  }

  private func changesNothing(in original: [UInt8]) -> Bool {
    range.count == bytes.count && original[range].elementsEqual(bytes)
  }

  private static func make(
    _ kind: DamageKind, _ original: [UInt8], _ random: inout SeededGenerator
  ) -> Damage {
    let count = original.count
    func range(of length: Int, aligned: Int = 1) -> Range<Int> {
      let start = Int.random(in: 0...(count - length) / aligned, using: &random) * aligned
      return start..<start + length
    }
    func noise(_ length: Int) -> [UInt8] {
      (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
    }
    func swapped(_ length: Int) -> Damage {
      let (first, second) = (range(of: length, aligned: length), range(of: length, aligned: length))
      let (low, high) = first.lowerBound < second.lowerBound ? (first, second) : (second, first)
      guard low.upperBound <= high.lowerBound else { return Damage(0..<0, []) }
      return Damage(
        low.lowerBound..<high.upperBound,
        Array(original[high]) + original[low.upperBound..<high.lowerBound] + original[low])
    }
    switch kind {
    case .flippedBit:
      let place = range(of: 1)
      return Damage(
        place, [original[place.lowerBound] ^ (1 << UInt8.random(in: 0..<8, using: &random))])
    case .flippedBits:
      let place = range(of: Int.random(in: 2...4096, using: &random))
      var bytes = Array(original[place])
      for _ in 0..<Int.random(in: 2...16, using: &random) {
        let bit = Int.random(in: 0..<bytes.count * 8, using: &random)
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      }
      return Damage(place, bytes)
    case .burst:
      let place = range(of: Int.random(in: 2...64, using: &random))
      return Damage(place, noise(place.count))
    case .stuckByte: return Damage(range(of: 1), [Bool.random(using: &random) ? 0 : 0xFF])
    case .swappedWords: return swapped(Bool.random(using: &random) ? 4 : 8)
    case .swappedPages: return swapped(4096)
    case .zeroedSector:
      let place = range(of: 512, aligned: 512)
      return Damage(place, [UInt8](repeating: 0, count: 512))
    case .zeroedPage:
      let place = range(of: 4096, aligned: 4096)
      return Damage(place, [UInt8](repeating: 0, count: 4096))
    case .zeroedTail:
      let length = Int.random(in: 1...min(count, 1 << 20), using: &random)
      return Damage(count - length..<count, [UInt8](repeating: 0, count: length))
    case .cut:
      return Damage(Int.random(in: 0..<count, using: &random)..<count, [])
    case .removed: return Damage(range(of: Int.random(in: 1...8192, using: &random)), [])
    case .inserted:
      let place = Int.random(in: 0...count, using: &random)
      let length = [1, 2, 8, 64, 4096].randomElement(using: &random) ?? 1
      return Damage(
        place..<place,
        Bool.random(using: &random) ? noise(length) : [UInt8](repeating: 0, count: length))
    case .appendedZeros:
      return Damage(
        count..<count, [UInt8](repeating: 0, count: Int.random(in: 1...8192, using: &random)))
    case .appendedBytes:
      return Damage(count..<count, noise(Int.random(in: 1...8192, using: &random)))
    case .repeated:
      let (from, to) = (range(of: 4096, aligned: 4096), range(of: 4096, aligned: 4096))
      return Damage(to, Array(original[from]))
    case .shifted:
      let place = range(of: Int.random(in: 2...8192, using: &random))
      var bytes = Array(original[place])
      if Bool.random(using: &random) {
        bytes.append(bytes.removeFirst())
      } else {
        bytes.insert(bytes.removeLast(), at: 0)
      }
      return Damage(place, bytes)
    }
  }
}
