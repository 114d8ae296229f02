// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TensorCore
import TestSupport

/// R13: the order of calls with which an output survives a power cut.
///
/// Every file is written under another name in the same folder, is synchronized, then renamed, and its folder
/// is synchronized after that. The same holds for a folder of files: what is in it, then itself.
enum CallOrder {
  static let experiment = Experiment(promises: ["R13"], name: "order of calls", run: run)

  private static func run(_ session: Session) throws -> [Ledger] {
    let ledger = Ledger(
      "R13", "final files of each writing command: write, fsync, rename, fsync of the folder")
    guard let tracer = Tracer(session) else {
      ledger.annotate("skipped: no strace")
      return [ledger]
    }
    let scenarios = Scenario.all
    try session.forEach(scenarios.count, "order") { lane, index in
      let stage = try Stage(
        scenarios[index], in: lane, model: session.models.folder, packed: session.models.packed,
        session)
      let names =
        "openat,open,close,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,ftruncate,fallocate"
      let calls = try tracer.calls(names, of: stage)
      let history = CallHistory(events(of: calls, in: lane))
      let output = lane.appending(scenarios[index].output)
      let isFolder = FileKind(of: output) == .directory
      // Of a folder, those that stay from before were not written.
      let files =
        isFolder
        ? try FolderListing.entries(of: output).map { output.appending($0) }.filter {
          try Files.read($0) != Array("precious\n".utf8)
        } : [output]
      for file in files {
        ledger.record(
          isFolder ? history.problem(of: file, in: output) : history.problem(of: file, in: nil),
          "\(scenarios[index]): \(file.lastComponent?.string ?? "")")
      }
    }
    return [ledger]
  }

  /// What calls did to paths, in order.
  private static func events(of calls: [Tracer.Call], in folder: FilePath) -> [CallHistory.Event] {
    var events: [CallHistory.Event] = []
    var paths: [String: String] = [:]
    func absolute(_ text: Substring) -> String {
      FilePath(String(text)).isAbsolute
        ? String(text) : folder.appending(String(text)).lexicallyNormalized().string
    }
    for call in calls {
      let quoted = call.text.split(separator: "\"", omittingEmptySubsequences: false)
      let first = String(call.text.prefix { $0.isNumber })
      let result =
        call.text.split(separator: "=").last.map { $0.filter { !$0.isWhitespace } } ?? ""
      switch call.name {
      case "openat", "open":
        if quoted.count > 1 { paths[String(result.prefix { $0.isNumber })] = absolute(quoted[1]) }
      case "close": paths[first] = nil
      case "write", "pwrite64", "ftruncate", "fallocate":
        if let path = paths[first] { events.append(.write(path)) }
      case "fsync", "fdatasync":
        if let path = paths[first], result == "0" { events.append(.synchronize(path)) }
      default:
        if quoted.count > 3, result == "0" {
          events.append(.rename(absolute(quoted[1]), absolute(quoted[3])))
        }
      }
    }
    return events
  }
}
