// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Inspection
import JSON
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// What codes may be from the weights that they stand for, with error feedback and without, and files that change.
@Suite struct RoundingVerdictTests {
  private let scene = ComparedCheckpoints()

  /// Where the codes and the scales of the tensor of the scene are.
  private struct Place {
    let codes: Int
    let scales: Int
  }

  /// int4-g32 of the source, made by round-to-nearest.
  private func packed(
    _ source: FilePath, _ folder: TemporaryFolder
  ) throws -> (bytes: [UInt8], place: Place) {
    let path = try scene.pack(source, folder, as: "sound.kiln", scheme: "int4-g32")
    let stored = try #require(Checkpoint(path).storedTensors.first { $0.name == scene.name })
    let tensor = try #require(stored.inPlace)
    let start = tensor.region.range.lowerBound
    return (
      try folder.read("sound.kiln"), Place(codes: start, scales: start + tensor.codeByteCount)
    )
  }

  /// What comparing a file with the source says about the tensor that was changed in it.
  ///
  /// - Parameters:
  ///   - isCalibrated: Whether the header says that error feedback chose the codes.
  ///   - change: Changes the bytes of the sound file.
  /// - Returns: The comparison of that tensor.
  /// - Throws: What went wrong on the way.
  private func compared(
    isCalibrated: Bool, _ change: (inout [UInt8], Place) -> Void
  ) throws -> TensorComparison {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      var (bytes, place) = try packed(source, folder)
      change(&bytes, place)
      if isCalibrated { bytes = try calibrated(bytes) }
      let path = try folder.write(bytes, as: "x.kiln")
      let found = try scene.tensor(scene.compare(path, source))
      // On whichever side the codes are.
      let swapped = try scene.tensor(scene.compare(source, path))
      #expect(swapped.verdict == found.verdict)
      #expect(swapped.tally.worstRatio == found.tally.worstRatio)
      return found
    }
  }

  private func calibrated(_ bytes: [UInt8]) throws -> [UInt8] {
    let file = try RawPackedFile(opening: bytes)
    guard case .object(let members) = try file.tree() else { return bytes }
    let changed = members.flatMap { member -> [JSONMember] in
      guard member.key == "recipe", case .object(let recipe) = member.value else { return [member] }
      let rules = recipe.map { $0.key == "method" ? JSONMember(key: "method", value: "gptq") : $0 }
      return [
        JSONMember(key: "recipe", value: .object(rules)),
        JSONMember(key: "calibration", value: ["method": "gptq"]),
      ]
    }
    return file.with(.object(changed)).sealed
  }

  /// Adds steps to the code of the first element.
  private static func shift(_ bytes: inout [UInt8], _ place: Place, to code: (Int) -> Int) {
    let old = Int(bytes[place.codes] & 15)
    bytes[place.codes] = bytes[place.codes] & 0xF0 | UInt8(code(old))
  }

  @Test func `a code one step from the nearest is error feedback or a difference`() throws {
    for isCalibrated in [true, false] {
      let found = try compared(isCalibrated: isCalibrated) { bytes, place in
        Self.shift(&bytes, place) { $0 < 8 ? $0 + 1 : $0 - 1 }
      }
      #expect(found.verdict == (isCalibrated ? .withinBound : .different))
      #expect(found.tally.differingCount == (isCalibrated ? 0 : 1))
      #expect(found.tally.firstDiffering == (isCalibrated ? nil : 0))
      // The other codes are at most half a step away: 1/2 of 8 steps, or of half a step.
      #expect(isCalibrated ? found.tally.worstRatio < 0.19 : found.tally.worstRatio > 1)
    }
  }

  @Test func `a code more than eight steps away is no error feedback`() throws {
    let found = try compared(isCalibrated: true) { bytes, place in
      // From one end of the range to the other; eight steps are permitted.
      for element in 0..<32 {
        let shift = UInt8(element % 2 * 4)
        let byte = place.codes + element / 2
        let code = bytes[byte] >> shift & 15
        guard code <= 3 || code >= 13 else { continue }
        bytes[byte] = bytes[byte] & ~(15 << shift) | (code <= 3 ? 15 : 0) << shift
        return
      }
      Issue.record("a group without large weights")
    }
    #expect(found.verdict == .different && found.tally.differingCount == 1)
    #expect(found.tally.worstRatio > 1)
  }

  /// A group whose codes are all 0 says that its weights are too small for any scale, unless codes make up for
  /// each other.
  @Test func `a group of zeros stands for weights of several steps after error feedback alone`()
    throws
  {
    for isCalibrated in [true, false] {
      let found = try compared(isCalibrated: isCalibrated) { bytes, place in
        for byte in place.codes..<place.codes + 16 { bytes[byte] = 0x88 }
      }
      #expect(found.verdict == (isCalibrated ? .withinBound : .different))
      // Even weights below half a step: round-to-nearest would have given them a smaller scale.
      #expect(isCalibrated || found.tally.differingCount >= 31)
    }
  }

  @Test func `a file that lost its last byte after it was opened is an error, on either side`()
    throws
  {
    try TemporaryFolder.with { folder in
      let source = try scene.checkpoint.write(to: folder)
      let other = try scene.checkpoint.write(to: folder, as: "other")
      let size = try folder.read("other/model.safetensors").count
      for isLeft in [true, false] {
        let (opened, changed) = (try Checkpoint(source), try Checkpoint(other))
        try folder.extend("other/model.safetensors", to: size - 1)
        #expect(
          throws: FileError.shrank(
            other.appending("model.safetensors"), expected: size, found: size - 1)
        ) {
          try ModelComparison(
            isLeft ? changed : opened, isLeft ? opened : changed, workers: Workers(count: 2),
            progress: { _ in })
        }
        try folder.extend("other/model.safetensors", to: size)
      }
    }
  }
}
