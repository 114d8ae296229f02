// SPDX-License-Identifier: Apache-2.0

import FuzzSupport
import TensorCore
import Tokenization

/// The input is a byte, then, with bytes of 0 between them, a vocabulary, a `tokenizer_config.json` and a text.
///
/// | bit of the first byte | meaning |
/// |---|---|
/// | 0 | lines for the 256 single bytes, with the ranks up to 255, stand before those of the vocabulary |
/// | 1 | there is a `tokenizer_config.json` |
/// | 2 | the model has 600 tokens, of which the tokenizer must not have more |
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe execute(start, count) { bytes in
    guard let how = bytes.first else { return }
    let parts = [UInt8](bytes.dropFirst()).parts(3)
    let tokenizer = try Tokenizer(
      model: (how & 1 == 0 ? [] : SampleVocabulary.singleBytes) + parts[0], modelFile: "x.model",
      configuration: how & 2 == 0 ? nil : parts[1], configurationFile: "x.json",
      vocabularySize: how & 4 == 0 ? nil : 600)
    require(how & 4 == 0 || tokenizer.vocabularySize <= 600, "more tokens than the model has")
    try checkRoundTrip(parts[2], tokenizer)
  }
}
