// SPDX-License-Identifier: Apache-2.0

import JSON
public import SystemPackage
public import TensorCore

/// `model.safetensors.index.json`: which shard holds which tensor.
public struct SafetensorsIndex: Sendable {
  /// The usual name of the file.
  public static let fileName = "model.safetensors.index.json"
  /// Largest index that is read, in bytes.
  public static let maximumByteCount = 100_000_000

  /// Most shards that an index may name; a process can map few times as many files.
  public static let maximumShardCount = 1 << 14

  /// Shard file name of each tensor.
  public let shardOfTensor: [ExactString: ExactString]
  /// The shards, sorted by name; file systems compare names as bytes, and so does this.
  public let shards: [ExactString]

  /// Parses an index.
  ///
  /// - Parameters:
  ///   - bytes: The JSON text.
  ///   - path: The file, for errors.
  /// - Throws: `SafetensorsError.index`, a JSON error, or `FileError.foreign` for what is no JSON.
  public init(parsing bytes: [UInt8], path: FilePath) throws {
    try ForeignContent.check(bytes, path, as: .json)
    var map: [ExactString: ExactString] = [:]
    var shards = Set<ExactString>()
    var latest: ExactString?
    var hasMap = false
    var scanner = JSONScanner(bytes, file: path.string)
    try scanner.object { scanner, key in
      guard key == "weight_map" else { return try scanner.skip() }
      hasMap = true
      try scanner.object { scanner, name in
        let shard = ExactString(Self.withoutDots(try scanner.string()))
        // One string for all tensors of a shard, most of which follow each other.
        if shard != latest {
          let (isNew, kept) = shards.insert(shard)
          if isNew { try Self.checkName(shard.text, tensor: name.text, path: path) }
          latest = kept
          guard shards.count <= Self.maximumShardCount else {
            throw SafetensorsError.index(
              path, problem: "names more than \(Self.maximumShardCount) shards")
          }
        }
        map[name] = latest
      }
    }
    try scanner.end()
    guard hasMap else { throw SafetensorsError.index(path, problem: "has no \"weight_map\"") }
    guard !map.isEmpty else { throw SafetensorsError.index(path, problem: "names no tensor") }
    shardOfTensor = map
    self.shards = shards.sorted()
  }

  /// The same name without components `.` before others: `./x` is `x`.
  private static func withoutDots(_ shard: String) -> String {
    guard shard.utf8.first == UInt8(ascii: ".") || shard.contains("/./") else { return shard }
    let components = shard.split(separator: "/", omittingEmptySubsequences: false)
    return (components.dropLast().filter { $0 != "." } + components.suffix(1))
      .joined(separator: "/")
  }

  /// Refuses names that could lead out of the folder before anything is opened.
  private static func checkName(_ shard: String, tensor: String, path: FilePath) throws {
    let components = shard.split(separator: "/", omittingEmptySubsequences: false)
    let isSafe = !components.contains { $0.isEmpty || $0 == "." || $0 == ".." }
    guard isSafe, !shard.utf8.contains(0) else {
      throw SafetensorsError.index(
        path, problem: "shard \"\(shard)\" of tensor \"\(tensor)\" is not inside the folder")
    }
  }

  /// Where a shard is.
  ///
  /// - Throws: `FileError.missing`, or `SafetensorsError.index` if links lead out of the folder.
  public static func resolve(
    shard: String, in folder: FilePath, index: FilePath
  ) throws -> FilePath {
    let path = folder.appending(shard)
    switch FolderBoundary(of: shard, in: folder) {
    case .inside: return path
    case .missing where FileKind.isDanglingLink(path): throw FileError.danglingLink(path)
    case .missing: throw FileError.missing(path)
    case .outside(let target):
      throw SafetensorsError.index(
        index, problem: "shard \"\(shard)\" is a link to \(target), outside the folder")
    }
  }
}

extension SafetensorsIndex {
  /// The text of the index of some shards.
  public static func encoded(_ plan: ShardPlan) -> [UInt8] {
    let places = plan.shards.flatMap { shard in
      shard.header.entries.map { (name: $0.name, fileName: shard.fileName) }
    }
    let map = places.sorted { $0.name < $1.name }.map { place in
      JSONMember(key: place.name, value: .string(place.fileName))
    }
    return JSONWriter.pretty([
      "metadata": ["total_size": .integer(plan.byteCount)], "weight_map": .object(map),
    ])
  }
}
