// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Reports
import Synchronization
import TensorCore

/// Shows progress on standard error: a bar on a terminal, a line now and then elsewhere.
final class ProgressPrinter: Sendable {
  /// What to show.
  enum Style: String, CaseIterable {
    case auto
    case plain
    case none
  }

  /// How progress appears.
  private enum Form {
    case bar
    case lines
    case nothing
  }

  /// What was reported and shown so far.
  private struct State {
    var last: Progress?
    var work = WorkRate()
    /// How fast the units grow, of each activity.
    var rates: [String: WorkRate] = [:]
    var lastShown: Double
    var lastReport = 0.0
    var isFinished = false
  }

  private let form: Form
  private let terminal: Terminal
  private let start = ContinuousClock.now
  private let state: Mutex<State>
  private let queue = DispatchQueue(label: "kiln.progress", qos: .userInteractive)

  /// Time between two bars, and between two lines.
  private static let (barPause, linePause) = (0.1, 5.0)
  /// Time after which a bar is drawn again without a report.
  private static let redrawPause = 0.5
  /// Jobs that take longer than this say how long they took.
  private static let longJob = 5.0

  init(_ style: Style, terminal: Terminal = .errors) {
    self.terminal = terminal
    form =
      switch style {
      case .none: .nothing
      case .plain: .lines
      case .auto: terminal.canRedraw ? .bar : .lines
      }
    // The first line comes after the first pause: what is done by then needs none.
    state = Mutex(State(lastShown: form == .bar ? -Self.barPause : 0))
    if form != .nothing { redrawLater() }
  }

  deinit {
    if form == .bar { StatusLine.shared.clear() }
  }

  /// Shows a report, unless the last one was shown a moment ago.
  func show(_ progress: Progress) {
    guard form != .nothing else { return }
    let seconds = (ContinuousClock.now - start).inSeconds
    state.withLock { state in
      guard !state.isFinished else { return }
      // Work of another activity is another work.
      if state.last?.activity != progress.activity { state.work = WorkRate() }
      state.last = progress
      state.lastReport = seconds
      state.work.add(progress.work.completed, at: seconds)
      state.rates[progress.activity, default: WorkRate()].add(
        Double(progress.completed), at: seconds)
      let pause = form == .bar ? Self.barPause : Self.linePause
      if seconds - state.lastShown >= pause || form == .bar && progress.work.share == 1 {
        draw(&state, at: seconds)
      }
    }
  }

  /// Removes the bar, so that what follows starts on a clean line, and says how long a long job took.
  func finish() {
    let seconds = (ContinuousClock.now - start).inSeconds
    let activity = state.withLock { state in
      let activity = state.isFinished ? nil : state.last?.activity
      state.isFinished = true
      return activity
    }
    guard form != .nothing, let activity else { return }
    StatusLine.shared.clear()
    if seconds >= Self.longJob {
      StandardError.print("\(activity) took \(Quantities.duration(seconds))")
    }
  }

  /// Draws again while no report comes, so that time is seen to pass and a terminal that is resized is filled as it
  /// should be.
  private func redrawLater() {
    queue.asyncAfter(deadline: .now() + Self.redrawPause) { [weak self] in
      guard let self, redraw() else { return }
      redrawLater()
    }
  }

  /// - Returns: false once nothing is shown any more.
  private func redraw() -> Bool {
    let seconds = (ContinuousClock.now - start).inSeconds
    return state.withLock { state in
      guard !state.isFinished else { return false }
      let pause = form == .bar ? Self.redrawPause / 2 : Self.linePause
      if seconds - state.lastShown >= pause { draw(&state, at: seconds) }
      return true
    }
  }

  private func draw(_ state: inout State, at seconds: Double) {
    guard let progress = state.last else { return }
    state.lastShown = seconds
    let line = ProgressLine(
      activity: progress.activity, detail: progress.detail, share: progress.work.share,
      rate: state.rates[progress.activity]?.perSecond.flatMap { Self.text($0, progress.unit) },
      elapsed: seconds,
      remaining: progress.unit == .measurements
        ? nil
        : state.work.perSecond.map { rate in
          // What has passed since the report counts down, as long as no report says otherwise.
          max(
            (progress.work.total - progress.work.completed) / rate - (seconds - state.lastReport), 0
          )
        })
    switch form {
    case .bar:
      StatusLine.shared.draw(line.bar(width: terminal.width, isUTF8: terminal.isUTF8))
    case .lines: StandardError.print(line.plainText)
    case .nothing: break
    }
  }

  /// A rate; nil if it says nothing.
  private static func text(_ perSecond: Double, _ unit: Progress.Unit) -> String? {
    // A first step may have taken next to no time.
    let whole = Int(min(perSecond, 1e15))
    func count(_ name: String) -> String {
      (perSecond < 10 ? perSecond.decimalText(decimals: 1) : Quantities.grouped(whole))
        + " \(name)/s"
    }
    return switch unit {
    case .bytes: Quantities.bytes(whole) + "/s"
    case .tokens: Quantities.grouped(whole) + " tokens/s"
    case .matrices: count("matrices")
    case .parts: count("parts")
    case .measurements: nil
    }
  }
}
