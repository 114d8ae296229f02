// SPDX-License-Identifier: Apache-2.0

import Compression
import TensorCore

extension BlockCodec {
  /// The codec for tensors of an encoding: planes are separated for plain elements of several bytes.
  init(of encoding: TensorEncoding) {
    guard case .plain(let dtype) = encoding, dtype.bitWidth % 8 == 0 else {
      self.init(elementByteCount: 1)
      return
    }
    self.init(elementByteCount: dtype.bitWidth / 8)
  }
}
