// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Conversion
import Quantization
import SystemPackage
import TensorCore
import TestSupport
import Testing

/// Tensors of a folder that are put together from kept and from quantized ones.
@Suite struct ExportedTensorTests {
  @Test(arguments: [DType.f32, .bf16])
  func `one part that was quantized decides the type of all`(dtype: DType) throws {
    let text = """
      {"kiln_recipe":1,"rules":[{"name":"*.experts.2.w3.weight","scheme":"int8-row"}]}
      """
    try TemporaryFolder.with { folder in
      let checkpoint = TinyCheckpoint { ($0.dialect, $0.dtype) = (.transformers, .f16) }
      let source = try checkpoint.write(to: folder)
      let packed = folder.path.appending("x.kiln")
      try pack(source, to: packed, recipe: try Recipe(parsing: Array(text.utf8), file: "recipe"))
      try export(packed, to: folder.path.appending("out"), dtype: dtype)
      let found = try storedTensors(folder.path.appending("out"))
      let originals = try storedTensors(source)
      #expect(found.map(\.name) == originals.map(\.name))
      for (output, original) in zip(found, originals) {
        guard output.name.hasSuffix("experts.gate_up_proj") else {
          #expect(output == original, "\(output.name)")
          continue
        }
        #expect(output.dtype == dtype && output.shape == original.shape)
        // Of each expert there are 32 rows of the gate, then 32 of the other one, of 64 elements each.
        let changed = 2 * 4096 + 2048..<3 * 4096
        let (values, expected) = (output.values, original.values)
        for index in values.indices where !changed.contains(index) {
          #expect(
            values[index]
              == (dtype == .bf16 ? BFloat16(expected[index]).floatValue : expected[index]))
        }
        #expect(values[changed] != expected[changed])
        let largest = expected.map(abs).max() ?? 0
        #expect(zip(values[changed], expected[changed]).allSatisfy { abs($0 - $1) < largest / 100 })
      }
    }
  }
}
