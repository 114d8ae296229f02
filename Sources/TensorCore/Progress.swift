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
  /// Work done and in all.
  public let work: Work

  /// What is counted.
  public enum Unit: Sendable {
    /// Bytes of input.
    case bytes
    /// Tokens.
    case tokens
    /// Matrices that are quantized.
    case matrices
    /// Parts of a model that get a scheme together.
    case parts
    /// Measurements, which differ too much in their times to tell from some how long the others take.
    case measurements
  }

  /// Work in a unit of cost, such as nanoseconds on some machine.
  ///
  /// Units that are counted may differ in what they cost: a byte that is copied takes a hundredth of the time of one
  /// that is calibrated. The time left is told from work, so only ratios matter.
  public struct Work: Sendable, Equatable {
    /// Work done.
    public var completed: Double
    /// Work in all.
    public var total: Double

    /// An amount of work.
    public init(completed: Double, total: Double) {
      self.completed = completed
      self.total = total
    }

    /// What is done of it, 0...1; 1 if there is nothing to do.
    public var share: Double {
      total > 0 ? min(max(completed / total, 0), 1) : 1
    }

    /// Both together.
    public static func + (left: Self, right: Self) -> Self {
      Self(completed: left.completed + right.completed, total: left.total + right.total)
    }
  }

  /// Where reports go.
  public typealias Handler = (Progress) -> Void

  /// A report; `work` is what the units cost, nil if all cost the same.
  public init(
    activity: String, detail: String, completed: Int, total: Int, unit: Unit, work: Work? = nil
  ) {
    self.activity = activity
    self.detail = detail
    self.completed = completed
    self.total = total
    self.unit = unit
    self.work = work ?? Work(completed: Double(completed), total: Double(total))
  }
}
