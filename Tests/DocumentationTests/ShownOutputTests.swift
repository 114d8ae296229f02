// SPDX-License-Identifier: Apache-2.0

import Testing

/// The comparison with which pages are checked finds what is wrong with them.
@Suite struct ShownOutputTests {
  @Test(arguments: [
    ("perplexity     34.69224 ± 2.90262", "perplexity  34.69225 ± 2.90262"),
    ("speed … tokens/s, … s", "speed 4,698 tokens/s, 0.2 s"),
    ("1.2e-5 of 1,056", "1.4e-5 of 1,056"),
    ("…", "anything"),
  ])
  func same(shown: String, found: String) {
    #expect(ShownOutput.matches(shown, found))
  }

  @Test(arguments: [
    ("perplexity 34.69224", "perplexity 34.69227"), ("151 tensors", "152 tensors"),
    ("speed … tokens/s", "speed 12"), ("KL 0.03", "KL 0.03 nats"), ("5.1e-5", "5.1e-6"),
  ])
  func other(shown: String, found: String) {
    #expect(!ShownOutput.matches(shown, found))
  }

  @Test func linesThatAreNotShown() {
    let shown = ShownOutput(lines: ["first", "…", "last"])
    #expect(shown.mismatch(with: ["first", "last"]) == nil)
    #expect(shown.mismatch(with: ["first", "a", "b", "last"]) == nil)
    #expect(shown.mismatch(with: ["first", "a", "last", "more"]) != nil)
    #expect(ShownOutput(lines: ["a", "b"]).mismatch(with: ["a", "c"]) == "found \"c\"")
    #expect(ShownOutput(lines: ["a", "b"]).mismatch(with: ["a"]) == "ends after 1 lines")
  }

  @Test func stepsOfABlock() {
    let console = Transcript(console: ["$ kiln a \\", "  --b", "out", "", "$ kiln c", ""])
    #expect(
      console.steps == [
        .init(command: "kiln a   --b", output: ["out"]), .init(command: "kiln c", output: nil),
      ])
    let script = Transcript(script: ["# why", "kiln a \\", "--b", "kiln c  # note"])
    #expect(script.steps.map(\.command) == ["kiln a --b", "kiln c  # note"])
  }

  @Test func outputsOfACommand() {
    #expect(
      Workbench.outputs(of: "kiln quantize checkpoint/ x.kiln --scheme int4-g32") == ["x.kiln"])
    #expect(
      Workbench.outputs(of: "kiln convert a b && kiln perplexity b --save-base c") == ["b", "c"])
    #expect(Workbench.outputs(of: "kiln verify a --against b").isEmpty)
  }
}
