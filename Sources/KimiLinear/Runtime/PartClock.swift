// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TensorCore

/// A part of the model, for measurements of where time goes.
package enum ModelPart: String, CaseIterable, Sendable {
  /// Looking up rows of the embedding.
  case embedding
  /// Kimi Delta Attention, with the norm before it and the sum behind it.
  case kda
  /// Multi-head Latent Attention, likewise.
  case mla
  /// Scores of experts and the choice among them, with the norm before it.
  case router
  /// Routed and shared experts.
  case experts
  /// Dense feed-forward layers, with the norm before them.
  case dense
  /// The final norm, and logits where they are wanted.
  case head
}

/// Adds up the time that each part of the model takes.
///
/// Whoever runs the parts one after the other says which one has just ended; what passed since the last
/// such moment was its. Parts of linear attention are told inside of `ModelPart.kda`, whose time they share
/// out and do not end; some of them are done piece by piece within another one (`spent`).
package final class PartClock: Sendable {
  private struct State {
    var last = ContinuousClock.now
    var durations: [ModelPart: Duration] = [:]
    var lastInside = ContinuousClock.now
    var durationsInside: [LinearAttentionPart: Duration] = [:]
    /// What was spent on other parts since the last one ended.
    var spent = Duration.zero
  }

  private let state = Mutex(State())

  /// Starts now.
  package init() {}

  /// Says that what passed since the last part is nobody's.
  package func resume() {
    state.withLock { $0.last = .now }
  }

  /// Says that a part has just ended.
  package func ended(_ part: ModelPart) {
    let now = ContinuousClock.now
    state.withLock { state in
      state.durations[part, default: .zero] += now - state.last
      state.last = now
      state.lastInside = now
    }
  }

  /// Says that a part of linear attention has just ended.
  package func ended(_ part: LinearAttentionPart) {
    let now = ContinuousClock.now
    state.withLock { state in
      state.durationsInside[part, default: .zero] += now - state.lastInside - state.spent
      state.lastInside = now
      state.spent = .zero
    }
  }

  /// Says that a part of linear attention took some of the time of the one that ends next, in which it is
  /// done piece by piece.
  ///
  /// - Parameters:
  ///   - part: The part.
  ///   - duration: Its time, divided by the number of threads that do such pieces at a time. A thread that
  ///     comes late makes the sum a little too small, the clock itself a little too large.
  package func spent(_ part: LinearAttentionPart, _ duration: Duration) {
    state.withLock { state in
      state.durationsInside[part, default: .zero] += duration
      state.spent += duration
    }
  }

  /// Seconds of each part so far.
  package var seconds: [ModelPart: Double] {
    state.withLock { $0.durations.mapValues(\.inSeconds) }
  }

  /// Seconds of each part of linear attention so far; together those of `ModelPart.kda`.
  package var linearAttentionSeconds: [LinearAttentionPart: Double] {
    state.withLock { $0.durationsInside.mapValues(\.inSeconds) }
  }
}
