// SPDX-License-Identifier: Apache-2.0

public import SystemPackage

/// What a file holds that Kiln cannot use, recognized by its first bytes.
///
/// A file in the place of another one is mostly one of a few: a pointer or a page that was saved in place of
/// a download, or weights in a format of another program. Readers ask here before they report
/// what is wrong with the file by their own rules, which would be true and of no help.
public enum ForeignContent: Equatable, Sendable {
  /// No bytes at all.
  case empty
  /// Zeros only, as a download has that was allocated and never filled.
  case zeros
  /// The text that Git keeps in place of a large file.
  case gitLFSPointer
  /// A web page, mostly a login or an error.
  case html
  /// XML, as storage services send it for an error.
  case xml
  /// A JSON object that begins like the error of a server.
  case serverError
  /// Other JSON, where something else is expected.
  case json
  /// Other text, where something else is expected: mostly what a server said in place of a file.
  case text
  /// UTF-16, where UTF-8 is expected.
  case utf16
  /// Weights of llama.cpp.
  case gguf
  /// Weights of the first versions of llama.cpp.
  case ggml
  /// A pickle of PyTorch: a zip archive with `data.pkl`, or a bare stream.
  case pickle
  /// Tensors of safetensors, where something else is expected.
  case safetensors
  /// A NumPy array, or a zip archive of them.
  case numpy
  /// HDF5, as Keras writes it.
  case hdf5
  /// An ONNX graph.
  case onnx
  /// A compressed file or an archive, by its usual name.
  case archive(String)
  /// An image or a document, by its usual name.
  case document(String)
  /// A program or a library.
  case executable

  /// What a file is read as.
  public enum Purpose: Sendable {
    /// Weights.
    case tensors
    /// Weights of a `.kiln` file.
    case packed
    /// JSON.
    case json
    /// A vocabulary: lines of text.
    case vocabulary
    /// A text that a model is run on: pages and JSON are as good as any other.
    case text

    var description: String {
      switch self {
      case .tensors: "tensors"
      case .packed: "a .kiln file"
      case .json: "JSON"
      case .vocabulary: "a tiktoken vocabulary"
      case .text: "UTF-8 text"
      }
    }
  }

  /// Refuses content that is recognized as something else than what it is to be read as.
  ///
  /// - Parameters:
  ///   - bytes: The whole file.
  ///   - path: Its name in the error.
  ///   - purpose: What it is read as.
  /// - Throws: `FileError.foreign`.
  public static func check(
    _ bytes: RawSpan, _ path: FilePath, as purpose: Purpose
  ) throws(FileError) {
    guard let content = ForeignContent(bytes), !content.isUsable(as: purpose) else { return }
    throw .foreign(path, content, expected: purpose)
  }

  /// The same for bytes that were read already.
  public static func check(
    _ bytes: [UInt8], _ path: FilePath, as purpose: Purpose
  ) throws(FileError) {
    unsafe try check(bytes.span.bytes, path, as: purpose)
  }

  /// Whether content of this kind may be read as that, with whatever its own reader finds.
  private func isUsable(as purpose: Purpose) -> Bool {
    switch (self, purpose) {
    case (.safetensors, .tensors), (.document(".kiln"), .packed), (.json, .json): true
    // What is wrong with a text is found where it is parsed.
    case (.text, .json), (.text, .vocabulary), (.text, .text): true
    // Texts that are empty are refused where their tokens are counted.
    case (.html, .text), (.xml, .text), (.serverError, .text), (.json, .text), (.empty, .text):
      true
    default: false
    }
  }
}

extension ForeignContent: CustomStringConvertible {
  /// What it is, with its article.
  public var description: String {
    switch self {
    case .empty: "an empty file (0 bytes)"
    case .zeros: "a file of zeros"
    case .gitLFSPointer: "a Git LFS pointer"
    case .html: "an HTML page"
    case .xml: "an XML document"
    case .serverError: "an error message in JSON"
    case .json: "a JSON document"
    case .text: "a text"
    case .utf16: "UTF-16 text"
    case .gguf: "a GGUF file"
    case .ggml: "a GGML file"
    case .pickle: "a PyTorch pickle"
    case .safetensors: "a safetensors file"
    case .numpy: "a NumPy file"
    case .hdf5: "an HDF5 file"
    case .onnx: "an ONNX file"
    case .archive(let name): "a \(name) archive"
    case .document(let name): "a \(name) file"
    case .executable: "a program"
    }
  }

  /// What to do about it.
  public var advice: String {
    switch self {
    case .gitLFSPointer: "the file was not downloaded; run git lfs pull"
    case .empty, .zeros: "the download did not finish; download it again"
    case .html, .xml, .serverError:
      "a server sent it in place of the file; check the address and the login, and download it again"
    case .gguf, .ggml, .onnx, .hdf5, .numpy:
      "Kiln reads safetensors; use the checkpoint that it was made from"
    case .pickle: "Kiln does not load pickles; save the model as safetensors first"
    case .archive: "unpack it first"
    case .utf16: "convert it first, such as with iconv -f UTF-16 -t UTF-8"
    case .text: "check the path, and what it says"
    case .json, .safetensors, .document, .executable: "check the path"
    }
  }
}
