// SPDX-License-Identifier: Apache-2.0

public import TensorCore

/// How tensors are divided over safetensors files.
public struct ShardPlan: Sendable {
  /// Most bytes of tensors in a file, unless one tensor has more: the usual five gigabytes.
  public static let defaultShardByteCount = 5_000_000_000

  /// A tensor that will be written.
  public struct Tensor: Sendable {
    /// Its name.
    public let name: ExactString
    /// Its element type.
    public let dtype: DType
    /// Its dimensions.
    public let shape: TensorShape
    /// Its bytes.
    public let byteCount: Int

    /// A tensor whose size is known to be right.
    public init(name: ExactString, dtype: DType, shape: TensorShape, byteCount: Int) {
      self.name = name
      self.dtype = dtype
      self.shape = shape
      self.byteCount = byteCount
    }
  }

  /// One file.
  public struct Shard: Sendable {
    /// Its name.
    public let fileName: String
    /// Its header.
    public let header: SafetensorsHeader
    /// Indices of its tensors in the list that was planned, in the order of the file.
    public let tensors: [Int]
  }

  /// The files: `model.safetensors`, or `model-00001-of-0000N.safetensors` and so on.
  public let shards: [Shard]
  /// Bytes of all tensors.
  public let byteCount: Int

  /// Divides tensors, in the order given, over files of at most so many bytes.
  public init(_ tensors: [Tensor], shardByteCount: Int = defaultShardByteCount) {
    var parts: [[Int]] = []
    var room = 0
    for (index, tensor) in tensors.enumerated() {
      if parts.isEmpty || tensor.byteCount > room {
        parts.append([])
        room = shardByteCount
      }
      parts[parts.count - 1].append(index)
      room -= tensor.byteCount
    }
    if parts.isEmpty { parts.append([]) }
    let count = parts.count
    shards = parts.enumerated().map { number, indices in
      Self.shard(
        indices, of: tensors,
        fileName: count == 1
          ? "model.safetensors"
          : "model-\(Self.padded(number + 1))-of-\(Self.padded(count)).safetensors")
    }
    byteCount = tensors.reduce(0) { $0 + $1.byteCount }
  }

  /// Wide elements first and names in order, as the reference implementation writes: every tensor is
  /// then aligned to its elements.
  private static func shard(_ indices: [Int], of tensors: [Tensor], fileName: String) -> Shard {
    let order = indices.sorted { left, right in
      let (left, right) = (tensors[left], tensors[right])
      return left.dtype.bitWidth == right.dtype.bitWidth
        ? left.name < right.name : left.dtype.bitWidth > right.dtype.bitWidth
    }
    var end = 0
    let entries = order.map { index in
      let tensor = tensors[index]
      let range = end..<end + tensor.byteCount
      end = range.upperBound
      return SafetensorsHeader.Entry(
        name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, range: range)
    }
    return Shard(
      fileName: fileName,
      header: SafetensorsHeader(entries: entries, metadata: [(key: "format", value: "pt")]),
      tensors: order)
  }

  private static func padded(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(5 - text.count, 0)) + text
  }
}
