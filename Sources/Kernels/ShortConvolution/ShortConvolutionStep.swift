// SPDX-License-Identifier: Apache-2.0

internal import CKernels

/// The last inputs of a short convolution, for decoding: a ring of rows, one for each tap, so that a
/// token is stored once and never moved.
package struct ConvolutionRing: Sendable {
  /// Where the ring is, `kernel * channels` floats.
  package let place: Range<Int>
  /// Floats of a row.
  package let channels: Int
  /// Rows: taps of the convolution.
  package let kernel: Int

  /// - Precondition: The place has the size that follows.
  package init(place: Range<Int>, channels: Int, kernel: Int) {
    precondition(place.count == channels * kernel, "a ring of another size")
    self.place = place
    self.channels = channels
    self.kernel = kernel
  }

  /// Where the input of the token at `position` is; negative positions are before the first token.
  package func row(_ position: Int) -> Int {
    let remainder = position % kernel
    return place.lowerBound + (remainder < 0 ? remainder + kernel : remainder) * channels
  }

  /// SiLU of the convolution for one token, some channels of it.
  ///
  ///     output[c] = silu(sum over taps j of taps[j, c] * row(position - (kernel - 1) + j)[c])
  ///
  /// - Parameters:
  ///   - position: The token; its input is in the ring.
  ///   - memory: What the ring is in.
  ///   - range: Channels of a row.
  ///   - taps: Weights of these channels, `[kernel, range.count]`.
  ///   - output: One element for each channel.
  ///   - instructions: Which C kernels run.
  package func convolve(
    at position: Int, in memory: SharedFloats, channels range: Range<Int>, taps: Span<Float>,
    into output: inout MutableSpan<Float>, on instructions: InstructionSet = .best
  ) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= channels && output.count == range.count
        && taps.count == kernel * range.count, "channels outside the ring")
    let inputs = memory.span(place)
    unsafe withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: kernel) {
      rows in
      unsafe inputs.withUnsafeBufferPointer { inputs in
        for tap in 0..<kernel {
          let start = row(position - (kernel - 1) + tap) - place.lowerBound + range.lowerBound
          unsafe rows[tap] = inputs.baseAddress.map { unsafe $0 + start }
        }
        unsafe taps.withUnsafeBufferPointer { taps in
          unsafe output.withUnsafeMutableBufferPointer { output in
            unsafe kiln_short_convolution_token(
              instructions.code, rows.baseAddress, taps.baseAddress, kernel, output.baseAddress,
              output.count)
          }
        }
      }
    }
  }
}

extension ShortConvolutionWeights {
  /// The weights of some channels, `[kernel, range.count]`.
  package func taps(channels range: Range<Int>) -> [Float] {
    (0..<kernel).flatMap { tap in range.map { self[channel: $0, tap: tap] } }
  }
}
