// SPDX-License-Identifier: Apache-2.0

import Foundation
import KilnFormat
import SystemPackage
import TensorCore
import TestSupport

/// What experiments do with files, by paths.
enum Files {
  /// The content of a file.
  static func read(_ path: FilePath) throws -> [UInt8] {
    let file = try MappedFile(path)
    return file.bytes.copy()
  }

  /// Writes a file anew: under a new inode, so that nothing is written through a link.
  static func write(_ bytes: [UInt8], to path: FilePath) throws {
    try? FileManager.default.removeItem(atPath: path.string)
    try Data(bytes).write(to: URL(fileURLWithPath: path.string))
  }

  /// Copies a file or a folder.
  static func copy(_ source: FilePath, to target: FilePath) throws {
    try FileManager.default.copyItem(atPath: source.string, toPath: target.string)
  }

  /// Removes a file, or a folder with all that is in it; nothing is there afterwards, or was.
  static func remove(_ path: FilePath) {
    try? FileManager.default.removeItem(atPath: path.string)
  }

  /// Sets who may read and write.
  static func setMode(_ mode: Int, of path: FilePath) throws {
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path.string)
  }

  /// Removes all that is in a folder.
  static func empty(_ folder: FilePath) throws {
    for name in try FolderListing.entries(of: folder) { remove(folder.appending(name)) }
  }

  /// Whether something is there, be it a link that leads nowhere.
  static func exists(_ path: FilePath) -> Bool {
    (try? FileManager.default.attributesOfItem(atPath: path.string)) != nil
  }

  /// Names of everything in a folder, folders opened, sorted.
  static func listing(_ folder: FilePath) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: folder.string).sorted()
  }

  /// A digest of a file, or of the names and contents of a folder; nil if nothing is there.
  static func digest(_ path: FilePath) throws -> UInt64? {
    switch FileKind(of: path) {
    case nil: return nil
    case .special: return 0
    case .regular:
      // Read and not mapped: to the kernel, the largest size of this process is also that of every process
      // that it starts from then on.
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path.string))
      var digests: [UInt8] = []
      while let piece = try file.read(upToCount: 1 << 20), !piece.isEmpty {
        digests += Checksum.of([UInt8](piece)).littleEndianBytes
      }
      return Checksum.of(digests)
    case .directory:
      var digests: [UInt8] = []
      for name in try listing(path) where FileKind(of: path.appending(name)) == .regular {
        let digest = try digest(path.appending(name)) ?? 0
        digests += Array(name.utf8) + [0] + digest.littleEndianBytes
      }
      return Checksum.of(digests)
    }
  }
}
