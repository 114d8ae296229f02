// SPDX-License-Identifier: Apache-2.0

import Reports
import TensorCore

/// Shows progress on standard error: a bar on a terminal, a line now and then elsewhere.
final class ProgressPrinter {
  /// What to show.
  enum Style: String, CaseIterable {
    case auto
    case plain
    case none
  }

  private let isBar: Bool
  private let isSilent: Bool
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant
  private var lastShown: ContinuousClock.Instant
  private var hasBar = false

  init(_ style: Style) {
    isSilent = style == .none
    isBar = style == .auto && StandardError.isTerminal
    start = clock.now
    lastShown = start
  }

  /// Shows a report, unless the last one was shown a moment ago.
  func show(_ progress: Progress) {
    guard !isSilent else { return }
    let now = clock.now
    let isLast = progress.completed >= progress.total
    let pause: Duration = isBar ? .milliseconds(100) : .seconds(5)
    guard now - lastShown >= pause || isBar && isLast else { return }
    lastShown = now
    let line = text(progress, seconds: (now - start).inSeconds)
    if isBar {
      hasBar = true
      StandardError.write("\r\u{1B}[K" + line)
    } else {
      StandardError.print(line)
    }
  }

  /// Removes the bar, so that what follows starts on a clean line.
  func finish() {
    if hasBar { StandardError.write("\r\u{1B}[K") }
    hasBar = false
  }

  private func text(_ progress: Progress, seconds: Double) -> String {
    let share = progress.total > 0 ? Double(progress.completed) / Double(progress.total) : 1
    let rate = seconds > 0 ? Double(progress.completed) / seconds : 0
    let remaining = rate > 0 ? Double(progress.total - progress.completed) / rate : .infinity
    let rateText =
      switch progress.unit {
      case .bytes: Quantities.bytes(Int(rate)) + "/s"
      case .tokens: Quantities.grouped(Int(rate)) + " tokens/s"
      }
    let width = 24
    let filled = min(max(Int(share * Double(width)), 0), width)
    let bar =
      isBar
      ? String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled) + " "
      : ""
    return "\(progress.activity) \(bar)\(Quantities.percent(share)) \(rateText), "
      + "\(Quantities.duration(remaining)) left, \(progress.detail.asOneLine)"
  }
}
