// SPDX-License-Identifier: Apache-2.0

import JSON
public import SystemPackage
public import TensorCore

/// The header of a safetensors file: which tensors it holds and where (`Formats/Safetensors.md`).
public struct SafetensorsHeader: Sendable, Equatable {
  /// Largest header that is read, in bytes; the limit of the reference implementation.
  public static let maximumByteCount = 100_000_000

  /// One tensor of the file.
  public struct Entry: Sendable, Equatable {
    /// The tensor's name.
    public let name: ExactString
    /// Its element type.
    public let dtype: DType
    /// Its dimensions, row-major.
    public let shape: TensorShape
    /// Its bytes, counted from the end of the header.
    public let range: Range<Int>
  }

  /// The tensors in the order of their bytes.
  public let entries: [Entry]
  /// The free-form `__metadata__` of the file, in its order.
  public let metadata: [(key: String, value: String)]

  /// Makes a header from parts that are known to be right.
  public init(entries: [Entry], metadata: [(key: String, value: String)]) {
    self.entries = entries
    self.metadata = metadata
  }

  /// Parses and checks a header.
  ///
  /// - Parameters:
  ///   - bytes: The JSON text, padding included.
  ///   - dataByteCount: Bytes that follow it in the file; the tensors must cover them exactly.
  ///   - path: The file, for errors.
  /// - Throws: `SafetensorsError` or a JSON error that names the place.
  public init(parsing bytes: [UInt8], dataByteCount: Int, path: FilePath) throws {
    guard bytes.first == UInt8(ascii: "{") else {
      throw SafetensorsError.header(path, problem: "does not begin with \"{\"")
    }
    var entries: [Entry] = []
    // The many tensors of one shape share its memory.
    var shapes: Set<TensorShape> = []
    var metadata: [(key: String, value: String)] = []
    var scanner = JSONScanner(bytes, file: path.string, base: 8)
    try scanner.object { scanner, key in
      if key == "__metadata__" {
        metadata = try Self.readMetadata(&scanner)
      } else {
        let entry = try Self.readEntry(
          &scanner, name: key, dataByteCount: dataByteCount, path: path)
        entries.append(
          Entry(
            name: key, dtype: entry.dtype, shape: shapes.insert(entry.shape).memberAfterInsert,
            range: entry.range))
      }
    }
    try scanner.end()
    entries.sort { left, right in
      (left.range.lowerBound, left.range.upperBound)
        < (right.range.lowerBound, right.range.upperBound)
    }
    try Self.checkCoverage(
      entries, dataOffset: bytes.count + 8, dataByteCount: dataByteCount, path: path)
    self.init(entries: entries, metadata: metadata)
  }

  /// Whether both describe the same tensors at the same places, with the same metadata.
  public static func == (left: SafetensorsHeader, right: SafetensorsHeader) -> Bool {
    left.entries == right.entries
      && left.metadata.elementsEqual(right.metadata) { $0 == $1 }
  }

  // MARK: - Reading

  private static func readMetadata(
    _ scanner: inout JSONScanner
  ) throws -> [(key: String, value: String)] {
    guard try scanner.peekKind() != .null else {
      try scanner.null()
      return []
    }
    var metadata: [(key: String, value: String)] = []
    try scanner.object { scanner, key in
      metadata.append((key: key.text, value: try scanner.string()))
    }
    return metadata
  }

