// SPDX-License-Identifier: Apache-2.0

package import JSON

/// The tokens after which a generated text ends.
package enum EndTokens {
  /// Reads `eos_token_id` of `config.json`: an id, a list of ids, or nothing.
  ///
  /// Only what generates text needs them, so a configuration is not refused for them elsewhere.
  ///
  /// - Parameters:
  ///   - root: The document.
  ///   - vocabularySize: Ids are below it.
  /// - Returns: The ids.
  /// - Throws: `JSONError` if it is something else.
  package static func read(
    _ root: JSONField, vocabularySize: Int
  ) throws(JSONError) -> Set<Int> {
    guard let field = root["eos_token_id"].ifPresent else { return [] }
    let ids = 0...max(vocabularySize - 1, 0)
    guard case .array = field.value else { return [try field.integer(in: ids)] }
    var tokens: Set<Int> = []
    for element in try field.array() { tokens.insert(try element.integer(in: ids)) }
    return tokens
  }
}
