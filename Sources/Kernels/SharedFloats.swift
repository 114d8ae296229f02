// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Float memory of fixed size that the threads of one computation fill in turns.
///
/// It is mapped: zero at first, on pages of its own, and physical memory is taken only where it is
/// written, so a cache can be as long as its context may become. Parts are lent as spans; nobody may
/// ask for a place that another thread is writing.
@safe
package final class SharedFloats: @unchecked Sendable {
  /// Number of floats.
  package let count: Int
  private let base: UnsafeMutablePointer<Float>
  private let byteCount: Int

  /// Takes memory for `count` zeros.
  ///
  /// - Returns: nil if there is no such memory.
  package init?(count: Int) {
    let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(
      by: MemoryLayout<Float>.stride)
    guard !overflow, count >= 0 else { return nil }
    let mapping = unsafe mmap(
      nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else { return nil }
    // Fewer and larger pages, where the system has them: a step reads long stretches.
    _ = unsafe madvise(mapping, bytes, MADV_HUGEPAGE)
    unsafe base = mapping.assumingMemoryBound(to: Float.self)
    self.count = count
    byteCount = bytes
  }

  deinit {
    unsafe munmap(base, byteCount)
  }

  /// Some floats, to read.
  ///
  /// - Precondition: They lie inside, and no thread writes them meanwhile.
  @inline(__always)
  @_lifetime(borrow self)
  package func span(_ range: Range<Int>) -> Span<Float> {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "floats out of bounds")
    let span = unsafe Span(_unsafeStart: base + range.lowerBound, count: range.count)
    return unsafe _overrideLifetime(span, borrowing: self)
  }

  /// Lends some floats to be written.
  ///
  /// - Precondition: They lie inside, and no other thread uses them meanwhile.
  @inline(__always)
  package func withMutable<Result>(
    _ range: Range<Int>, _ body: (inout MutableSpan<Float>) -> Result
  ) -> Result {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "floats out of bounds")
    var span = unsafe MutableSpan(_unsafeStart: base + range.lowerBound, count: range.count)
    return body(&span)
  }

  /// The float at a place.
  package subscript(_ index: Int) -> Float {
    @inline(__always) get { span(index..<index + 1)[0] }
    @inline(__always) set { withMutable(index..<index + 1) { $0[0] = newValue } }
  }
}
