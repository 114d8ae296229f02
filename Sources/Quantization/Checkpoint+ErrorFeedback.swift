// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import JSON
import TensorCore

extension Checkpoint {
  /// The key of `calibration` that tells of codes which a former recipe has chosen by error feedback.
  private static let errorFeedbackKey: ExactString = "error_feedback"

  /// Whether codes need not be the nearest ones, because a method with error feedback chose some of them.
  package var hasErrorFeedback: Bool {
    guard calibration != .null else { return false }
    if calibration[Self.errorFeedbackKey] == .bool(true) { return true }
    let rules: [JSONValue] = if case .array(let rules)? = recipe["rules"] { rules } else { [] }
    return ([recipe] + rules).contains { rule in
      guard case .string(let name)? = rule["method"] else { return false }
      return RoundingMethod(rawValue: name)?.needsCalibration == true
    }
  }

  /// What the header says about the calibration, for a copy of the codes that has another recipe.
  package var calibrationBesideOtherRecipe: JSONValue {
    guard hasErrorFeedback, case .object(let members) = calibration,
      calibration[Self.errorFeedbackKey] == nil
    else { return calibration }
    return .object(members + [JSONMember(key: Self.errorFeedbackKey, value: .bool(true))])
  }
}
