// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Kernels

/// How the model is computed.
struct KernelOptions: ParsableArguments {
  /// The two forms of Kimi Delta Attention.
  enum Form: String, CaseIterable, ExpressibleByArgument {
    case recurrent
    case chunk
  }

  @Option(help: "Form of the KDA kernel: recurrent or chunk.")
  var kda = Form.recurrent

  @Option(
    help: ArgumentHelp("Tokens in a chunk of the chunkwise KDA kernel.", valueName: "n"))
  var kdaChunk = KimiDeltaKernel.bestChunk

  func validate() throws {
    guard (1...1024).contains(kdaChunk) else {
      throw ValidationError("--kda-chunk must be from 1 to 1024, found \(kdaChunk)")
    }
  }

  /// The kernel that was asked for.
  var kernel: KimiDeltaKernel {
    kda == .recurrent ? .recurrent : .chunkwise(chunk: kdaChunk)
  }
}