  private static func readEntry(
    _ scanner: inout JSONScanner, name: ExactString, dataByteCount: Int, path: FilePath
  ) throws -> Entry {
    func failure(_ problem: String) -> SafetensorsError {
      .tensor(path, name: name.text, problem: problem)
    }
    var dtype: DType?
    var dimensions: [Int]?
    var offsets: [Int]?
    try scanner.object { scanner, key in
      switch key {
      case "dtype":
        let text = try scanner.string()
        guard let known = DType(rawValue: text) else {
          throw failure("unknown dtype \"\(text)\"")
        }
        dtype = known
      case "shape":
        var values: [Int] = []
        try scanner.array { scanner in values.append(try scanner.integer()) }
        dimensions = values
      case "data_offsets":
        var values: [Int] = []
        try scanner.array { scanner in
          values.append(try scanner.integer())
          guard values.count <= 2 else { throw failure("data_offsets must be two numbers") }
        }
        offsets = values
      default:
        try scanner.skip()
      }
    }
    guard let dtype else { throw failure("has no dtype") }
    guard let dimensions else { throw failure("has no shape") }
    guard let offsets, offsets.count == 2 else { throw failure("data_offsets must be two numbers") }
    guard let shape = TensorShape(dimensions) else {
      throw failure("shape \(dimensions.prefix(8)) is negative or too large")
    }
    guard let byteCount = dtype.byteCount(elementCount: shape.elementCount) else {
      throw failure("\(dtype.rawValue) \(shape) is not a whole number of bytes that can be counted")
    }
    let isForward = offsets[0] >= 0 && offsets[0] <= offsets[1]
    // Sound offsets beyond the end mean that the file was cut: the whole header tells where it ended.
    guard isForward, offsets[1] <= dataByteCount || offsets[1] - offsets[0] == byteCount else {
      throw failure(outside(offsets[0], offsets[1], dataByteCount))
    }
    let range = offsets[0]..<offsets[1]
    guard range.count == byteCount else {
      throw failure(
        "\(dtype.rawValue) \(shape) takes \(byteCount) bytes, data_offsets span \(range.count)")
    }
    return Entry(name: name, dtype: dtype, shape: shape, range: range)
  }

  private static func outside(_ start: Int, _ end: Int, _ dataByteCount: Int) -> String {
    "data_offsets [\(start), \(end)] are not inside the \(dataByteCount) bytes of data"
  }

  /// Every byte of the data belongs to exactly one tensor.
  private static func checkCoverage(
    _ entries: [Entry], dataOffset: Int, dataByteCount: Int, path: FilePath
  ) throws {
    var end = 0
    for entry in entries {
      guard entry.range.lowerBound == end else {
        if entry.range.upperBound > dataByteCount {
          throw SafetensorsError.tensor(
            path, name: entry.name.text,
            problem: outside(entry.range.lowerBound, entry.range.upperBound, dataByteCount))
        }
        let problem =
          entry.range.lowerBound < end
          ? "overlaps the tensor before it: begins at byte \(entry.range.lowerBound), expected \(end)"
          : "leaves a gap before it: begins at byte \(entry.range.lowerBound), expected \(end)"
        throw SafetensorsError.tensor(path, name: entry.name.text, problem: problem)
      }
      end = entry.range.upperBound
    }
    guard end <= dataByteCount else {
      let (size, overflow) = end.addingReportingOverflow(dataOffset)
      throw SafetensorsError.truncated(
        path, byteCount: dataOffset + dataByteCount, expected: overflow ? end : size)
    }
    guard end == dataByteCount else {
      throw SafetensorsError.coverage(
        path, problem: "tensors end at byte \(end) of the data, the file has \(dataByteCount)")
    }
  }

  // MARK: - Writing

  /// The header as it stands in a file: the length, then the JSON padded with spaces to 8 bytes.
  public func encoded() -> [UInt8] {
    var members: [JSONMember] = []
    if !metadata.isEmpty {
      let values = metadata.map { JSONMember(key: ExactString($0.key), value: .string($0.value)) }
      members.append(JSONMember(key: "__metadata__", value: .object(values)))
    }
    for entry in entries {
      let value: JSONValue = [
        "dtype": .string(entry.dtype.rawValue),
        "shape": .array(entry.shape.dimensions.map { .integer($0) }),
        "data_offsets": [.integer(entry.range.lowerBound), .integer(entry.range.upperBound)],
      ]
      members.append(JSONMember(key: entry.name, value: value))
    }
    var text = JSONWriter.compact(.object(members))
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - text.count % 8) % 8))
    return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text
  }
}
