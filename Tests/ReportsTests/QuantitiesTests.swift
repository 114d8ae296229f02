// SPDX-License-Identifier: Apache-2.0

import Reports
import Testing

@Suite("Numbers with units")
struct QuantitiesTests {
  @Test(
    "four significant digits, also of what rounds up to a power of ten",
    arguments: [
      (9.9996, "10.00"), (9.9994, "9.999"), (99.996, "100.0"), (999.96, "1000"),
      (9999.6, "10000"), (0.99996, "1.000"), (0.099996, "0.1000"), (0.0099996, "0.01000"),
      (0.00099996, "0.001000"), (0.000099996, "0.0001000"), (0.0000099996, "1.000e-5"),
      (-9.9996, "-10.00"), (999_999.4, "999999"), (999_999.6, "1.000e6"), (9_999_600, "1.000e7"),
      (1_234_567, "1.235e6"), (0.25, "0.2500"), (0.0, "0"), (0.000044, "4.400e-5"),
      (Double.nan, "NaN"), (-Double.infinity, "-inf"),
    ])
  func significant(_ value: Double, _ text: String) {
    #expect(Quantities.significant(value) == text)
  }

  @Test(
    "bytes change their unit where they round up to it",
    arguments: [
      (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
      (999_949_999, "999.9 MB"), (999_950_000, "1.0 GB"), (1_234_567_890_123_456, "1234.6 TB"),
    ])
  func bytes(_ count: Int, _ text: String) {
    #expect(Quantities.bytes(count) == text)
  }

  @Test(
    "groups of three digits",
    arguments: [
      (0, "0"), (7, "7"), (999, "999"), (1000, "1,000"), (12_345, "12,345"), (999_999, "999,999"),
      (1_000_000, "1,000,000"), (-1000, "-1,000"), (-999, "-999"),
      (Int.min, "-9,223,372,036,854,775,808"),
    ])
  func grouped(_ count: Int, _ text: String) {
    #expect(Quantities.grouped(count) == text)
  }

  @Test(
    "counts and shares",
    arguments: [
      (999, "999"), (1500, "1.5 k"), (67_700_000, "67.7 M"), (48_000_000_000, "48.0 B"),
    ])
  func counts(_ count: Int, _ text: String) {
    #expect(Quantities.count(count) == text)
    #expect(Quantities.percent(0.0321) == "3.2 %" && Quantities.percent(1) == "100.0 %")
  }

  @Test("every power of ten and its neighbors have four significant digits")
  func digits() {
    for exponent in -4...3 {
      var power = 1.0
      for _ in 0..<abs(exponent) { power = exponent < 0 ? power / 10 : power * 10 }
      for factor in [0.99994, 0.999949, 0.99995, 0.999951, 0.99996, 0.999999, 1, 1.00001] {
        let text = Quantities.significant(power * factor)
        let digits = text.prefix { $0 != "e" }.filter { $0 != "." }.drop { $0 == "0" }
        #expect(digits.count == (text == "10000" ? 5 : 4), "\(power * factor): \(text)")
      }
    }
  }
}
