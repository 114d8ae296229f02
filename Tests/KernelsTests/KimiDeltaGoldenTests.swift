// SPDX-License-Identifier: Apache-2.0

import Kernels
import TestSupport
import Testing

/// Golden values of the operation alone, computed by the recurrence in float64.
@Suite(.enabled(if: SharedData.folder != nil))
struct KimiDeltaGoldenTests {
  static let cases = [
    "kda_one_token", "kda_no_decay", "kda_odd_tail", "kda_mixed_gates", "kda_strong_gates",
  ]
  static let kernels: [KimiDeltaKernel] = [
    .passes, .recurrent, .chunkwise(chunk: 16), .chunkwise(chunk: 32), .chunkwise(chunk: 64),
    .chunkwise(chunk: 7),
  ]

  @Test(arguments: cases, kernels)
  func fastKernelsAgree(name: String, kernel: KimiDeltaKernel) throws {
    let golden = try GoldenTensors(name)
    let problem = try DeltaProblem(golden)
    for instructions in InstructionSet.available {
      let result = problem.result(kernel, on: instructions)
      let output = relativeError(result.output.elements, try golden.elements("output"))
      let state = relativeError(result.states[0].elements, try golden.elements("final_state"))
      #expect(output < 1e-6, "\(name) \(kernel) \(instructions): output")
      #expect(state < 1e-6, "\(name) \(kernel) \(instructions): state")
    }
  }

  @Test(arguments: cases)
  func referenceAgrees(name: String) throws {
    let golden = try GoldenTensors(name)
    let result = try DeltaProblem(golden).reference()
    #expect(relativeError(result.output.elements, try golden.elements("output")) < 2e-6)
    #expect(relativeError(result.states[0].elements, try golden.elements("final_state")) < 2e-6)
  }
}
