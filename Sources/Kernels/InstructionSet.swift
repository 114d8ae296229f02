// SPDX-License-Identifier: Apache-2.0

internal import CKernels
internal import TensorCore

/// The instructions that a C kernel is compiled for.
///
/// Which one runs changes the time and, but for two things, nothing else: products (`StripProduct`,
/// `StoredMatrix`), KDA and exponentials round once a step where there are fused instructions, and twice without;
/// and products of integer codes with one vector are summed in integers where there is VNNI.
package enum InstructionSet: String, CaseIterable, Sendable {
  /// What every machine of the architecture has.
  case portable
  /// AVX2, FMA and F16C: x86-64 machines since 2013.
  case avx2
  /// AVX-512 F, BW, VL and DQ.
  case avx512
  /// AVX-512 with VNNI: single vectors meet integer codes in integers.
  case avx512vnni
  /// The same with VBMI2 and GFNI: equal bits in fewer instructions.
  case avx512vbmi2

  /// The sets that this machine can run, narrowest first.
  package static let available: [InstructionSet] = {
    switch kiln_best_instruction_set() {
    case KILN_AVX512_VBMI2: allCases
    case KILN_AVX512_VNNI: [.portable, .avx2, .avx512, .avx512vnni]
    case KILN_AVX512: [.portable, .avx2, .avx512]
    case KILN_AVX2: [.portable, .avx2]
    default: [.portable]
    }
  }()

  /// What kernels use unless they are told: the widest that is available.
  ///
  /// `KILN_INSTRUCTIONS` in the environment names a narrower one, to measure it.
  package static let best: InstructionSet = {
    let wanted = ProcessVariables.value(of: "KILN_INSTRUCTIONS").flatMap(Self.init(rawValue:))
    if let wanted, available.contains(wanted) { return wanted }
    return available.last ?? .portable
  }()

  /// The set as C kernels are told it.
  var code: kiln_instruction_set {
    switch self {
    case .portable: KILN_PORTABLE
    case .avx2: KILN_AVX2
    case .avx512: KILN_AVX512
    case .avx512vnni: KILN_AVX512_VNNI
    case .avx512vbmi2: KILN_AVX512_VBMI2
    }
  }
}
