// SPDX-License-Identifier: Apache-2.0

import KilnFormat
import SystemPackage
import TensorCore
import TestSupport

/// R21: packed files of older versions are read for ever, newer ones are refused with their number.
enum OldFiles {
  static let experiment = Experiment(promises: ["R21"], name: "versions", run: run)

  private static let vectors = FilePath(#filePath)
    .removingLastComponent().removingLastComponent().removingLastComponent().removingLastComponent()
    .appending("Formats/Vectors")

  private static func run(_ session: Session) throws -> [Ledger] {
    let read = Ledger("R21", "entries of golden packed files: read, checksums match")
    let refused = Ledger(
      "R21", "later versions and unknown required features: refused with the number")
    for name in try FolderListing.entries(of: vectors) where name.hasSuffix(".kiln") {
      let path = vectors.appending(name)
      let file = try KilnFile(path)
      for extent in file.header.files.map(\.extent) + file.header.tensors.map(\.extent) {
        read.record(file.isIntact(extent) ? nil : "damaged", "\(name) at \(extent.range)")
      }
      try refusals(of: path, session, refused)
    }
    return [read, refused]
  }

  private static func refusals(of path: FilePath, _ session: Session, _ ledger: Ledger) throws {
    let file = try RawPackedFile(opening: try Files.read(path), room: 0)
    let header = file.paddedHeader
    let size = 64 + header.count + file.data.count
    let scratch = TemporaryFolder(at: session.folder.path)
    func attempt(_ prelude: [UInt8], _ words: [String], _ what: String) throws {
      try scratch.write(prelude + header + file.data, as: "later.kiln")
      for subject in [Subject.inspect, .convert, .tokenize, .perplexity] {
        let arguments = subject.arguments("later.kiln", isPacked: true)
        let outcome = try session.run(arguments, in: session.folder.path)
        var problem = Verdict.problem(outcome, places: ["later.kiln"], mustFail: true)
        if let missing = words.first(where: { !outcome.errors.contains($0) }) {
          problem = problem ?? "does not say \(missing): \(outcome.errors)"
        }
        ledger.record(problem, "\(what): \(subject)")
      }
    }
    let versions = (file.header.isEmpty ? [] : [2, 3, 255, 256, UInt32.max]).filter { $0 != 1 }
    for version in versions {
      try attempt(
        RawPackedFile.prelude(header: header, version: version, fileByteCount: size),
        ["version \(version)"],
        "version \(version)")
    }
    for bit in 8..<32 {
      let features = UInt32(1) << UInt32(bit)
      try attempt(
        RawPackedFile.prelude(header: header, required: features, fileByteCount: size),
        ["features", String(features, radix: 16)], "required feature \(bit)")
    }
    Files.remove(session.folder.path.appending("later.kiln"))
  }
}
