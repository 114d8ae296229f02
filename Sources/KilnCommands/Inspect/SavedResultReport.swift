// SPDX-License-Identifier: Apache-2.0

import Calibration
import Checkpoints
import Conversion
import Evaluation
import JSON
import KilnFormat
import Quantization
import Reports
import TensorCore

/// What a saved base or a saved calibration is for: which model, which text, which part of it.
struct SavedResultReport {
  let checkpoint: Checkpoint

  /// Facts of a saved base.
  func facts(_ base: BaseDescription) -> [Fact] {
    let scored = shape(of: "hidden_states").first ?? 0
    let head = shape(of: "lm_head.weight")
    return [
      Fact(
        "saved base",
        "hidden states of \(Quantities.grouped(scored)) scored positions"
          + (head.count == 2
            ? ", hidden \(head[1]), vocabulary \(Quantities.grouped(head[0]))" : ""),
        ["saved": "base", "positions": .integer(scored)]),
      model,
      Fact(
        "text",
        "\(Quantities.counted(base.tokenCount, "token")), checksum of their ids"
          + " \(Checksum.text(base.tokensChecksum))",
        [
          "tokens": .integer(base.tokenCount),
          "tokens_checksum": .string(Checksum.text(base.tokensChecksum)),
        ]),
      Fact(
        "windows",
        "--context \(base.context) --stride \(base.stride) --score \(base.scoring.rawValue)",
        [
          "context": .integer(base.context), "stride": .integer(base.stride),
          "score": .string(base.scoring.rawValue),
        ]),
    ]
  }

  /// Facts of a saved calibration.
  func facts(_ calibration: CalibrationDescription) -> [Fact] {
    let tokens = shape(of: "tokens").first ?? 0
    let windows = tokens / calibration.context
    let parts = calibration.sensitivities.losses.count
    return [
      Fact(
        "saved calibration",
        "what \(parts) parts of a model lose, rounded by \(calibration.sensitivities.method.rawValue)",
        [
          "saved": "calibration", "parts": .integer(parts),
          "method": .string(calibration.sensitivities.method.rawValue),
        ]),
      model,
      Fact(
        "", "fingerprint \(Checksum.text(calibration.model.checksum))",
        ["model_fingerprint": .string(Checksum.text(calibration.model.checksum))]),
      Fact(
        "text",
        "\(Quantities.counted(calibration.textByteCount, "byte")), checksum"
          + " \(Checksum.text(calibration.textChecksum))",
        [
          "text_bytes": .integer(calibration.textByteCount),
          "text_checksum": .string(Checksum.text(calibration.textChecksum)),
        ]),
      Fact(
        "sample",
        "\(Quantities.grouped(windows)) of \(Quantities.counted(calibration.availableWindows, "window"))"
          + " of \(calibration.context) tokens, seed \(Checksum.text(calibration.seed))",
        [
          "windows": .integer(windows),
          "available_windows": .integer(calibration.availableWindows),
          "context": .integer(calibration.context), "tokens": .integer(tokens),
          "seed": .string(Checksum.text(calibration.seed)),
        ]),
    ]
  }

  private var model: Fact {
    let source = checkpoint.provenance
    return Fact(
      "model",
      "\(Quantities.counted(source.tensorCount, "tensor")), \(Quantities.bytes(source.byteCount)), from"
        + " \(source.format)",
      [
        "model_tensors": .integer(source.tensorCount), "model_bytes": .integer(source.byteCount),
        "model_format": .string(source.format),
      ])
  }

  private func shape(of name: ExactString) -> [Int] {
    checkpoint.storedTensors.first { $0.name == name }?.shape.dimensions ?? []
  }
}
