// SPDX-License-Identifier: Apache-2.0

/// Lends uninitialised floats that begin at a cache line, for as long as `body` runs.
///
/// - Parameters:
///   - count: How many.
///   - body: Writes every element before it reads it.
/// - Returns: What `body` returns.
func withScratch<Result>(
  _ count: Int, _ body: (inout MutableSpan<Float>) -> Result
) -> Result {
  let size = MemoryLayout<Float>.stride * max(count, 1)
  return unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: 64) { bytes in
    var span = unsafe MutableSpan(_unsafeElements: bytes.bindMemory(to: Float.self))
    return body(&span)
  }
}
