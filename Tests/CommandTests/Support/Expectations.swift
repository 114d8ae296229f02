// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// The exit codes that `Docs` promise.
enum Code {
  static let usage: Int32 = 64
  static let badData: Int32 = 65
  static let missingInput: Int32 = 66
  static let cannotCreate: Int32 = 73
  static let inputOutput: Int32 = 74
}

/// Runs a command that must fail as RELIABILITY R1 says: right code, one clean line that names what
/// is wrong, nothing on standard output, nothing left behind, no input changed.
///
/// `inspect` prints what it can read before it fails.
@discardableResult
func expectFailure(
  _ arguments: [String], _ code: Int32, naming names: String..., in scratch: Scratch,
  input: String = "", sourceLocation: SourceLocation = #_sourceLocation
) throws -> Tool.Result {
  let before = try scratch.listing()
  let result = try Tool.run(arguments, input: input, in: scratch.folder)
  let context: Comment = "kiln \(arguments.joined(separator: " ")): \(result.errors)"
  #expect(result.status == code, context, sourceLocation: sourceLocation)
  #expect(result.messages.count == 1, context, sourceLocation: sourceLocation)
  for line in result.errors.split(separator: "\n") {
    #expect(line.utf8.count <= 4096, context, sourceLocation: sourceLocation)
    let isClean = line.unicodeScalars.allSatisfy {
      $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value)
    }
    #expect(isClean, context, sourceLocation: sourceLocation)
  }
  for name in names {
    #expect(result.messages.first?.contains(name) == true, context, sourceLocation: sourceLocation)
  }
  if arguments.first != "inspect" {
    #expect(result.output.isEmpty, context, sourceLocation: sourceLocation)
  }
  #expect(try scratch.listing() == before, context, sourceLocation: sourceLocation)
  return result
}

/// Runs a command that must succeed, with nothing but warnings on standard error.
@discardableResult
func expectSuccess(
  _ arguments: [String], input: String = "", in folder: URL? = nil,
  environment: [String: String] = [:], sourceLocation: SourceLocation = #_sourceLocation
) throws -> Tool.Result {
  let result = try Tool.run(arguments, input: input, in: folder, environment: environment)
  let context: Comment = "kiln \(arguments.joined(separator: " ")): \(result.errors)"
  #expect(result.status == 0, context, sourceLocation: sourceLocation)
  #expect(result.messages.isEmpty, context, sourceLocation: sourceLocation)
  return result
}
