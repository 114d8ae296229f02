// SPDX-License-Identifier: Apache-2.0

import Kernels

/// What a model remembers of one sequence: everything that the next token needs.
///
/// A KDA layer keeps a matrix of fixed size a head and the last inputs of its convolutions; an MLA
/// layer keeps one row of latents a token.
package struct SequenceState: Sendable {
  /// Tokens so far.
  package internal(set) var tokenCount = 0
  /// One entry a layer.
  var layers: [LayerState]

  enum LayerState: Sendable {
    case linear(LinearAttentionState)
    case latent(LatentCache)
    /// Handed out to be changed in place; a second owner would make every change a copy.
    case lent
  }

  /// The state before the first token.
  package init(_ configuration: ModelConfiguration) {
    layers = configuration.layers.map { layer in
      if layer.isLinearAttention, let dimensions = configuration.linearAttention {
        .linear(LinearAttentionState(dimensions))
      } else {
        .latent(LatentCache(width: configuration.latentAttention?.cacheWidth ?? 0))
      }
    }
  }
}

/// State of one KDA layer.
struct LinearAttentionState: Sendable {
  var delta: KimiDeltaState
  var queryConvolution: ShortConvolutionState
  var keyConvolution: ShortConvolutionState
  var valueConvolution: ShortConvolutionState

  init(_ dimensions: ModelConfiguration.LinearAttention) {
    delta = KimiDeltaState(zeros: dimensions.deltaShape)
    let convolution = ShortConvolutionState(
      channels: dimensions.width, kernel: dimensions.kernelSize)
    (queryConvolution, keyConvolution, valueConvolution) = (convolution, convolution, convolution)
  }
}

extension LinearAttentionState {
  /// Hands a part out to be changed in place: two owners of its numbers would make that a copy.
  mutating func lend<Part: EmptiableState>(_ part: WritableKeyPath<Self, Part>) -> Part {
    let lent = self[keyPath: part]
    self[keyPath: part].elements = []
    return lent
  }
}

/// A state whose numbers can be taken out.
protocol EmptiableState {
  var elements: [Float] { get set }
}

extension KimiDeltaState: EmptiableState {}
extension ShortConvolutionState: EmptiableState {}

/// Cache of one MLA layer: a latent and a shared key for each token.
struct LatentCache: Sendable {
  private let width: Int
  private var elements: [Float] = []

  init(width: Int) {
    self.width = width
  }

  /// `[T, latent + rope]`.
  var rows: Matrix {
    Matrix(rows: width == 0 ? 0 : elements.count / width, columns: width, elements: elements)
  }

  mutating func append(_ matrix: Matrix, rows: Range<Int>) {
    elements.append(
      contentsOf: matrix.elements[rows.lowerBound * width..<rows.upperBound * width])
  }
}

extension ModelConfiguration.LinearAttention {
  var deltaShape: KimiDeltaShape {
    KimiDeltaShape(heads: heads, keyDimension: headDimension, valueDimension: headDimension)
  }
}
