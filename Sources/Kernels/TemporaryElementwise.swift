import Glibc
package import TensorCore

package func widen(_ tensor: EncodedTensor, rows: Range<Int>, into output: inout MutableSpan<Float>) {
  let columns = tensor.shape.columns
  let bytes = tensor.region.bytes
  var o = 0
  switch tensor.encoding {
  case .plain(.bf16):
    for i in rows.lowerBound*columns..<rows.upperBound*columns { output[o] = BFloat16(bitPattern: bytes.load(at: 2*i, as: UInt16.self)).floatValue; o += 1 }
  case .plain(.f32):
    for i in rows.lowerBound*columns..<rows.upperBound*columns { output[o] = Float(bitPattern: bytes.load(at: 4*i, as: UInt32.self)); o += 1 }
  case .quantized(let bits, _):
    let g = tensor.encoding.groupSize(columns: columns)
    for r in rows { for c in 0..<columns {
      let i = r*columns + c
      let s = BFloat16(bitPattern: bytes.load(at: tensor.codeByteCount + 2*(r*(columns/g) + c/g), as: UInt16.self)).floatValue
      let q: Int = bits == 8 ? Int(bytes.byte(at: i)) - 128 : Int(i % 2 == 0 ? bytes.byte(at: i/2) & 15 : bytes.byte(at: i/2) >> 4) - 8
      output[o] = Float(q) * s; o += 1 } }
  default: break
  }
}
func sumOfSquares(_ x: Span<Float>) -> Float { var s: Float = 0; for i in 0..<x.count { s += x[i]*x[i] }; return s }
package func sigmoid(_ x: Float) -> Float { 1 / (1 + expf(-x)) }
func exponential(_ x: Float) -> Float { expf(x) }
func maximumElement(_ x: Span<Float>) -> Float { var m = -Float.infinity; for i in 0..<x.count { m = max(m, x[i]) }; return m }
func exponentiate(_ x: inout MutableSpan<Float>, subtracting m: Float) -> Float { var s: Float = 0; for i in 0..<x.count { x[i] = expf(x[i] - m); s += x[i] }; return s }
func siluMultiply(_ x: inout MutableSpan<Float>, by y: Span<Float>) { for i in 0..<x.count { x[i] = x[i] * sigmoid(x[i]) * y[i] } }
