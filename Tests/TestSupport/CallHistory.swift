// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import TensorCore

/// What a run did to paths, in order: whether its outputs would survive a power cut.
package struct CallHistory: Sendable {
  /// One call that succeeded; paths are absolute.
  package enum Event: Equatable, Sendable {
    case write(String)
    case synchronize(String)
    case rename(String, String)
  }

  private let events: [Event]

  /// A history of calls in their order.
  package init(_ events: [Event]) {
    self.events = events
  }

  /// Reads what `Shims/record-calls.c` noted.
  ///
  /// - Parameter log: Its lines.
  package init(recorded log: String) {
    events = log.split(separator: "\n").compactMap { line in
      let parts = line.split(separator: "\t").map(String.init)
      return switch (parts.first, parts.count) {
      case ("write", 2): .write(parts[1])
      case ("fsync", 2): .synchronize(parts[1])
      case ("rename", 3): .rename(parts[1], parts[2])
      default: nil
      }
    }
  }

  /// What is wrong with how a file came to its name; nil if nothing is.
  ///
  /// - Parameters:
  ///   - file: The final name.
  ///   - folder: The folder that appeared as a whole, with this file in it; nil for a file alone.
  /// - Returns: The problem.
  package func problem(of file: FilePath, in folder: FilePath?) -> String? {
    guard let folder else { return problem(ofName: file.string, before: events.count) }
    guard
      let exchange = events.lastIndex(where: {
        if case .rename(_, folder.string) = $0 { true } else { false }
      }),
      case .rename(let temporary, _) = events[exchange]
    else { return "the folder was not renamed to its name" }
    let inside = FilePath(temporary).appending(file.lastComponent?.string ?? "").string
    if let problem = problem(ofName: inside, before: exchange, folder: temporary) {
      return problem
    }
    let parent = folder.removingLastComponent().string
    guard events[exchange...].contains(.synchronize(parent)) else {
      return "no fsync of the folder around it"
    }
    return isSibling(temporary, folder.string) ? nil : "the temporary folder is elsewhere"
  }

  private func problem(ofName name: String, before end: Int, folder: String? = nil) -> String? {
    guard
      let rename = events[..<end].lastIndex(where: {
        if case .rename(_, name) = $0 { true } else { false }
      }),
      case .rename(let source, _) = events[rename]
    else { return "was not renamed to its name" }
    guard isSibling(source, name) else { return "was written in another folder" }
    // A file without bytes is never written to.
    let write = events.lastIndex(of: .write(source)) ?? -1
    guard !events.contains(.write(name)) else { return "was written under its final name" }
    guard let fsync = events[..<rename].lastIndex(of: .synchronize(source)), fsync > write else {
      return "no fsync between the last write and the rename"
    }
    let parent = folder ?? FilePath(name).removingLastComponent().string
    return events[rename..<end].contains(.synchronize(parent))
      ? nil : "no fsync of its folder after the rename"
  }

  private func isSibling(_ first: String, _ second: String) -> Bool {
    FilePath(first).removingLastComponent() == FilePath(second).removingLastComponent()
  }
}
