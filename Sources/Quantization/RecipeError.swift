// SPDX-License-Identifier: Apache-2.0

package import Checkpoints
package import TensorCore

/// Why a recipe was refused.
///
/// Wrong JSON and values of the wrong kind are `JSONError`s.
package enum RecipeError: KilnError, Equatable {
  /// The file is written for another version of Kiln.
  case unsupportedVersion(file: String, found: Int)
  /// A key that the format does not have.
  case unknownKey(file: String, path: String, known: [String])
  /// Not the name of a role.
  case unknownRole(file: String, path: String, found: String)
  /// Not the name of a scheme.
  case unknownScheme(file: String, path: String, found: String)
  /// Not the name of a rounding method.
  case unknownMethod(file: String, path: String, found: String)
  /// A pattern for names that cannot be meant.
  case badPattern(file: String, path: String, pattern: String, problem: String)
  /// Neither a layer nor a range of layers.
  case badLayers(file: String, path: String, found: String)
  /// A rule that would match every tensor.
  case ruleWithoutCondition(file: String, path: String)
  /// A rule asks to quantize what is never quantized.
  case protectedRole(file: String, path: String, role: TensorRole, scheme: TensorEncoding)
  /// Rules have no effect, and `--strict` refuses that; one line for each.
  case withoutEffect([String])
  /// The command line asks to quantize what is never quantized.
  case protectedOverride(role: TensorRole, scheme: TensorEncoding)

  package var category: ErrorCategory {
    switch self {
    case .protectedOverride, .withoutEffect: .usage
    default: .badData
    }
  }

  package var description: String {
    switch self {
    case .unsupportedVersion(let file, let found):
      "\(file): recipe of version \(found), expected \(RecipeReader.version)"
    case .unknownKey(let file, let path, let known):
      "\(file): unknown key \"\(Self.shortened(path))\""
        + Suggestion.text(
          for: path.split(separator: ".").last.map(String.init) ?? path, among: known,
          of: "the keys are")
    case .unknownRole(let file, let path, let found):
      "\(file): \"\(path)\" is \"\(Self.shortened(found))\", which is no role"
        + Suggestion.text(
          for: found, among: TensorRole.allCases.map(\.rawValue), of: "the roles are")
    case .unknownScheme(let file, let path, let found):
      "\(file): \"\(path)\" is \"\(Self.shortened(found))\", which is no scheme"
        + RecipeScheme.suggestion(for: found)
    case .unknownMethod(let file, let path, let found):
      "\(file): \"\(path)\" is \"\(Self.shortened(found))\", which is no method"
        + Suggestion.text(
          for: found, among: RoundingMethod.allCases.map(\.rawValue), of: "the methods are")
    case .badPattern(let file, let path, let pattern, let problem):
      "\(file): \"\(path)\" is \"\(Self.shortened(pattern))\": \(problem)"
    case .badLayers(let file, let path, let found):
      "\(file): \"\(path)\" is \(Self.shortened(found)), "
        + "expected a layer from 0 or a range like \"0-3\""
    case .ruleWithoutCondition(let file, let path):
      "\(file): \"\(path)\" has none of role, name and layers; "
        + "what holds for every tensor is the default"
    case .protectedRole(let file, let path, let role, let scheme):
      "\(file): \"\(path)\" asks for \(scheme), but tensors of role \(role.rawValue) "
        + "are never quantized"
    case .withoutEffect(let problems):
      "--strict: " + problems.prefix(Self.maximumProblemCount).joined(separator: "; ")
        + (problems.count > Self.maximumProblemCount
          ? "; and \(problems.count - Self.maximumProblemCount) more" : "")
    case .protectedOverride(let role, let scheme):
      "--set \(role.rawValue)=\(scheme): tensors of this role are never quantized"
    }
  }

  /// Problems that one line has room for.
  private static let maximumProblemCount = 10

  private static func shortened(_ text: String) -> String {
    text.utf8.count <= 80 ? text : text.prefix(60) + "…"
  }
}
