// SPDX-License-Identifier: Apache-2.0

import KilnFormat
import Safetensors
package import SystemPackage
package import TensorCore

/// A checkpoint for looking at, of which files may be missing or damaged.
///
/// Whatever computes or converts opens a `Checkpoint`, which is whole or refused. Here the tensors of the files
/// that can be read are taken, so that a person sees what there is.
package struct PartialCheckpoint: Sendable {
  /// What can be read.
  package let checkpoint: Checkpoint
  /// Why it is not the whole; nil if it is.
  package let problem: (any KilnError)?

  /// Opens what is there.
  ///
  /// - Parameters:
  ///   - path: A folder, a safetensors file or a packed file.
  ///   - workers: Threads that read the headers of several files.
  /// - Throws: What `Checkpoint` says, if nothing can be read.
  package init(_ path: FilePath, workers: Workers) throws {
    do {
      checkpoint = try Checkpoint(path, workers: workers)
      problem = nil
    } catch let error as any KilnError {
      guard error.category != .inputOutput,
        let files = ReadableFiles(path), let rest = try? files.checkpoint()
      else { throw error }
      checkpoint = rest
      // A shard by its own path is what was asked for.
      problem = files.isLone ? nil : error
    }
  }
}

/// The files of a checkpoint that can be read.
private struct ReadableFiles {
  private let path: FilePath
  private var safetensors: [SafetensorsFile] = []
  private var packed: [KilnFile] = []
  /// Whether the path leads to one of them.
  let isLone: Bool

  /// Most files that are opened.
  private static let maximumCount = KilnModel.maximumShardCount

  /// - Returns: nil if there are none.
  init?(_ path: FilePath) {
    self.path = path
    isLone = FileKind(of: path) == .regular
    if isLone {
      guard let file = try? KilnFile(path), file.header.shard?.count ?? 1 > 1 else { return nil }
      packed = [file]
      return
    }
    let entries = ((try? FolderListing.entries(of: path)) ?? []).filter { name in
      guard !name.hasPrefix("."), case .inside = FolderBoundary(of: name, in: path) else {
        return false
      }
      return FileKind(of: path.appending(name)) == .regular
    }
    let names = Self.namesInIndex(of: path)
    safetensors = entries.filter { name in
      name.hasSuffix(".safetensors") && names?.contains(ExactString(name)) ?? true
    }.prefix(Self.maximumCount).compactMap { try? SafetensorsFile(path.appending($0)) }
    guard safetensors.isEmpty else { return }
    packed = entries.filter { $0.hasSuffix(".kiln") }.prefix(Self.maximumCount)
      .compactMap { try? KilnFile(path.appending($0)) }
    if packed.isEmpty { return nil }
  }

  /// The shards that the index names; nil if there is none that can be read.
  private static func namesInIndex(of folder: FilePath) -> Set<ExactString>? {
    let path = folder.appending(SafetensorsIndex.fileName)
    guard FileKind(of: path) == .regular, let file = try? MappedFile(path),
      file.byteCount <= SafetensorsIndex.maximumByteCount,
      let index = try? SafetensorsIndex(parsing: file.bytes.copy(), path: path)
    else { return nil }
    return Set(index.shards)
  }

  func checkpoint() throws -> Checkpoint {
    if !packed.isEmpty {
      return try Checkpoint(path, packed: KilnModel(present: packed, folder: path))
    }
    return Checkpoint(
      path: path, kind: .folder, storedTensors: try safetensors.flatMap { try $0.storedTensors() },
      files: auxiliaryFiles, dataFiles: safetensors.map(\.file))
  }

  /// Configuration and the like, unless one of them is what is wrong.
  private var auxiliaryFiles: [AuxiliaryFile] {
    let entries = (try? FolderListing.entries(of: path)) ?? []
    var warnings: [String] = []
    return (try? AuxiliaryFiles.ofFolder(path, entries: entries, warnings: &warnings)) ?? []
  }
}

/// How many shards of a checkpoint there are.
package struct ShardCount: Sendable, Equatable {
  /// Those that are open.
  package let present: Int
  /// Those that make the whole, as the files say.
  package let total: Int

  /// Counts the files of a checkpoint.
  ///
  /// - Returns: nil if they do not say that they are shards.
  package init?(_ checkpoint: Checkpoint) {
    present = checkpoint.dataFiles.count
    if let packed = checkpoint.packed {
      guard let shard = packed.first.header.shard else { return nil }
      total = shard.count
      return
    }
    let totals = Set(
      checkpoint.dataFiles.map { Self.total(in: $0.path.lastComponent?.string ?? "") })
    guard totals.count == 1, let total = totals.first ?? nil, total >= present else { return nil }
    self.total = total
  }

  /// The last number of `model-00001-of-00009.safetensors`.
  private static func total(in name: String) -> Int? {
    guard name.hasSuffix(".safetensors"), let range = name.ranges(of: "-of-").last else {
      return nil
    }
    let digits = name[range.upperBound...].dropLast(".safetensors".count)
    guard (1...6).contains(digits.utf8.count),
      digits.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return Int(digits)
  }
}
