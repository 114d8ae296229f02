// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import JSON
import TensorCore

extension Checkpoint {
  /// The key of `calibration` that tells of codes which a former recipe has chosen by error feedback.
  private static let errorFeedbackKey: ExactString = "error_feedback"

  /// Whether a calibration chose some of the codes or scales: codes need not be the nearest ones after error
  /// feedback, and a scale that was searched with weighted errors may clip more than round-to-nearest does.
  package var isRoundedByCalibration: Bool {
    guard calibration != .null else { return false }
    if calibration[Self.errorFeedbackKey] == .bool(true) { return true }
    let rules: [JSONValue] = if case .array(let rules)? = recipe["rules"] { rules } else { [] }
    return ([recipe] + rules).contains { rule in
      guard case .string(let name)? = rule["method"], let method = RoundingMethod(rawValue: name)
      else { return false }
      return method != .roundToNearest
    }
  }

  /// What the header says about the calibration, for a copy of the codes that has another recipe.
  package var calibrationBesideOtherRecipe: JSONValue {
    guard isRoundedByCalibration, case .object(let members) = calibration,
      calibration[Self.errorFeedbackKey] == nil
    else { return calibration }
    return .object(members + [JSONMember(key: Self.errorFeedbackKey, value: .bool(true))])
  }
}
