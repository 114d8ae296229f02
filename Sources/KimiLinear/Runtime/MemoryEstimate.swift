// SPDX-License-Identifier: Apache-2.0

extension ModelConfiguration {
  /// About how many numbers the runtime holds for each token that it works on.
  ///
  /// The matrices of the hungriest part of a layer, and the residual stream; an upper bound within a
  /// factor of two. It decides how many windows are run together, so it depends on the model alone.
  package var activationNumbersPerToken: Int {
    let linear = (linearAttention?.width ?? 0) * 10
    let latent = latentAttention.map { $0.heads * ($0.keyDimension + $0.expandedDimension) } ?? 0
    let dense = intermediateSize * 2
    let mixture = experts.map { $0.perToken * (hiddenSize + 2 * $0.width) + $0.count } ?? 0
    return 6 * hiddenSize + max(linear, latent, dense, mixture)
  }

  /// Numbers that one sequence keeps after so many tokens: KDA states and MLA caches.
  package func stateNumbers(tokens: Int) -> Int {
    linearLayerCount * (linearAttention?.stateNumbers ?? 0)
      + latentLayerCount * (latentAttention?.cacheWidth ?? 0) * tokens
  }
}
