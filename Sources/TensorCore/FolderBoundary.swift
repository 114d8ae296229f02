// SPDX-License-Identifier: Apache-2.0

public import SystemPackage

/// Where a name in a folder leads to, once links are followed.
///
/// Checkpoints are downloads: a link in one must not make Kiln read, or carry into an output, a file
/// that is not part of it.
public enum FolderBoundary: Equatable {
  /// Nothing is there.
  case missing
  /// To something in the folder, or, in the layout of the Hugging Face cache
  /// (`NAME/snapshots/REVISION/FILE -> ../../blobs/HASH`), in `NAME/blobs`.
  case inside
  /// To this place elsewhere.
  case outside(FilePath)

  /// Follows a name.
  public init(of name: String, in folder: FilePath) {
    guard let target = SystemCalls.canonical(folder.appending(name)),
      let home = SystemCalls.canonical(folder)
    else {
      self = .missing
      return
    }
    let revisions = home.removingLastComponent()
    let isBlob =
      revisions.lastComponent?.string == "snapshots"
      && target.starts(with: revisions.removingLastComponent().appending("blobs"))
    self = target.starts(with: home) || isBlob ? .inside : .outside(target)
  }
}
