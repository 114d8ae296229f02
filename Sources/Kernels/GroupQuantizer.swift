// SPDX-License-Identifier: Apache-2.0

internal import CKernels
package import TensorCore

/// Group quantization in C, with the same bits for every instruction set.
///
/// The readable form, which gives these bits too, is `ReferenceQuantizer` in Quantization.
package struct GroupQuantizer: Sendable {
  /// Bits of a code: 4, 5, 6 or 8.
  package let bits: Int
  /// Elements that share a scale.
  package let groupLength: Int
  /// What the search tries; nil if scales follow from the largest magnitude alone.
  package let search: Search?

  /// Where the search looks, in units of the round-to-nearest scale.
  package struct Search: Sendable {
    let coarseFactors: [Float]
    let fineFactors: ClosedRange<Float>

    /// - Parameters:
    ///   - coarseFactors: Coarse scales at 4 bits, a multiple of 16.
    ///   - fineFactors: Smallest and largest scale at more than 4 bits.
    package init(coarseFactors: [Float], fineFactors: ClosedRange<Float>) {
      precondition(coarseFactors.count % 16 == 0, "coarse factors come in vectors of 16")
      self.coarseFactors = coarseFactors
      self.fineFactors = fineFactors
    }
  }

  /// What quantization cost, summed in the order of the groups.
  package struct Sums: Sendable, Equatable {
    package let squaredError: Double
    package let squaredNorm: Double
    package let nanCount: Int
    package let infinityCount: Int
  }

  /// A quantizer for groups of one length.
  ///
  /// - Precondition: A width of codes that exists, and groups that fill whole bytes, at 5 and 6 bits whole
  ///   words of 32.
  package init(bits: Int, groupLength: Int, search: Search?) {
    precondition(
      TensorEncoding.quantized(bits: bits, group: .row).fits(columns: groupLength),
      "\(bits) bits in groups of \(groupLength)")
    self.bits = bits
    self.groupLength = groupLength
    self.search = search
  }

  /// Quantizes all groups of `values`.
  ///
  /// - Parameters:
  ///   - values: A whole number of groups.
  ///   - codes: Receives the codes.
  ///   - scales: Receives one scale a group.
  ///   - instructions: Which C kernels run.
  /// - Returns: Errors and odd elements.
  /// - Precondition: The spans have sizes that belong together; the processor has the
  ///   instructions.
  package func quantize(
    _ values: Span<Float>, codes: inout MutableSpan<UInt8>, scales: inout MutableSpan<BFloat16>,
    on instructions: InstructionSet = .best
  ) -> Sums {
    let groups = scales.count
    precondition(
      values.count == groups * groupLength && codes.count == values.count * bits / 8,
      "room for codes or scales of the wrong size")
    var sums = kiln_quantization_sums()
    // Room for two groups of whole vectors.
    let scratchCount = 2 * ((groupLength + 15) / 16 * 16)
    unsafe withUnsafeTemporaryAllocation(of: Float.self, capacity: scratchCount) { scratch in
      unsafe (search?.coarseFactors ?? []).withUnsafeBufferPointer { factors in
        var how = unsafe kiln_group_quantization(
          bits: CInt(bits), group_length: groupLength, search: search == nil ? 0 : 1,
          coarse_factors: factors.baseAddress, coarse_count: factors.count,
          fine_low: search?.fineFactors.lowerBound ?? 0,
          fine_high: search?.fineFactors.upperBound ?? 0)
        unsafe values.withUnsafeBufferPointer { values in
          unsafe codes.withUnsafeMutableBufferPointer { codes in
            unsafe scales.withUnsafeMutableBytes { scales in
              unsafe kiln_quantize_groups(
                instructions.code, &how, values.baseAddress, groups, scratch.baseAddress,
                codes.baseAddress, scales.baseAddress?.assumingMemoryBound(to: UInt16.self),
                &sums)
            }
          }
        }
      }
    }
    return Sums(
      squaredError: sums.squared_error, squaredNorm: sums.squared_norm,
      nanCount: sums.nan_count, infinityCount: sums.infinity_count)
  }
}
