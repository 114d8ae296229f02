// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import TensorCore

/// Writes scored tokens as CSV, one row each, so that any program can check the figures.
///
/// Columns: `window,position,token,logprob`; the last is the natural logarithm with nine decimals. With a
/// base to compare with, also `base_logprob,kl,same_top`: the same of the base, the KL divergence in nats with
/// twelve decimals, and 1 or 0.
package final class TokenLog {
  private static let bufferByteCount = 1 << 16
  private let output: OutputFile
  private var buffer: [UInt8]

  /// Starts a log.
  ///
  /// - Parameters:
  ///   - path: Where it goes.
  ///   - replacing: Whether a file of that name may be replaced.
  ///   - isComparison: Whether rows will be those of compared tokens.
  /// - Throws: `FileError` if the file exists and may not be replaced, or cannot be made.
  package init(_ path: FilePath, replacing: Bool, isComparison: Bool = false) throws(FileError) {
    output = try OutputFile(path, replacing: replacing)
    let columns =
      "window,position,token,logprob" + (isComparison ? ",base_logprob,kl,same_top" : "")
    buffer = Array("\(columns)\n".utf8)
  }

  /// Adds a row.
  package func append(_ token: ScoredToken) throws(FileError) {
    try append(row: Self.row(token))
  }

  /// Adds a row of a comparison.
  package func append(_ token: ComparedToken) throws(FileError) {
    let base = token.baseLogProbability.decimalText(decimals: 9)
    let divergence = token.divergence.decimalText(decimals: 12)
    try append(row: "\(Self.row(token.scored)),\(base),\(divergence),\(token.hasSameTop ? 1 : 0)")
  }

  private static func row(_ token: ScoredToken) -> String {
    let score = token.logProbability.decimalText(decimals: 9)
    return "\(token.window),\(token.position),\(token.token),\(score)"
  }

  private func append(row: String) throws(FileError) {
    buffer.append(contentsOf: "\(row)\n".utf8)
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
