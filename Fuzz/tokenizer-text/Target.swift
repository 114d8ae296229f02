// SPDX-License-Identifier: Apache-2.0

import FuzzSupport
import TensorCore
import Tokenization

private let tokenizer = Result { try SampleVocabulary.tokenizer() }

/// The input is a text, encoded with a vocabulary that is right.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe execute(start, count) { bytes in try checkRoundTrip(bytes, try tokenizer.get()) }
}
