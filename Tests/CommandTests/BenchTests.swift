// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite("bench")
struct BenchTests {
  @Test("every section has its figures, and nothing is left behind")
  func sections() throws {
    let scratch = try Scratch()
    try scratch.write(Fixture.text, to: "text.txt")
    // It takes seconds of an idle machine, and here it shares one with other tests.
    let run = try Tool.run(
      [
        "bench", Fixture.nano.path, "--tokens", "16,48", "--context", "0,64", "--repeats", "1",
        "--json", "--quiet",
        "--text", scratch.path("text.txt"), "--scratch", scratch.folder.path,
      ], seconds: 300)
    #expect(run.status == 0 && run.messages.isEmpty, "\(run.errors)")
    let json = try run.json()
    let machine = try #require(json["machine"] as? [String: Any])
    for key in ["sgemm_flops_one_thread", "sgemm_flops", "copy_bytes_per_second"] {
      #expect((machine[key] as? Double ?? 0) > 0, "\(key)")
    }
    for section in ["prefill", "decode", "kda", "products", "jobs"] {
      let results = try #require(json[section] as? [[String: Any]])
      #expect(!results.isEmpty, "\(section)")
      for result in results {
        #expect((result["seconds"] as? Double ?? 0) > 0, "\(section)")
        #expect((result["runs"] as? [Double])?.count == 1, "\(section)")
      }
    }
    let prefill = try #require((json["prefill"] as? [[String: Any]])?.last)
    #expect(prefill["tokens"] as? Int == 48)
    let parts = try #require(prefill["seconds_by_part"] as? [String: Double])
    #expect(parts.keys.contains("kda") && parts.keys.contains("experts"))
    let inside = try #require(prefill["seconds_of_kda"] as? [String: Double])
    #expect(Set(inside.keys) == ["projections", "convolution", "gates", "kernel", "norm"])
    #expect(abs(inside.values.reduce(0, +) - (parts["kda"] ?? 0)) < 1e-3)
    #expect(try scratch.listing() == ["text.txt"])
  }

  @Test(
    "CSV is the table of what was chosen",
    arguments: [("products", "shape,"), ("decode", "context,")])
  func csv(_ section: String, _ start: String) throws {
    let run = try Tool.run(
      [
        "bench", Fixture.nano.path, "--only", section, "--context", "0", "--repeats", "1",
        "--format", "csv", "--quiet",
      ], seconds: 300)
    #expect(run.status == 0 && run.text.hasPrefix(start), "\(run.errors)")
    #expect(run.text.split(separator: "\n").count > 1)
  }
}
