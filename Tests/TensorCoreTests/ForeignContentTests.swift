// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Files that stand in the place of others are recognized by their first bytes.
@Suite struct ForeignContentTests {
  private static let pointer =
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 10499368\n"

  private static func zip(_ entry: String) -> [UInt8] {
    [0x50, 0x4B, 3, 4] + [UInt8](repeating: 0, count: 22)
      + [UInt8(entry.utf8.count), 0, 0, 0] + Array(entry.utf8) + [1, 2, 3]
  }

  /// Beginnings of files as the programs named write them.
  private static let samples: [(content: ForeignContent, bytes: [UInt8])] = [
    (.empty, []),
    (.zeros, [UInt8](repeating: 0, count: 4096)),
    (.gitLFSPointer, Array(pointer.utf8)),
    (.html, Array("<!DOCTYPE html>\n<html lang=\"en\">".utf8)),
    (.html, Array("\r\n  <HTML><head>".utf8)),
    (.html, Array("\u{FEFF}<!doctype HTML>".utf8)),
    (.html, Array("<?xml version=\"1.0\"?>\n<!DOCTYPE x>\n<html xmlns=\"x\">".utf8)),
    (.xml, Array("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>".utf8)),
    (.serverError, Array("{\"error\":\"Repository not found\"}".utf8)),
    (.serverError, Array("{\n  \"message\": \"Not Found\"\n}".utf8)),
    (.json, Array("{\"architectures\": []}".utf8)),
    (.json, Array("[1]".utf8)),
    (.utf16, [0xFF, 0xFE, 0x61, 0]),
    (.utf16, [0xFE, 0xFF, 0, 0x61]),
    (.gguf, Array("GGUF".utf8) + [3, 0, 0, 0]),
    (.ggml, Array("tjgg".utf8) + [3, 0, 0, 0]),
    // torch.save before 1.6 and after it.
    (
      .pickle, [0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
    ),
    (.pickle, [0x80, 0x04, 0x95, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x7D]),
    (.pickle, zip("pytorch_model/data.pkl")),
    (.numpy, [0x93] + Array("NUMPY".utf8) + [1, 0]),
    (.numpy, zip("weights.npy")),
    (.archive("ZIP"), zip("model.safetensors")),
    (.archive("ZIP"), [0x50, 0x4B, 3, 4]),
    (.archive("gzip"), [0x1F, 0x8B, 8, 0]),
    (.archive("Zstandard"), [0x28, 0xB5, 0x2F, 0xFD, 0]),
    (.archive("xz"), [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]),
    (.archive("7-Zip"), [0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C]),
    (
      .archive("tar"),
      Array("model/".utf8) + [UInt8](repeating: 0, count: 251) + Array("ustar".utf8)
    ),
    (.hdf5, [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]),
    (.onnx, [0x08, 0x07, 0x12, 0x07] + Array("pytorch".utf8)),
    (.document("PNG"), [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]),
    (.document("PDF"), Array("%PDF-1.7".utf8)),
    (.executable, [0x7F, 0x45, 0x4C, 0x46, 2]),
    (.safetensors, RawSafetensors.file(bytesOf: [("a", 3)])),
  ]

  @Test(arguments: samples.indices)
  func `known beginnings are recognized`(index: Int) {
    let (content, bytes) = Self.samples[index]
    #expect(unsafe ForeignContent(bytes.span.bytes) == content)
  }

  @Test func `texts and vocabularies are foreign only where weights are expected`() throws {
    for text in [
      "IQ== 0\nIg== 1\n", "Once upon a time", "version 2 of the text", "\u{FEFF}a", "<p>",
      "GGU", "PK", "(error)", "陶",
    ] {
      #expect(unsafe ForeignContent(Array(text.utf8).span.bytes) == .text, "\(text)")
      for purpose in [ForeignContent.Purpose.vocabulary, .text, .json] {
        try ForeignContent.check(Array(text.utf8), "x", as: purpose)
      }
      #expect(throws: FileError.self) {
        try ForeignContent.check(Array(text.utf8), "x", as: .tensors)
      }
    }
    // A long text may begin as a pointer does.
    let long = Self.pointer + String(repeating: "x", count: 2000)
    #expect(unsafe ForeignContent(Array(long.utf8).span.bytes) == .text)
    #expect(unsafe ForeignContent([UInt8](repeating: 0, count: 8).span.bytes) == nil)
  }

  @Test func `what is foreign depends on what a file is read as`() throws {
    func isRefused(_ text: String, as purpose: ForeignContent.Purpose) -> Bool {
      do {
        try ForeignContent.check(Array(text.utf8), "file", as: purpose)
        return false
      } catch {
        #expect(error.category == .badData && "\(error)".hasPrefix("file: is "))
        return true
      }
    }
    for purpose in [ForeignContent.Purpose.tensors, .json, .vocabulary, .text] {
      #expect(isRefused(Self.pointer, as: purpose))
      #expect(isRefused("GGUF\u{3}", as: purpose))
    }
    // A page is a text like any other, and JSON is what JSON is read from.
    #expect(!isRefused("<html>", as: .text) && isRefused("<html>", as: .json))
    #expect(!isRefused("{\"a\":1}", as: .json) && isRefused("{\"a\":1}", as: .tensors))
    #expect(!isRefused("{\"error\":1}", as: .text) && isRefused("{\"error\":1}", as: .json))
    #expect(!isRefused("", as: .text) && isRefused("", as: .vocabulary))
  }

  @Test func `a message says what to do`() {
    let error = FileError.foreign("m/config.json", .gitLFSPointer, expected: .json)
    #expect(
      "\(error)"
        == "m/config.json: is a Git LFS pointer, expected JSON: the file was not downloaded; run git lfs pull"
    )
  }
}
