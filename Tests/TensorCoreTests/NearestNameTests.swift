// SPDX-License-Identifier: Apache-2.0

import TensorCore
import Testing

@Suite struct NearestNameTests {
  private static let commands = ["inspect", "convert", "calibrate", "quantize", "verify"]

  @Test(arguments: [
    ("inpsect", "inspect"), ("Quantise", "quantize"), ("verfy", "verify"),
    ("callibrate", "calibrate"),
  ])
  func typingErrors(given: String, meant: String) {
    #expect(NearestName.of(given, among: Self.commands) == meant)
  }

  @Test(arguments: ["chat", "publish", "", "x", "quantization-of-experts"])
  func otherWords(given: String) {
    #expect(NearestName.of(given, among: Self.commands) == nil)
  }

  @Test func shortNamesAreNotConfused() {
    #expect(NearestName.of("chat", among: ["kda"]) == nil)
    #expect(NearestName.of("k", among: ["q", "v"]) == nil)
    #expect(NearestName.of("gtpq", among: ["rtn", "search", "gptq"]) == "gptq")
  }

  @Test func separatorsAndCaseDoNotCount() {
    #expect(
      NearestName.of("Routed-Expert", among: ["shared_expert", "routed_expert"]) == "routed_expert")
    #expect(NearestName.of("int4g32", among: ["int4-g64", "int4-g32", "int8-g32"]) == "int4-g32")
  }

  @Test func tiesGoToTheLongerCommonBeginning() {
    // Both are one replacement away.
    #expect(NearestName.of("int4-g3", among: ["unt4-g3", "int4-g6"]) == "int4-g6")
    #expect(NearestName.of("abcx", among: ["abcd", "abce"]) == "abcd")
  }

  @Test func longNamesEndQuickly() {
    let long = String(repeating: "a", count: 100_000)
    #expect(NearestName.of(long, among: [long]) == nil)
    #expect(NearestName.of("a", among: [long]) == nil)
  }
}
