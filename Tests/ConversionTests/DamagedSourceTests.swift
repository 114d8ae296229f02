// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import KilnFormat
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// What was damaged on a disk is not passed on as if it were sound.
@Suite struct DamagedSourceTests {
  @Test func `a flipped bit in a packed source ends a conversion and leaves no output`() throws {
    try TemporaryFolder.with { folder in
      let packed = folder.path.appending("x.kiln")
      try pack(TinyCheckpoint().write(to: folder), to: packed)
      let bytes = try folder.read("x.kiln")
      let header = try KilnFile(packed).header
      for entry in [header.tensors[0], header.tensors[header.tensors.count / 2]] {
        var damaged = bytes
        damaged[entry.extent.range.lowerBound] ^= 0x10
        let path = try folder.write(damaged, as: "damaged.kiln")
        let expected = KilnFormatError.checksum(path, part: "tensor \"\(entry.name)\"")
        let before = try folder.entries
        #expect(throws: expected) { try export(path, to: folder.path.appending("out")) }
        #expect(throws: expected) { try pack(path, to: folder.path.appending("out.kiln")) }
        #expect(try folder.entries == before)
      }
    }
  }
}
