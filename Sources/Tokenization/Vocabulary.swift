// SPDX-License-Identifier: Apache-2.0

import TensorCore

/// The ordinary tokens: bytes by rank, and rank by bytes.
///
/// All tokens lie in one array, and an open-addressing table leads from bytes to the rank, so that
/// a lookup allocates nothing. The bytes come from a download: the hash has a random secret, or a
/// file could be made whose tokens all collide. Results do not depend on the secret.
struct Vocabulary: Sendable {
  /// How many tokens there are; their ranks are the numbers below it.
  let count: Int
  private let bytes: [UInt8]
  /// Token `rank` is `bytes[offsets[rank]..<offsets[rank + 1]]`.
  private let offsets: [Int]
  private let slots: [UInt64]
  private let hash: TokenHash

  /// Takes what a builder has collected.
  init(_ builder: consuming Builder) {
    count = builder.offsets.count - 1
    bytes = builder.bytes
    offsets = builder.offsets
    slots = builder.slots
    hash = builder.hash
  }

  /// The bytes of a token.
  ///
  /// - Precondition: `rank` is in `0..<count`.
  func token(rank: Int) -> ArraySlice<UInt8> {
    bytes[offsets[rank]..<offsets[rank + 1]]
  }

  /// The rank of the token that consists of these bytes; nil if there is none.
  ///
  /// - Complexity: O(*n*) in the number of bytes, whatever the vocabulary.
  @inline(__always)
  func rank(of token: RawSpan) -> Int? {
    let code = hash(token)
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: code) & mask
    while let candidate = Slot(slots[slot]) {
      if candidate.matches(code) {
        let range = offsets[candidate.rank]..<offsets[candidate.rank + 1]
        if bytes.rawBytes.extracting(range).hasSameWords(as: token) { return candidate.rank }
      }
      slot = (slot + 1) & mask
    }
    return nil
  }
}

extension Vocabulary {
  /// Collects tokens in the order of their ranks.
  struct Builder {
    fileprivate var bytes: [UInt8] = []
    fileprivate var offsets = [0]
    fileprivate var slots: [UInt64]
    fileprivate let hash = TokenHash()

    /// Makes room.
    init(tokenCount: Int, byteCount: Int) {
      bytes.reserveCapacity(byteCount)
      offsets.reserveCapacity(tokenCount + 1)
      // At most half full, so that every search meets a free slot soon.
      var slotCount = 16
      while slotCount / 2 < tokenCount { slotCount *= 2 }
      slots = [UInt64](repeating: Slot.free, count: slotCount)
    }

    /// Appends the token of the next rank.
    ///
    /// - Parameters:
    ///   - source: An array that holds the token.
    ///   - range: Where it is there.
    /// - Returns: The rank of an equal token; then nothing was appended.
    /// - Precondition: There is room: fewer calls than the `tokenCount` that was announced.
    mutating func append(from source: [UInt8], _ range: Range<Int>) -> Int? {
      let code = hash(source.rawBytes.extracting(range))
      let token = source[range]
      let mask = slots.count - 1
      var slot = Int(truncatingIfNeeded: code) & mask
      while let candidate = Slot(slots[slot]) {
        if candidate.matches(code),
          bytes[offsets[candidate.rank]..<offsets[candidate.rank + 1]] == token
        {
          return candidate.rank
        }
        slot = (slot + 1) & mask
      }
      slots[slot] = Slot(hash: code, rank: offsets.count - 1).bits
      bytes.append(contentsOf: token)
      offsets.append(bytes.count)
      return nil
    }
  }

  /// An entry of the table: a rank in the lower bits and the upper bits of its token's hash.
  private struct Slot {
    static let free = UInt64.max
    /// One bit more than a rank has, so that no entry looks free.
    private static let rankMask: UInt64 = 1 << 25 - 1

    let bits: UInt64

    init?(_ bits: UInt64) {
      guard bits != Self.free else { return nil }
      self.bits = bits
    }

    init(hash: UInt64, rank: Int) {
      bits = hash & ~Self.rankMask | UInt64(truncatingIfNeeded: rank) & Self.rankMask
    }

    var rank: Int { Int(truncatingIfNeeded: bits & Self.rankMask) }

    func matches(_ hash: UInt64) -> Bool { (bits ^ hash) & ~Self.rankMask == 0 }
  }
}

/// A fast hash of bytes with a secret.
///
/// Eight bytes at a time, each mixed in by a 128-bit product whose halves are folded together.
private struct TokenHash: Sendable {
  private let seed = UInt64.random(in: .min ... .max)
  private let multiplier = UInt64.random(in: .min ... .max) | 1

  @inline(__always)
  func callAsFunction(_ bytes: RawSpan) -> UInt64 {
    var state = seed ^ UInt64(truncatingIfNeeded: bytes.byteCount)
    var offset = 0
    while bytes.byteCount - offset > 8 {
      state = mix(state ^ bytes.load(at: offset, as: UInt64.self))
      offset += 8
    }
    return mix(state ^ bytes.lastWord)
  }

  @inline(__always)
  private func mix(_ state: UInt64) -> UInt64 {
    let product = state.multipliedFullWidth(by: multiplier)
    return product.high ^ product.low
  }
}

extension RawSpan {
  /// The last eight bytes; if there are fewer, a number that tells texts of one length apart.
  @inline(__always)
  fileprivate var lastWord: UInt64 {
    switch byteCount {
    case 8...:
      load(at: byteCount - 8, as: UInt64.self)
    case 4...7:
      // The two halves overlap: still every byte is in.
      UInt64(load(at: 0, as: UInt32.self)) << 32
        | UInt64(load(at: byteCount - 4, as: UInt32.self))
    case 1...3:
      UInt64(byte(at: 0)) << 16 | UInt64(byte(at: byteCount / 2)) << 8
        | UInt64(byte(at: byteCount - 1))
    default:
      0
    }
  }

  /// Whether both hold the same bytes, compared eight at a time.
  @inline(__always)
  fileprivate func hasSameWords(as other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    var offset = 0
    while byteCount - offset > 8 {
      guard load(at: offset, as: UInt64.self) == other.load(at: offset, as: UInt64.self) else {
        return false
      }
      offset += 8
    }
    return lastWord == other.lastWord
  }
}
