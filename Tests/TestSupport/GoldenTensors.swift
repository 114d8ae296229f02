// SPDX-License-Identifier: Apache-2.0

import Safetensors
import SystemPackage
import TensorCore

/// The float32 tensors of a safetensors file, by name, for golden values.
package struct GoldenTensors {
  /// Why a golden file could not be used.
  package struct Missing: Error {
    package let name: String
  }

  /// Name of the file without its extension.
  package let name: String
  private let tensors: [String: (shape: [Int], elements: [Float])]

  /// Reads a file of the folder `golden` of the shared data.
  package init(_ name: String) throws {
    guard let folder = SharedData.folder else { throw Missing(name: "shared data") }
    let file = try SafetensorsFile(folder.appending("golden").appending(name + ".safetensors"))
    var tensors: [String: (shape: [Int], elements: [Float])] = [:]
    for entry in file.header.entries where entry.dtype == .f32 {
      let bytes = file.region(of: entry)
      let elements = (0..<entry.shape.elementCount).map {
        Float(bitPattern: bytes.bytes.load(at: 4 * $0, as: UInt32.self))
      }
      tensors[entry.name.text] = (entry.shape.dimensions, elements)
    }
    self.name = name
    self.tensors = tensors
  }

  /// All elements of a tensor, row-major.
  package func elements(_ tensor: String) throws -> [Float] {
    guard let found = tensors[tensor] else { throw Missing(name: "\(name): \(tensor)") }
    return found.elements
  }

  /// The dimensions of a tensor.
  package func shape(_ tensor: String) throws -> [Int] {
    guard let found = tensors[tensor] else { throw Missing(name: "\(name): \(tensor)") }
    return found.shape
  }
}
