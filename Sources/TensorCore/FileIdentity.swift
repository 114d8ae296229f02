// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// Which file a path leads to, whatever its name.
public struct FileIdentity: Hashable, Sendable {
  /// Device number.
  public let device: UInt64
  /// Inode number on that device.
  public let inode: UInt64

  /// A known pair.
  public init(device: UInt64, inode: UInt64) {
    self.device = device
    self.inode = inode
  }

  /// The identity of what is at a path, following symbolic links; nil if nothing is.
  public init?(of path: FilePath) {
    var status = stat()
    guard unsafe stat(path.cString, &status) == 0 else { return nil }
    self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }
}

/// The kind of thing that a path leads to.
public enum FileKind: Sendable, Equatable, CustomStringConvertible {
  /// Ordinary content.
  case regular
  /// A folder.
  case directory
  /// A FIFO, a socket, a device.
  case special

  /// The kind of what is at a path, following symbolic links; nil if nothing is.
  public init?(of path: FilePath) {
    var status = stat()
    guard unsafe stat(path.cString, &status) == 0 else { return nil }
    self.init(mode: status.st_mode)
  }

  /// Whether a path is a symbolic link to something that is not there.
  public static func isDanglingLink(_ path: FilePath) -> Bool {
    SystemCalls.isLink(path) && FileKind(of: path) == nil
  }

  init(mode: mode_t) {
    switch mode & S_IFMT {
    case S_IFREG: self = .regular
    case S_IFDIR: self = .directory
    default: self = .special
    }
  }

  /// The kind with its article, for messages.
  public var description: String {
    switch self {
    case .regular: "a regular file"
    case .directory: "a folder"
    case .special: "a device, FIFO or socket"
    }
  }
}
