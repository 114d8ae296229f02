// SPDX-License-Identifier: Apache-2.0

import Glibc
import TensorCore

/// Gives one input of libFuzzer to a reader.
///
/// What a reader throws must be a `KilnError`, and its message must come about without a trap. Everything
/// else that goes wrong ends the process, which is how libFuzzer learns of it.
///
/// - Returns: 0, which is what `LLVMFuzzerTestOneInput` has to return.
package func execute(
  _ start: UnsafePointer<UInt8>?, _ count: Int, _ read: ([UInt8]) throws -> Void
) -> CInt {
  do {
    try read(unsafe [UInt8](UnsafeBufferPointer(start: start, count: count)))
  } catch let error as any KilnError {
    require(!"\(error.category) \(error.description)".isEmpty, "an error without words")
  } catch {
    require(false, "not a KilnError: \(error)")
  }
  return 0
}

/// Reports a find unless a condition holds.
///
/// Unlike `precondition`, which has no message in an optimized build.
package func require(_ condition: Bool, _ problem: @autoclosure () -> String) {
  guard !condition else { return }
  let line = Array("find: \(problem())\n".utf8)
  _ = unsafe line.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
  abort()
}

extension [UInt8] {
  /// The parts between bytes of 0, which no text has: at most so many, missing ones empty.
  package func parts(_ count: Int) -> [[UInt8]] {
    var parts = split(separator: 0, maxSplits: count - 1, omittingEmptySubsequences: false)
      .map { [UInt8]($0) }
    while parts.count < count { parts.append([]) }
    return parts
  }

  /// The integer in the first eight bytes and what follows them; nil if there are fewer.
  package var numberAndRest: (number: UInt64, rest: [UInt8])? {
    guard count >= 8 else { return nil }
    let number = prefix(8).reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    return (number, [UInt8](dropFirst(8)))
  }
}
