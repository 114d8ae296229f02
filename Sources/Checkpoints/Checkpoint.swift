// SPDX-License-Identifier: Apache-2.0

package import JSON
package import KilnFormat
package import SystemPackage
package import TensorCore

/// An open checkpoint, whatever it is stored in: a folder of safetensors, one safetensors file, or
/// a packed file.
///
/// Opening reads headers only. Tensors are places in mapped files.
package struct Checkpoint: Sendable {
  /// What the path leads to, told by content and not by name.
  package enum Kind: String, Sendable {
    case folder = "checkpoint folder"
    case safetensors = "safetensors file"
    case packed = "packed file"
  }

  /// The path that was opened.
  package let path: FilePath
  /// What it is.
  package let kind: Kind
  /// The tensors under the names that the checkpoint gives them, in the order of their bytes.
  package let storedTensors: [StoredTensor]
  /// Files beside the tensors, sorted by name.
  package let files: [AuxiliaryFile]
  /// The files that hold tensors.
  package let dataFiles: [MappedFile]
  /// The packed model, if it is one.
  package let packed: KilnModel?
  /// What is odd but no reason to refuse, one line each.
  package let warnings: [String]
  /// What is in the folder and will not be in an output that is made of this, one line each.
  package let leftOut: [String]

  /// Opens a checkpoint.
  ///
  /// - Parameters:
  ///   - path: A folder, a `.safetensors` file or a `.kiln` file.
  ///   - workers: Threads that read the headers of several files.
  /// - Throws: A `KilnError` of the reader that found something wrong.
  package init(_ path: FilePath, workers: Workers = Workers(count: 1)) throws {
    switch FileKind(of: path) {
    case nil: throw FileError.missing(path)
    case .directory: self = try CheckpointFolder(path, workers: workers).open()
    case .special, .regular:
      let file = try MappedFile(path)
      self =
        try KilnFile.recognizes(file)
        ? Checkpoint(path, packed: KilnModel(KilnFile(mapped: file))) : Checkpoint(single: file)
    }
  }

  init(
    path: FilePath, kind: Kind, storedTensors: [StoredTensor], files: [AuxiliaryFile],
    dataFiles: [MappedFile], packed: KilnModel? = nil, warnings: [String] = [],
    leftOut: [String] = []
  ) {
    self.path = path
    self.kind = kind
    self.storedTensors = storedTensors
    self.files = files
    self.dataFiles = dataFiles
    self.packed = packed
    self.warnings = warnings
    self.leftOut = leftOut
  }

  init(_ path: FilePath, packed: KilnModel) throws {
    let header = packed.header
    self.init(
      path: path, kind: .packed,
      storedTensors: try header.tensors.enumerated().map { index, entry in
        try StoredTensor(entry, in: packed.file(ofTensor: index))
      },
      files: header.files.map { entry in
        AuxiliaryFile(name: entry.name, region: packed.first.region(of: entry.extent))
      },
      dataFiles: packed.shards.map(\.file), packed: packed)
  }

  /// The recipe that a packed file was quantized with; null for any other checkpoint.
  package var recipe: JSONValue { packed?.header.recipe ?? .null }

  /// Where the weights came from, as packed files tell it: for a packed model, what it says itself.
  package var provenance: KilnHeader.Source {
    packed?.header.source
      ?? KilnHeader.Source(
        format: "safetensors", tensorCount: storedTensors.count,
        byteCount: storedTensors.reduce(0) { $0 + $1.byteCount })
  }

  /// The file in a packed one that holds the results of a base and no model (`Formats/Base.md`).
  package static let savedBaseFileName = "base.json"

  /// Whether this is a saved base; tells nothing about its state.
  package var isSavedBase: Bool {
    isPacked && hasFile(Self.savedBaseFileName) && !hasFile("config.json")
  }

  /// The file in a packed one that holds what a calibration collected and no model
  /// (`Formats/Calibration.md`).
  package static let savedCalibrationFileName = "calibration.json"

  /// Whether this is a saved calibration; tells nothing about its state.
  package var isSavedCalibration: Bool {
    isPacked && hasFile(Self.savedCalibrationFileName) && !hasFile("config.json")
  }

  /// Whether this is a packed file without a model that commands have written: a saved base or calibration.
  package var isWithoutModel: Bool { isSavedBase || isSavedCalibration }

  /// Refuses a packed file without a model where a model is expected.
  ///
  /// - Throws: `CheckpointError.notAModel`.
  package func checkIsModel() throws(CheckpointError) {
    guard !isWithoutModel else { throw .notAModel(path, isBase: isSavedBase) }
  }

  /// The calibration by which a packed file was quantized; null for any other checkpoint.
  package var calibration: JSONValue { packed?.header.calibration ?? .null }

  /// Whether this is a packed file.
  package var isPacked: Bool { packed != nil }

  /// Whether a file of that name is there beside the tensors.
  package func hasFile(_ name: String) -> Bool {
    files.contains { $0.name == name }
  }

  // MARK: - Files

  /// Largest configuration, recipe or tokenizer file that is parsed, in bytes.
  package static let maximumParsedByteCount = 1 << 24
  /// Largest other file that a conversion carries along, in bytes.
  package static let maximumFileByteCount = 1 << 26

  /// The content of a file beside the tensors.
  ///
  /// - Throws: `CheckpointError.missingFile` if there is none of that name, `FileError.tooLarge`,
  ///   `FileError.foreign` for a pointer, a page or the like in its place.
  package func contents(of name: String) throws -> [UInt8] {
    guard let bytes = try contentsIfPresent(of: name) else {
      throw CheckpointError.missingFile(path, name: name)
    }
    return bytes
  }

  /// The content of a file beside the tensors, or nil if there is none of that name.
  package func contentsIfPresent(of name: String) throws -> [UInt8]? {
    guard let file = files.first(where: { $0.name == name }) else { return nil }
    guard file.region.byteCount <= Self.maximumParsedByteCount else {
      throw FileError.tooLarge(
        path.appending(name), size: file.region.byteCount, limit: Self.maximumParsedByteCount)
    }
    let bytes = file.region.bytes.copy()
    try ForeignContent.check(
      bytes, FilePath(displayName(of: name)),
      as: name.hasSuffix(".json") ? .json : .vocabulary)
    return bytes
  }

  /// How a file beside the tensors is called in messages.
  package func displayName(of name: String) -> String {
    switch kind {
    case .folder: path.appending(name).string
    case .safetensors: path.removingLastComponent().appending(name).string
    case .packed: "\(path): \(name)"
    }
  }

  /// `config.json`, parsed.
  ///
  /// - Throws: `CheckpointError.missingFile` or a JSON error.
  package func configuration() throws -> JSONField {
    let file = displayName(of: "config.json")
    return JSONField(
      file: file, root: try JSONValue(parsing: try contents(of: "config.json"), file: file))
  }
}
