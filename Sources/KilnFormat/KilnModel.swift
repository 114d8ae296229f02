// SPDX-License-Identifier: Apache-2.0

public import SystemPackage
import TensorCore

/// A packed model: one file, or all shards of one.
public struct KilnModel: Sendable {
  /// Most files that a model may be cut into: Linux maps some 65,000 areas for a process.
  public static let maximumShardCount = 10_000

  /// The files, in the order of their numbers.
  public let shards: [KilnFile]
  /// What all of them hold together; offsets count in the file that `location` gives.
  public let header: KilnHeader
  /// For each tensor of the header, which of `shards` it is in.
  private let shardOfTensor: [Int]

  /// A model in one file.
  ///
  /// - Throws: `KilnFormatError.header` for one shard of several.
  public init(_ file: KilnFile) throws(KilnFormatError) {
    if let shard = file.header.shard, shard.count > 1 {
      throw .header(
        file.file.path,
        problem: "is shard \(shard.number) of \(shard.count); open the folder that has all of them")
    }
    shards = [file]
    header = file.header
    shardOfTensor = [Int](repeating: 0, count: header.tensors.count)
    if header.shard != nil { try header.checkAssemblies(file.file.path) }
  }

  /// A model in a folder of shards.
  ///
  /// - Parameters:
  ///   - files: What is in the folder, in any order, at least one.
  ///   - folder: Its name, for errors.
  /// - Throws: `KilnFormatError` if a shard is missing or there twice, or they do not belong together.
  public init(shards files: [KilnFile], folder: FilePath) throws(KilnFormatError) {
    var shards: [Int: KilnFile] = [:]
    guard let first = files.first?.header, let expected = first.shard else {
      throw .header(folder, problem: "holds .kiln files that are not shards of one model")
    }
    for file in files {
      guard let shard = file.header.shard, shard.count == expected.count,
        shard.set == expected.set, file.header.source == first.source,
        file.header.recipe == first.recipe
      else {
        throw .header(
          file.file.path, problem: "does not belong to the other .kiln files of the folder")
      }
      guard shards.updateValue(file, forKey: shard.number) == nil else {
        throw .header(file.file.path, problem: "shard \(shard.number) is there twice")
      }
      guard shard.number == 1 || file.header.files.isEmpty && file.header.assemblies.isEmpty else {
        throw .header(file.file.path, problem: "files and assemblies belong in the first shard")
      }
    }
    var ordered: [KilnFile] = []
    var tensors: [KilnHeader.TensorEntry] = []
    var shardOfTensor: [Int] = []
    var names = Set<ExactString>()
    for number in 1...expected.count {
      guard let file = shards[number] else {
        throw .header(folder, problem: "shard \(number) of \(expected.count) is missing")
      }
      for tensor in file.header.tensors where !names.insert(tensor.name).inserted {
        throw .entry(file.file.path, name: tensor.name.text, problem: "is in another shard, too")
      }
      shardOfTensor += [Int](repeating: ordered.count, count: file.header.tensors.count)
      tensors += file.header.tensors
      ordered.append(file)
    }
    var header = ordered[0].header
    header.shard = nil
    header.tensors = tensors
    try header.checkAssemblies(folder)
    self.shards = ordered
    self.header = header
    self.shardOfTensor = shardOfTensor
  }

  /// Some shards of a model, in any order, for looking at: others may be missing.
  ///
  /// - Parameters:
  ///   - files: At least one.
  ///   - folder: Where they are, for errors.
  /// - Throws: `KilnFormatError` if they do not belong together, or there are no files.
  package init(present files: [KilnFile], folder: FilePath) throws(KilnFormatError) {
    func number(_ file: KilnFile) -> Int { file.header.shard?.number ?? 0 }
    let ordered = files.sorted { number($0) < number($1) }
    guard let first = ordered.first else { throw .header(folder, problem: "holds no shard") }
    guard ordered.allSatisfy({ $0.header.shard?.set == first.header.shard?.set }) else {
      throw .header(folder, problem: "holds .kiln files that are not shards of one model")
    }
    var header = first.header
    header.tensors = ordered.flatMap(\.header.tensors)
    header.assemblies = []
    self.header = header
    shards = ordered
    shardOfTensor = ordered.indices.flatMap { index in
      [Int](repeating: index, count: ordered[index].header.tensors.count)
    }
  }

  /// The file that holds a tensor, by its place in the header.
  public func file(ofTensor index: Int) -> KilnFile { shards[shardOfTensor[index]] }

  /// The first place between entries whose bytes are not 0 as they must be, from the start of its file.
  package var firstDamagedPadding: Int? {
    for shard in shards {
      let damaged = shard.paddings.first { !shard.file.bytes.isZero($0) }
      if let damaged { return damaged.lowerBound }
    }
    return nil
  }

  /// The file that holds configuration and tokenizer.
  public var first: KilnFile { shards[0] }
}
