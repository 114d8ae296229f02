// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// Bytes as a text, of which none is lost that is not UTF-8.
///
/// Paths are bytes on Linux, but parsers of command lines have strings. So a byte that is not UTF-8 becomes a
/// character that stands for it, one of the last 256 of Unicode's private planes; a path turns these back, and a
/// message shows them as `\xE9`.
package enum ByteText {
  /// The characters that stand for the bytes 0 to 255.
  private static let standIns: ClosedRange<UInt32> = 0x10FF00...0x10FFFF

  /// Bytes as a text from which `bytes(of:)` gets them back.
  package static func text(of bytes: [UInt8]) -> String {
    if let text = String(validating: bytes, as: UTF8.self), !hasStandIns(text) { return text }
    var text = String.UnicodeScalarView()
    var rest = bytes[...]
    while let byte = rest.first {
      let scalar = (1...min(4, rest.count)).lazy.compactMap { count in
        String(validating: rest.prefix(count), as: UTF8.self)?.unicodeScalars.first
      }.first
      if let scalar, !standIns.contains(scalar.value) {
        text.append(scalar)
        rest = rest.dropFirst(UTF8.width(scalar))
      } else {
        // Stand-ins in the input are taken for bytes, too: what is read back is then the same.
        if let scalar = Unicode.Scalar(standIns.lowerBound + UInt32(byte)) { text.append(scalar) }
        rest = rest.dropFirst()
      }
    }
    return String(text)
  }

  /// The bytes of a text.
  package static func bytes(of text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      if let byte = byte(of: scalar) {
        bytes.append(byte)
      } else {
        bytes += Array(String(scalar).utf8)
      }
    }
    return bytes
  }

  /// A text as the string of a path shows it, without stand-ins: U+FFFD for what is not UTF-8.
  package static func shown(_ text: String) -> String {
    String(decoding: bytes(of: text), as: UTF8.self)
  }

  /// Whether a text holds bytes that are not UTF-8.
  package static func hasStandIns(_ text: String) -> Bool {
    text.unicodeScalars.contains { standIns.contains($0.value) }
  }

  /// The byte that a character stands for, if it does.
  package static func byte(of scalar: Unicode.Scalar) -> UInt8? {
    standIns.contains(scalar.value) ? UInt8(truncatingIfNeeded: scalar.value) : nil
  }
}

extension FilePath {
  /// The path that a word of the command line gives, to the byte.
  package init(argument: String) {
    // A word has no byte 0, where a path would end.
    let bytes = ByteText.bytes(of: argument).prefix { $0 != 0 }
    unsafe self.init(platformString: bytes.map { CChar(bitPattern: $0) } + [0])
  }

  /// The path with another component, whose name may hold stand-ins.
  package func appending(argument name: String) -> FilePath {
    pushing(FilePath(argument: name))
  }

  /// The last component, with stand-ins for bytes that are not UTF-8; nil for a root.
  var lastName: String? {
    lastComponent.map { component in
      ByteText.text(
        of: FilePath(root: nil, [component]).cString.dropLast().map { UInt8(bitPattern: $0) })
    }
  }

  /// The bytes for the system, which end with a 0.
  var cString: [CChar] {
    unsafe withPlatformString { start in
      unsafe Array(UnsafeBufferPointer(start: start, count: length + 1))
    }
  }
}
