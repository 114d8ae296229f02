// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  // Properties that return a span need it; the standard library's own collections use the same flag.
  .enableExperimentalFeature("Lifetimes"),
  .strictMemorySafety(),
]
/// Float loops are two hundred times slower without optimisation, so debug builds keep it for these.
let kernelSettings = settings + [.unsafeFlags(["-O"], .when(configuration: .debug))]
/// Tests that loop over few numbers: optimizing what `#expect` expands to takes longer than running it.
let testSettings = settings + [.unsafeFlags(["-Onone"])]
let kernelFlags: [CSetting] = [
  .unsafeFlags(["-O3", "-Wall", "-Wextra", "-Werror=implicit-function-declaration"])
]

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")

/// Modules whose tests loop over whole tensors or files: without optimization some take twenty times as long.
let numericTests: Set = [
  "Calibration", "Compression", "Conversion", "Evaluation", "Inspection", "Kernels", "KimiLinear",
  "Quantization",
]

/// The tests of one module.
func tests(of module: String, with others: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(module)Tests",
    dependencies: ["JSON", "TensorCore", "TestSupport", system]
      + (["JSON", "TensorCore"].contains(module) ? [] : [.byName(name: module)])
      + others,
    swiftSettings: numericTests.contains(module) ? settings : testSettings)
}

