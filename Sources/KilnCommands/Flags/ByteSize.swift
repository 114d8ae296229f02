// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// A number of bytes on the command line: `5GB`, `500MiB`, `1000000`.
struct ByteSize: ExpressibleByArgument {
  let byteCount: Int
  /// As it was written.
  let text: String

  init?(argument: String) {
    let units = [
      "": 1, "B": 1, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000, "KIB": 1 << 10,
      "MIB": 1 << 20, "GIB": 1 << 30,
    ]
    let digits = argument.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int(digits), let unit = units[argument.dropFirst(digits.count).uppercased()]
    else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: unit)
    guard !overflow, product > 0 else { return nil }
    byteCount = product
    text = argument
  }
}
