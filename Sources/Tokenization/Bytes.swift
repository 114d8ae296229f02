// SPDX-License-Identifier: Apache-2.0

extension [UInt8] {
  /// The elements as raw bytes, which can be loaded several at a time.
  ///
  /// `Span.bytes` counts as unsafe because elements of other types may have padding between them.
  /// Bytes have none.
  var rawBytes: RawSpan {
    @_lifetime(borrow self)
    get { unsafe span.bytes }
  }
}
