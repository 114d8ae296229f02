// SPDX-License-Identifier: Apache-2.0

package import TensorCore

extension Checkpoint {
  /// A file of a checkpoint, not one of tensors, whose content is not what its name says.
  package struct ForeignFile: Sendable {
    /// Its name, without a folder.
    package let name: String
    /// What it is.
    package let content: ForeignContent

    /// What is wrong with it, and what to do.
    package var problem: String { "is \(content): \(content.advice)" }
  }

  /// Files of the checkpoint for which a download has left pointers, pages or nothing, recognized by their first
  /// bytes.
  ///
  /// `config.json` is not among them: no command gets by without reading it.
  package var foreignFiles: [ForeignFile] {
    files.compactMap { file in
      guard file.name != "config.json", let content = ForeignContent(file.region.bytes),
        content.isForeign(to: file.name)
      else { return nil }
      return ForeignFile(name: file.name, content: content)
    }
  }

  /// A line for each of `foreignFiles`.
  package var foreignFileWarnings: [String] {
    foreignFiles.map { "\(displayName(of: $0.name)): \($0.problem)" }
  }
}

extension ForeignContent {
  /// Names of files that may well be pages.
  private static let pageSuffixes = [".html", ".htm", ".xml", ".svg", ".md"]

  /// Whether a file of that name should not have this content; of most names anything may be expected.
  fileprivate func isForeign(to name: String) -> Bool {
    if name.hasSuffix(".json") { return self != .json && self != .text }
    let isText = [".jinja", ".txt", ".py", ".model"].contains(where: name.hasSuffix)
    switch self {
    case .gitLFSPointer, .zeros: return true
    case .html, .xml: return !Self.pageSuffixes.contains(where: name.hasSuffix)
    case .serverError: return isText
    case .empty: return name.hasSuffix(".jinja") || name.hasSuffix(".model")
    default: return false
    }
  }
}
