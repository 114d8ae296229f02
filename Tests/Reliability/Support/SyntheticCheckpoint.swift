// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TestSupport

/// Checkpoints of any size, made by a tool of the shared data.
enum SyntheticCheckpoint {
  /// Makes one.
  ///
  /// - Parameters:
  ///   - path: A new folder.
  ///   - options: Flags of the tool.
  ///   - session: What runs it.
  /// - Returns: false where the tool, or what it needs, is not there.
  static func make(_ path: FilePath, _ options: [String], _ session: Session) -> Bool {
    guard let tool = SharedData.folder?.appending("tools/make_checkpoint.py") else { return false }
    let outcome = try? session.start(
      [tool.string, path.string] + options, seconds: 600, program: "python3"
    ).wait()
    return outcome?.status == 0
  }
}
