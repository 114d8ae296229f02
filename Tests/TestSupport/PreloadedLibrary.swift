// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// Small libraries in C that a program loads before the C library (`LD_PRELOAD`), in the folder `Shims`.
package enum PreloadedLibrary: String, Sendable {
  /// `write` and `pwrite` take only a part of what they are given.
  case shortWrites = "short-writes"
  /// Calls that write, synchronize and rename are noted; `CallHistory` reads the notes.
  case recordCalls = "record-calls"

  /// Builds it.
  ///
  /// - Parameter folder: Where it goes.
  /// - Returns: Its path; nil if there is no compiler.
  /// - Throws: `ToolProcess.NotStarted`.
  package func build(in folder: FilePath) throws -> FilePath? {
    let source = FilePath(#filePath).removingLastComponent()
      .appending("Shims").appending("\(rawValue).c")
    let library = folder.appending("\(rawValue).so")
    for compiler in ["cc", "clang", "gcc"] {
      let outcome = try ToolProcess(
        compiler, ["-shared", "-fPIC", "-O1", "-o", library.string, source.string, "-ldl"]
      ).wait()
      if outcome.status == 0 { return library }
    }
    return nil
  }
}
