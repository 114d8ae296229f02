// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// A file or folder that is being written, under the hidden name that it has until it is complete.
///
/// The name follows from the final one, so that a run finds what an earlier one left behind; a lock,
/// which ends with its process, tells whether that one is still alive.
struct PartialOutput {
  /// What becomes of bytes that were written when the output is not completed.
  enum Policy {
    /// They are removed, and what an earlier run left behind is too.
    case discard
    /// They stay for a later run, and those of an earlier one are there.
    case keep
  }

  enum Kind {
    case file
    case folder
  }

  /// Longest file name on Linux, in bytes.
  private static let maximumNameByteCount = 255

  /// The hidden name.
  let path: FilePath
  /// The file, open for reading and writing, or the folder; it carries the lock.
  let descriptor: Int32
  private let policy: Policy

  /// Creates the output, or opens it again.
  ///
  /// - Parameters:
  ///   - target: The final name, in the same folder.
  ///   - kind: What to create.
  ///   - policy: What to do about an earlier run, and about this one if it fails.
  ///   - shown: The final name for errors.
  /// - Throws: `FileError.busy` or `.cannotCreate`.
  init(
    for target: FilePath, _ kind: Kind, _ policy: Policy, shownAs shown: FilePath
  ) throws(FileError) {
    let path = Self.name(for: target, suffix: "partial")
    do {
      descriptor = try Self.open(path, kind, policy)
    } catch .resourceTemporarilyUnavailable {
      throw .busy(shown)
    } catch {
      throw .cannotCreate(shown, operation: kind == .file ? "open" : "mkdir", error)
    }
    self.path = path
    self.policy = policy
  }

  /// The hidden name that belongs to a final one.
  static func name(for path: FilePath, suffix: String) -> FilePath {
    let name = path.lastName ?? "output"
    // A name may be as long as names can be; what is put around it must then replace its end.
    let room = maximumNameByteCount - 2 - suffix.utf8.count
    guard name.utf8.count > room else {
      return path.removingLastComponent().appending(argument: ".\(name).\(suffix)")
    }
    // Names that begin alike must not get the same one.
    let mark = "-" + String(fingerprint(name), radix: 36)
    var kept = ""
    for character in name where kept.utf8.count + character.utf8.count + mark.utf8.count <= room {
      kept.append(character)
    }
    return path.removingLastComponent().appending(argument: ".\(kept)\(mark).\(suffix)")
  }

  /// FNV-1a of a name.
  private static func fingerprint(_ name: String) -> UInt64 {
    name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  /// Whether the hidden name still leads to what this output writes to.
  ///
  /// Where locks do not work, another process may have taken it for a left-over.
  var hasItsName: Bool { SystemCalls.leads(path, to: descriptor) }

  /// Bytes that an earlier run has left of an output, a file or a folder of files.
  static func byteCount(for target: FilePath) -> Int {
    let path = name(for: target, suffix: "partial")
    let files = (try? FolderListing.entries(ofUnlinkedFolder: path))?.map {
      path.appending(argument: $0)
    }
    return (files ?? [path]).reduce(0) { $0 + SystemCalls.byteCount(of: $1) }
  }

  /// Ends an output that is not completed.
  func abandon() {
    let isOurs = hasItsName
    close(descriptor)
    discard(isOurs: isOurs)
  }

  /// Removes the output, unless it is to stay; for one whose descriptor is closed, but for another that
  /// keeps its lock.
  func discard() { discard(isOurs: true) }

  private func discard(isOurs: Bool) {
    if policy == .discard, isOurs { TemporaryOutputs.remove(path) }
    TemporaryOutputs.forget(path)
  }

  private static func open(
    _ path: FilePath, _ kind: Kind, _ policy: Policy
  ) throws(Errno) -> Int32 {
    if policy == .keep, let descriptor = try reopen(path, kind) { return descriptor }
    // Registered with the lock of the list held, so that no signal finds it unregistered.
    return try TemporaryOutputs.create(path, isRemovedBySignals: policy == .discard) {
      () throws(Errno) in
      do throws(Errno) {
        return try create(path, kind)
      } catch .fileExists {
        try clear(path)
        return try create(path, kind)
      }
    }
  }

  private static func create(_ path: FilePath, _ kind: Kind) throws(Errno) -> Int32 {
    let descriptor: Int32
    switch kind {
    case .file: descriptor = try SystemCalls.createFile(path)
    case .folder:
      try SystemCalls.createFolder(path)
      do {
        descriptor = try SystemCalls.open(path)
      } catch {
        SystemCalls.remove(path)
        throw error
      }
    }
    try lock(descriptor, of: path)
    return descriptor
  }

  /// Removes what a run left behind that was killed.
  private static func clear(_ path: FilePath) throws(Errno) {
    // Some network file systems lock only what is open for writing, which a folder never is.
    let descriptor: Int32
    do {
      descriptor = try SystemCalls.open(path, writing: true)
    } catch .isDirectory {
      descriptor = try SystemCalls.open(path)
    }
    try lock(descriptor, of: path)
    TemporaryOutputs.remove(path)
    close(descriptor)
  }

  /// Takes the lock of what has just been opened, or closes it.
  ///
  /// Another process may have removed or published it before it was locked: what the name leads to now
  /// is then not ours.
  private static func lock(_ descriptor: Int32, of path: FilePath) throws(Errno) {
    guard SystemCalls.lock(descriptor), SystemCalls.leads(path, to: descriptor) else {
      close(descriptor)
      throw .resourceTemporarilyUnavailable
    }
  }

  /// Opens what is there; nil if nothing of this kind is.
  private static func reopen(_ path: FilePath, _ kind: Kind) throws(Errno) -> Int32? {
    guard let descriptor = try? SystemCalls.open(path, writing: kind == .file) else { return nil }
    // Another name of the file would see what is written here: somebody else made it.
    guard kind == .folder ? isFolder(descriptor) : SystemCalls.isSoleFile(descriptor) else {
      close(descriptor)
      return nil
    }
    try lock(descriptor, of: path)
    return descriptor
  }

  private static func isFolder(_ descriptor: Int32) -> Bool {
    var status = stat()
    return unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}
