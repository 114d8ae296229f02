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

  @Option(help: "Form of the KDA kernel: recurrent or chunk. (default: recurrent)")
  var kda: Form?

  @Option(
    help: ArgumentHelp(
      "Tokens in a chunk of the chunkwise KDA kernel, which it asks for. (default: 16)",
      valueName: "n"))
  var kdaChunk: Int?

  func validate() throws {
    guard let kdaChunk else { return }
    guard (1...1024).contains(kdaChunk) else {
      throw ValidationError("--kda-chunk must be from 1 to 1024, found \(kdaChunk)")
    }
    guard kda != .recurrent else {
      throw ValidationError("--kda-chunk is of --kda chunk, not of --kda recurrent")
    }
  }

  /// The form that was asked for.
  var form: Form { kda ?? (kdaChunk == nil ? .recurrent : .chunk) }

  /// The kernel that was asked for.
  var kernel: KimiDeltaKernel {
    switch form {
    case .recurrent: .recurrent
    case .chunk: .chunkwise(chunk: kdaChunk ?? KimiDeltaKernel.bestChunk)
    }
  }
}