let package = Package(
  name: "kiln",
  products: [
    .executable(name: "kiln", targets: ["kiln"]),
    .library(name: "Safetensors", targets: ["Safetensors"]),
    .library(name: "KilnFormat", targets: ["KilnFormat"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
  ],
  targets: [
    // System libraries and C.
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
    .systemLibrary(
      name: "CXXHash", pkgConfig: "libxxhash",
      providers: [.apt(["libxxhash-dev"]), .brew(["xxhash"])]),
    .systemLibrary(
      name: "CZstd", pkgConfig: "libzstd",
      providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
    .systemLibrary(name: "CLinux"),
    .target(name: "CKernels", cSettings: kernelFlags),

    // Bytes and tensors.
    .target(
      name: "TensorCore", dependencies: ["CLinux", system], swiftSettings: kernelSettings),
    .target(name: "JSON", dependencies: ["TensorCore"], swiftSettings: kernelSettings),
    .target(name: "Reports", dependencies: ["TensorCore", "JSON"], swiftSettings: settings),
    .target(
      name: "Safetensors", dependencies: ["TensorCore", "JSON", system], swiftSettings: settings),
    .target(
      name: "Compression", dependencies: ["TensorCore", "CZstd"], swiftSettings: kernelSettings),
    .target(
      name: "KilnFormat", dependencies: ["TensorCore", "JSON", "Compression", "CXXHash", system],
      swiftSettings: settings),

    // Checkpoints: one view of every kind of source.
    .target(
      name: "Checkpoints",
      dependencies: ["TensorCore", "JSON", "Safetensors", "KilnFormat", system],
      swiftSettings: settings),
    .target(
      name: "Tokenization", dependencies: ["TensorCore", "JSON", heap, system],
      swiftSettings: kernelSettings),

    // Arithmetic.
    .target(
      name: "Kernels", dependencies: ["TensorCore", "CKernels", "COpenBLAS"],
      swiftSettings: kernelSettings),
    .target(
      name: "Quantization", dependencies: ["TensorCore", "JSON", "Checkpoints", "Kernels"],
      swiftSettings: kernelSettings),

    // The model, what is done with it, and the tool.
    .target(
      name: "KimiLinear",
      dependencies: ["TensorCore", "JSON", "Checkpoints", "Kernels", system],
      swiftSettings: settings),
    .target(
      name: "Calibration",
      dependencies: [
        "TensorCore", "Checkpoints", "Kernels", "Quantization", "KimiLinear", system,
      ], swiftSettings: kernelSettings),
    .target(
      name: "Evaluation",
      dependencies: [
        "TensorCore", "JSON", "KilnFormat", "Checkpoints", "Kernels", "KimiLinear", system,
      ],
      swiftSettings: kernelSettings),
    .target(
      name: "Inspection",
      dependencies: [
        "TensorCore", "JSON", "KilnFormat", "Checkpoints", "Kernels", "Quantization", "KimiLinear",
        system,
      ],
      swiftSettings: kernelSettings),
    .target(
      name: "Conversion",
      dependencies: [
        "TensorCore", "JSON", "Compression", "Safetensors", "KilnFormat", "Checkpoints", "Kernels",
        "Quantization", "KimiLinear", "Calibration", system,
      ],
      swiftSettings: settings),
    .target(
      name: "Benchmarking",
      dependencies: [
        "TensorCore", "Checkpoints", "Kernels", "Quantization", "KimiLinear", "Evaluation",
        "Conversion", system,
      ],
      swiftSettings: settings),
    .target(
      name: "KilnCommands",
      dependencies: [
        "Benchmarking",
        "TensorCore", "JSON", "Compression", "KilnFormat", "Checkpoints", "Tokenization", "Kernels",
        "Quantization",
        "KimiLinear", "Evaluation", "Inspection", "Calibration", "Conversion", "Reports",
        "Safetensors", argumentParser, system,
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "kiln", dependencies: ["KilnCommands"], swiftSettings: settings),

    // Tests.
    .target(
      name: "TestSupport",
      dependencies: ["TensorCore", "JSON", "KilnFormat", "Safetensors", system],
      path: "Tests/TestSupport", exclude: ["Shims"], swiftSettings: settings),
    // `make test-slow`; depends on the tool to have it built.
    .executableTarget(
      name: "reliability",
      dependencies: [
        "TensorCore", "JSON", "Safetensors", "KilnFormat", "Checkpoints", "Kernels", "Inspection",
        "TestSupport", "kiln", argumentParser, system,
      ],
      path: "Tests/Reliability", swiftSettings: testSettings),
    tests(
      of: "Benchmarking", with: ["Checkpoints", "Kernels", "KimiLinear", "Quantization"]),
    tests(of: "TensorCore"),
    tests(of: "JSON"),
    tests(of: "Reports"),
    tests(of: "Safetensors"),
    tests(of: "Compression"),
    tests(of: "KilnFormat", with: ["Compression"]),
    tests(of: "Checkpoints", with: ["Safetensors"]),
    tests(
      of: "Conversion",
      with: ["Calibration", "Checkpoints", "KilnFormat", "Kernels", "KimiLinear", "Quantization"]),
    tests(
      of: "KimiLinear",
      with: ["Checkpoints", "Conversion", "Evaluation", "Kernels", "Quantization"]),
    tests(
      of: "Calibration", with: ["Checkpoints", "Kernels", "KimiLinear", "Quantization"]),
    tests(of: "Kernels", with: ["Safetensors"]),
    tests(
      of: "Evaluation",
      with: ["Checkpoints", "KilnFormat", "Kernels", "KimiLinear", "Tokenization"]),
    tests(
      of: "Inspection",
      with: [
        "Checkpoints", "Conversion", "Kernels", "KilnFormat", "KimiLinear", "Quantization",
      ]),
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "JSON", "KilnFormat", "TensorCore", "TestSupport", system, .target(name: "kiln"),
      ],
      swiftSettings: testSettings),
    tests(of: "KilnCommands"),
    .testTarget(
      name: "DocumentationTests",
      dependencies: ["TensorCore", "TestSupport", system, .target(name: "kiln")],
      swiftSettings: testSettings),
    tests(of: "Quantization", with: ["Checkpoints", "Kernels"]),
    tests(of: "Tokenization"),
  ]
)

// Fuzzing needs a program for each target that the ordinary build has no use for (`Fuzz/README.md`).
if Context.environment["KILN_FUZZ"] == "1" {
  /// A program that libFuzzer drives: `Fuzz/NAME/Target.swift`.
  func fuzzTarget(_ name: String, of modules: Target.Dependency...) -> Target {
    .executableTarget(
      name: "fuzz-\(name)", dependencies: ["FuzzSupport", "TensorCore", system] + modules,
      path: "Fuzz/\(name)", swiftSettings: settings)
  }
  package.targets += [
    .target(
      name: "FuzzSupport", dependencies: ["TensorCore", "Tokenization", system],
      path: "Fuzz/Support", swiftSettings: settings),
    fuzzTarget("json", of: "JSON"),
    fuzzTarget("recipe", of: "Checkpoints", "JSON", "Quantization"),
    fuzzTarget("configuration", of: "JSON", "KimiLinear"),
    fuzzTarget("safetensors-header", of: "Safetensors"),
    fuzzTarget("safetensors-file", of: "Safetensors"),
    fuzzTarget("safetensors-index", of: "Safetensors"),
    fuzzTarget("kiln-header", of: "KilnFormat"),
    fuzzTarget("block", of: "Compression"),
    fuzzTarget("checkpoint", of: "Checkpoints", "JSON", "KimiLinear"),
    fuzzTarget("tokenizer", of: "Tokenization"),
    fuzzTarget("tokenizer-text", of: "Tokenization"),
  ]
}
