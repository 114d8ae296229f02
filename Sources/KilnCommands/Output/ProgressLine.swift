// SPDX-License-Identifier: Apache-2.0

import Reports
import TensorCore

/// A report of progress as one line.
package struct ProgressLine: Sendable {
  /// What is being done.
  package var activity: String
  /// What it is at.
  package var detail: String
  /// Work that is done, 0...1.
  package var share: Double
  /// How fast it is, such as `57.3 MB/s`; nil if that is not known yet.
  package var rate: String?
  /// Seconds since the start.
  package var elapsed: Double
  /// Seconds to the end; nil if that is not known yet.
  package var remaining: Double?

  /// A line with everything.
  package init(
    activity: String, detail: String, share: Double, rate: String?, elapsed: Double,
    remaining: Double?
  ) {
    self.activity = activity
    self.detail = detail
    self.share = share
    self.rate = rate
    self.elapsed = elapsed
    self.remaining = remaining
  }

  /// Fewer cells of a name say nothing.
  private static let leastDetailWidth = 12
  /// The bar, in a wide terminal and in others.
  private static let (wideBar, narrowBar) = (24, 12)
  /// From this width on there is room for the wide one.
  private static let wideTerminal = 100

  /// The line for a file or a pipe, where nothing is drawn over.
  package var plainText: String {
    let rate = rate.map { " \($0)," } ?? ""
    return "\(activity) \(Quantities.percent(share))\(rate)"
      + " \(Quantities.duration(elapsed)) elapsed, \(timeLeft), \(detail.asOneLine)"
  }

  /// The line for a terminal.
  ///
  /// Where there is too little room the detail loses its middle, then it goes, then the rate, the bar, the
  /// elapsed time and the time left.
  ///
  /// - Parameters:
  ///   - width: Cells of the terminal. The last one stays empty, since some terminals then begin a new row.
  ///   - isUTF8: Whether it shows other characters than ASCII.
  /// - Returns: A line that takes fewer cells than that.
  package func bar(width: Int, isUTF8: Bool) -> String {
    let room = max(width - 1, 0)
    let percent = Quantities.percent(share)
    let bar = self.bar(cells: width >= Self.wideTerminal ? Self.wideBar : Self.narrowBar, isUTF8)
    let times = "\(Quantities.duration(elapsed)), \(timeLeft)"
    let full = "\(activity) \(bar) \(percent) " + (rate.map { "\($0), " } ?? "") + times
    let left = room - full.cellCount - 2
    if left >= Self.leastDetailWidth, !detail.isEmpty {
      let name = isUTF8 ? detail.asOneLine : detail.asOneLine.asASCII
      return full + ", " + name.shortened(toCells: left, ellipsis: isUTF8 ? "…" : "...")
    }
    let lines = [
      full, "\(activity) \(bar) \(percent) \(times)", "\(activity) \(percent) \(times)",
      "\(activity) \(percent) \(timeLeft)", "\(activity) \(percent)", percent,
    ]
    return lines.first { $0.cellCount <= room } ?? percent.clipped(toCells: room)
  }

  private var timeLeft: String { "\(remaining.map(Quantities.duration) ?? "?") left" }

  private func bar(cells: Int, _ isUTF8: Bool) -> String {
    let filled = Int((min(max(share, 0), 1) * Double(cells)).rounded(.down))
    return String(repeating: isUTF8 ? "█" : "#", count: filled)
      + String(repeating: isUTF8 ? "░" : "-", count: cells - filled)
  }
}
