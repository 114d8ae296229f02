// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TestSupport

/// A folder of a test, removed with it, and copies of the nano checkpoint to damage.
final class Scratch {
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "kiln-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
  }

  deinit {
    try? FileManager.default.removeItem(at: folder)
  }

  /// A path in the folder.
  func path(_ name: String) -> String { folder.path + "/" + name }
  func url(_ name: String) -> URL { URL(fileURLWithPath: path(name)) }

  /// Names of everything in the folder, folders opened, in order.
  func listing() throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted()
  }

  /// A copy of a folder.
  ///
  /// Files that a test will change in place are copied, the others linked: tests then cost no disk.
  @discardableResult
  func copy(_ source: URL, as name: String, changing changed: [String] = []) throws -> String {
    try FileManager.default.createDirectory(at: url(name), withIntermediateDirectories: true)
    for file in try FileManager.default.contentsOfDirectory(atPath: source.path) {
      try link(
        source.appendingPathComponent(file), as: "\(name)/\(file)",
        isCopy: changed.contains(file))
    }
    return path(name)
  }

  /// A hard link to a file, or a copy of it.
  @discardableResult
  func link(_ source: URL, as name: String, isCopy: Bool = false) throws -> String {
    // A copy must not go through an older link, into the file that others share.
    try? FileManager.default.removeItem(at: url(name))
    // A hard link cannot leave its file system.
    if isCopy || (try? FileManager.default.linkItem(at: source, to: url(name))) == nil {
      try Data(contentsOf: source).write(to: url(name))
    }
    return path(name)
  }

  /// A copy of the nano checkpoint, `model`.
  @discardableResult
  func nano(changing changed: String...) throws -> String {
    try copy(Fixture.nano, as: "model", changing: changed)
  }

  /// Writes a file and gives its path.
  @discardableResult
  func write(_ text: String, to name: String) throws -> String {
    try Data(text.utf8).write(to: url(name))
    return path(name)
  }

  /// Makes a FIFO, which a reader that does not look would wait on for ever.
  func fifo(_ name: String) throws {
    guard unsafe mkfifo(path(name), 0o600) == 0 else { throw CocoaError(.fileWriteUnknown) }
  }

  /// Changes the bytes of a file.
  func edit(_ name: String, _ body: (inout [UInt8]) throws -> Void) throws {
    var bytes = [UInt8](try Data(contentsOf: url(name)))
    try body(&bytes)
    // Under a new inode, in case the old one is shared.
    try FileManager.default.removeItem(at: url(name))
    try Data(bytes).write(to: url(name))
  }

  /// Replaces the first occurrence of a text in a file.
  func replace(_ old: String, with new: String, in name: String) throws {
    try edit(name) { bytes in
      let text = String(decoding: bytes, as: UTF8.self)
      guard let range = text.range(of: old) else { throw MissingText(text: old) }
      bytes = Array(text.replacingCharacters(in: range, with: new).utf8)
    }
  }

  struct MissingText: Error {
    let text: String
  }
}

/// Inputs that are made once.
enum Fixture {
  /// The checkpoint of the repository.
  static let nano: URL = {
    var folder = URL(fileURLWithPath: #filePath)
    // Tests/CommandTests/Support/Scratch.swift
    for _ in 0..<3 { folder.deleteLastPathComponent() }
    return folder.appendingPathComponent("Fixtures/nano")
  }()

  /// A text of some 400 tokens.
  static let text = String(
    repeating: "The kiln burns hot; der Ofen brennt. 12345 tokens \u{2014} ok? 陶\n", count: 20)

  /// nano as a packed file, int4 packed, and as a folder of several shards.
  private static let made: (folder: URL, problem: String?) = {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "kiln-made-\(UUID().uuidString)")
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
      unsafe madeFolder = folder.path
      atexit { unsafe madeFolder.map { try? FileManager.default.removeItem(atPath: $0) } }
      let packed = folder.appendingPathComponent("nano.kiln").path
      for arguments in [
        ["convert", nano.path, packed],
        ["convert", packed, folder.appendingPathComponent("sharded").path, "--shard-size", "3MB"],
        [
          "quantize", nano.path, folder.appendingPathComponent("int4.kiln").path, "--scheme",
          "int4-g32",
        ],
      ] {
        let result = try Tool.run(arguments)
        guard result.status == 0 else { return (folder, result.errors) }
      }
      return (folder, nil)
    } catch {
      return (folder, "\(error)")
    }
  }()
  nonisolated(unsafe) private static var madeFolder: String?

  struct NotMade: Error {
    let problem: String
  }

  private static func made(_ name: String) throws -> URL {
    if let problem = made.problem { throw NotMade(problem: problem) }
    return made.folder.appendingPathComponent(name)
  }

  static func packed() throws -> URL { try made("nano.kiln") }
  static func quantized() throws -> URL { try made("int4.kiln") }
  static func sharded() throws -> URL { try made("sharded") }

  /// A file of the shared data; nil where there is none.
  static func shared(_ name: String) -> URL? {
    SharedData.folder.map { URL(fileURLWithPath: $0.appending(name).string) }
  }
  static let hasShared = SharedData.folder != nil
}
