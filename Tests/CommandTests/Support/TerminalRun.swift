// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

extension Tool {
  /// Runs the program with a terminal as its standard output.
  ///
  /// - Parameters:
  ///   - arguments: Its arguments.
  ///   - columns: Cells of a line of the terminal.
  ///   - folder: Its working folder.
  ///   - environment: Variables to set, on top of those of a common terminal.
  /// - Returns: What it wrote there, and how it ended.
  /// - Throws: If it cannot be started.
  static func run(
    _ arguments: [String], onTerminalOf columns: Int, in folder: URL? = nil,
    environment: [String: String] = [:]
  ) throws -> (text: String, result: Result) {
    let terminal = try PseudoTerminal(columns: columns)
    let name = try FileManager.default.destinationOfSymbolicLink(
      atPath: "/proc/self/fd/\(terminal.user)")
    let common = [
      "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "NO_COLOR": "", "COLUMNS": "",
    ]
    let running = try start(
      arguments, in: folder, environment: common.merging(environment) { $1 },
      redirection: ">\(name)")
    var bytes: [UInt8] = []
    // A terminal holds some kilobytes; a program that is not read waits.
    while true {
      let isRunning = running.isRunning
      let read = drain(terminal.emulator)
      bytes += read
      if !isRunning, read.isEmpty { break }
    }
    let text = String(decoding: bytes, as: UTF8.self).replacing("\r\n", with: "\n")
    return (text, try running.wait())
  }

  /// What can be read within a moment.
  private static func drain(_ descriptor: Int32) -> [UInt8] {
    var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&request, 1, 20) > 0 else { return [] }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let count = unsafe buffer.withUnsafeMutableBytes {
      unsafe read(descriptor, $0.baseAddress, $0.count)
    }
    return Array(buffer.prefix(max(count, 0)))
  }
}
