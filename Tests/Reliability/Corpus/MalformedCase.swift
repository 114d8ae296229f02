// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TestSupport

/// A command of the tool, as the corpus uses it.
enum Subject: String, CaseIterable {
  case convert
  case inspect
  case tokenize
  case quantize
  case verify
  case perplexity

  /// Those that every input goes through; the others take every third.
  static let always: [Subject] = [.convert, .inspect, .tokenize]
  /// Those that read tensors and not only their places.
  static let ofTensors: Set<Subject> = [.convert, .inspect, .quantize, .verify, .perplexity]
  /// Those that read the tokenizer.
  static let ofTokenizer: Set<Subject> = [.convert, .tokenize, .quantize, .verify, .perplexity]
  /// All of them.
  static let all = Set(allCases)

  /// The words after `kiln`, for a model in the working folder.
  func arguments(_ model: String, isPacked: Bool, recipe: Bool = false) -> [String] {
    words(model, isPacked: isPacked, recipe: recipe) + ["--progress", "none"]
  }

  private func words(_ model: String, isPacked: Bool, recipe: Bool) -> [String] {
    switch self {
    case .inspect, .verify: [rawValue, model]
    case .tokenize, .perplexity: [rawValue, model, "--text", "text.txt"]
    case .convert: [rawValue, model, isPacked ? "out/folder" : "out/file.kiln"]
    case .quantize:
      [rawValue, model, "out/file.kiln"]
        + (recipe ? ["--recipe", "recipe.json"] : ["--scheme", "int4-g32"])
    }
  }
}

/// One malformed input, and what must come of it.
struct MalformedCase: Sendable {
  /// What is wrong with it.
  var name: String
  /// Promises that count it beside R1 and R3.
  var promises: [String] = []
  /// Words of which the error must contain one: the file that is wrong.
  var places: [String]
  /// Commands that must refuse it; the others may accept it, or refuse it as cleanly.
  var refusedBy: Set<Subject> = Subject.all
  /// The model in the working folder.
  var model = "model"
  /// Whether its files are of 50 MB and more, for which there is more memory and time.
  var isLarge = false
  /// Whether quantize is to use `recipe.json`, and no other command to run.
  var isRecipe = false
  /// Writes the input into the working folder.
  var prepare: @Sendable (TemporaryFolder) throws -> Void

  /// Whether the model is a packed file.
  var isPacked: Bool { model.hasSuffix(".kiln") }
}

extension MalformedCase {
  /// The small checkpoint with one file replaced; its bytes are made when they are needed, for this process
  /// must stay small: what a child is said to have taken is at least what its parent had.
  static func folder(
    _ name: String, replacing file: String,
    with bytes: @autoclosure @escaping @Sendable () -> [UInt8],
    refusedBy: Set<Subject>,
    promises: [String] = []
  ) -> MalformedCase {
    MalformedCase(name: name, promises: promises, places: [file], refusedBy: refusedBy) { folder in
      var files = Models.files()
      files[file] = bytes()
      for (name, bytes) in files { try folder.write(bytes, as: "model/\(name)") }
    }
  }

  /// A packed file of these bytes.
  static func packed(
    _ name: String, _ bytes: @autoclosure @escaping @Sendable () -> [UInt8],
    refusedBy: Set<Subject> = Subject.all,
    promises: [String] = []
  ) -> MalformedCase {
    MalformedCase(
      name: name, promises: promises, places: ["model.kiln"], refusedBy: refusedBy,
      model: "model.kiln"
    ) { try $0.write(bytes(), as: "model.kiln") }
  }
}
