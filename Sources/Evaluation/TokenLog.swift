// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import TensorCore

/// Writes scored tokens as CSV, one row each, so that any program can check the figures.
///
/// Columns: `window,position,token,logprob`; the last is the natural logarithm with nine decimals.
package final class TokenLog {
  private static let bufferByteCount = 1 << 16
  private let output: OutputFile
  private var buffer = Array("window,position,token,logprob\n".utf8)

  /// Starts a log.
  ///
  /// - Throws: `FileError` if the file exists and may not be replaced, or cannot be made.
  package init(_ path: FilePath, replacing: Bool) throws(FileError) {
    output = try OutputFile(path, replacing: replacing)
  }

  /// Adds a row.
  package func append(_ token: PerplexityRun.ScoredToken) throws(FileError) {
    let score = token.logProbability.decimalText(decimals: 9)
    buffer.append(contentsOf: "\(token.window),\(token.position),\(token.token),\(score)\n".utf8)
    if buffer.count >= Self.bufferByteCount { try flush() }
  }

  /// Completes the file.
  package func commit() throws(FileError) {
    try flush()
    try output.commit()
  }

  private func flush() throws(FileError) {
    try output.write(buffer)
    buffer.removeAll(keepingCapacity: true)
  }
}
