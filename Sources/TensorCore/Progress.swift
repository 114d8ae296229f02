// SPDX-License-Identifier: Apache-2.0

/// How far a long operation is; libraries report it, only the command line shows it.
public struct Progress: Sendable {
  /// What is being done, such as `quantize`.
  public let activity: String
  /// What it is at: a tensor's name, a window.
  public let detail: String
  /// Units done.
  public let completed: Int
  /// Units in all.
  public let total: Int
  /// What a unit is.
  public let unit: Unit

  /// What is counted.
  public enum Unit: Sendable {
    /// Bytes of input.
    case bytes
    /// Tokens.
    case tokens
  }

  /// Where reports go.
  public typealias Handler = (Progress) -> Void

  /// A report.
  public init(activity: String, detail: String, completed: Int, total: Int, unit: Unit) {
    self.activity = activity
    self.detail = detail
    self.completed = completed
    self.total = total
    self.unit = unit
  }

  /// The same report as a part of something larger.
  package func offset(by done: Int, of total: Int) -> Progress {
    Progress(
      activity: activity, detail: detail, completed: completed + done, total: total, unit: unit)
  }
}
