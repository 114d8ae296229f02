// SPDX-License-Identifier: Apache-2.0

import KilnFormat
import Safetensors
import SystemPackage
import TensorCore

/// Opens a checkpoint folder in the layout of the Hugging Face hub.
struct CheckpointFolder {
  private let path: FilePath
  private let entries: [String]
  private let workers: Workers

  /// - Parameters:
  ///   - path: The folder.
  ///   - workers: Threads that read headers.
  /// - Throws: `FileError`.
  init(_ path: FilePath, workers: Workers) throws(FileError) {
    self.path = path
    self.workers = workers
    entries = try FolderListing.entries(of: path)
  }

  func open() throws -> Checkpoint {
    let contents = FolderTensors(entries)
    var warnings: [String] = []
    let tensors: [StoredTensor]
    let dataFiles: [MappedFile]
    switch contents.choice {
    case .index: (tensors, dataFiles) = try sharded(contents, warnings: &warnings)
    case .file(let name):
      (tensors, dataFiles) = try single(name)
      warnings += contents.leftOut(in: path)
    case .packed(let names): return try packed(names)
    case .missingIndex(let count): throw CheckpointError.missingIndex(path, shards: count)
    case .nothing: throw contents.problem(of: path)
    }
    let auxiliary = try AuxiliaryFiles(ofFolder: path, entries: entries)
    return Checkpoint(
      path: path, kind: .folder, storedTensors: tensors, files: auxiliary.files,
      dataFiles: dataFiles, warnings: warnings, leftOut: auxiliary.leftOut)
  }

  /// One packed file, or the shards of one model.
  private func packed(_ names: [String]) throws -> Checkpoint {
    guard names.count <= KilnModel.maximumShardCount else {
      throw CheckpointError.unrecognized(path)
    }
    let files = try names.map { name in
      let file = try MappedFile(path.appending(argument: name))
      try ForeignContent.check(file.bytes, file.path, as: .packed)
      return try KilnFile(mapped: file)
    }
    let model =
      files.count == 1 && files[0].header.shard == nil
      ? try KilnModel(files[0]) : try KilnModel(shards: files, folder: path)
    return try Checkpoint(path, packed: model)
  }

  private func single(_ name: String) throws -> ([StoredTensor], [MappedFile]) {
    let file = try SafetensorsFile(path.appending(argument: name))
    return (try file.storedTensors(), [file.file])
  }

  private func sharded(
    _ contents: FolderTensors, warnings: inout [String]
  ) throws -> ([StoredTensor], [MappedFile]) {
    let indexPath = path.appending(SafetensorsIndex.fileName)
    let mapped = try MappedFile(indexPath)
    guard mapped.byteCount <= SafetensorsIndex.maximumByteCount else {
      throw FileError.tooLarge(
        indexPath, size: mapped.byteCount, limit: SafetensorsIndex.maximumByteCount)
    }
    let index = try SafetensorsIndex(parsing: mapped.bytes.copy(), path: indexPath)
    try checkPresent(index, at: indexPath)
    warnings += contents.leftOut(in: path, shards: index.shards)
    var tensors: [StoredTensor] = []
    var dataFiles: [MappedFile] = []
    var shards = index.shards[...]
    try workers.inOrder(
      ahead: workers.count * 2, next: { shards.popFirst() },
      transform: { shard in Result { try open(shard, of: index, at: indexPath) } },
      consume: { outcome in
        let shard = try outcome.get()
        dataFiles.append(shard.file)
        tensors += shard.tensors
        if shard.unlistedCount > 0 {
          warnings.append(
            "\(shard.file.path): \(shard.unlistedCount)"
              + (shard.unlistedCount == 1
                ? " tensor that the index does not place there is ignored"
                : " tensors that the index does not place there are ignored"))
        }
      })
    // No name is in one shard twice, and none in a shard that the index does not give for it.
    if tensors.count < index.shardOfTensor.count {
      let found = Set(tensors.map(\.name))
      let missing = index.shardOfTensor.filter { !found.contains($0.key) }
      if let (name, shard) = missing.min(by: { $0.key < $1.key }) {
        throw SafetensorsError.missingTensor(indexPath, name: name.text, shard: shard.text)
      }
    }
    return (tensors, dataFiles)
  }

  /// Refuses an index of which nothing is there although another file holds tensors: it is hardly the
  /// one that belongs to this checkpoint, and to take that file could be as wrong.
  private func checkPresent(
    _ index: SafetensorsIndex, at indexPath: FilePath
  ) throws(CheckpointError) {
    guard entries.contains("model.safetensors"), let first = index.shards.first,
      !index.shards.contains(where: { FileKind(of: path.appending($0.text)) != nil })
    else { return }
    throw .staleIndex(indexPath, shard: first.text, file: "model.safetensors")
  }

  private struct Shard {
    let file: MappedFile
    let tensors: [StoredTensor]
    /// Tensors of the file that the index does not place there.
    let unlistedCount: Int
  }

  private func open(
    _ shard: ExactString, of index: SafetensorsIndex, at indexPath: FilePath
  ) throws -> Shard {
    let file = try SafetensorsFile(
      SafetensorsIndex.resolve(shard: shard.text, in: path, index: indexPath))
    let all = try file.storedTensors()
    // The index decides: a tensor that it places elsewhere, or not at all, is not this one.
    let listed = all.filter { index.shardOfTensor[$0.name] == shard }
    return Shard(file: file.file, tensors: listed, unlistedCount: all.count - listed.count)
  }
}

extension SafetensorsFile {
  /// The tensors of the file in the order of their bytes.
  func storedTensors() throws -> [StoredTensor] {
    try header.entries.map { entry in
      // The header's own checks imply that this succeeds.
      guard
        let tensor = EncodedTensor(
          encoding: .plain(entry.dtype), shape: entry.shape, region: region(of: entry))
      else {
        throw SafetensorsError.tensor(file.path, name: entry.name.text, problem: "has a wrong size")
      }
      return StoredTensor(name: entry.name, tensor: tensor, sourceDType: entry.dtype)
    }
  }
}

extension Checkpoint {
  /// One safetensors file; configuration, tokenizer and the like are looked for in its folder.
  init(single mapped: MappedFile) throws {
    let file = try SafetensorsFile(mapped: mapped)
    let auxiliary = try AuxiliaryFiles(besideFile: mapped.path)
    self.init(
      path: mapped.path, kind: .safetensors, storedTensors: try file.storedTensors(),
      files: auxiliary.files, dataFiles: [mapped], leftOut: auxiliary.leftOut)
  }
}
