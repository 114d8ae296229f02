// SPDX-License-Identifier: Apache-2.0

package import JSON
package import SystemPackage
package import TensorCore

/// A small but complete checkpoint of any shape, with values that depend on seed and names alone.
///
/// Defaults are a model of three layers: KDA with a dense layer, KDA and MLA with experts.
package struct TinyCheckpoint: Sendable {
  /// Which names tensors and configuration keys have.
  package enum Dialect: Sendable {
    /// That of the released checkpoints.
    case released
    /// That of transformers' `save_pretrained`.
    case transformers
  }

  /// How `A_log` is stored.
  package enum DecayShape: Sendable {
    /// `[1, 1, H, 1]`.
    case released
    /// `[H]`.
    case vector
    /// `[H + n]`, zeros at the end.
    case padded(Int)
  }

  package var name = "default"
  package var seed: UInt64 = 1
  package var vocabularySize = 96
  package var hiddenSize = 64
  /// One entry a layer: KDA or MLA.
  package var isLinear = [true, true, false]
  package var denseLayers = 1
  package var intermediateSize = 96
  package var linearHeads = 2
  package var linearHeadDimension = 16
  package var kernelSize = 4
  package var latentHeads = 2
  package var queryRank: Int?
  package var latentRank = 32
  package var nopeDimension = 16
  package var ropeDimension = 8
  package var valueDimension = 16
  package var experts = 4
  package var expertsPerToken = 2
  package var sharedExperts = 1
  package var expertWidth = 32
  package var groups = 1
  package var groupsPerToken = 1
  package var renormalizes = true
  package var tiesEmbeddings = false
  package var dtype = DType.bf16
  package var decayShape = DecayShape.released
  package var dialect = Dialect.released
  package var shardCount = 1

  /// A checkpoint that differs from the default where `change` says so.
  package init(_ name: String = "default", _ change: (inout TinyCheckpoint) -> Void = { _ in }) {
    self.name = name
    change(&self)
  }

  /// The same model in the other dialect.
  package func inDialect(_ dialect: Dialect) -> TinyCheckpoint {
    var other = self
    other.dialect = dialect
    return other
  }

  /// Every kind of model and of storage that the formats allow.
  package static let variants: [TinyCheckpoint] = [
    TinyCheckpoint(),
    TinyCheckpoint("transformers") { $0.dialect = .transformers },
    TinyCheckpoint("shards") { $0.shardCount = 4 },
    TinyCheckpoint("transformers in shards") {
      ($0.dialect, $0.shardCount, $0.sharedExperts) = (.transformers, 3, 2)
    },
    TinyCheckpoint("low-rank queries, groups") {
      ($0.queryRank, $0.experts, $0.groups, $0.groupsPerToken) = (24, 8, 4, 2)
      $0.renormalizes = false
    },
    TinyCheckpoint("no shared experts, tied") { ($0.sharedExperts, $0.tiesEmbeddings) = (0, true) },
    TinyCheckpoint("odd rows") {
      ($0.hiddenSize, $0.expertWidth, $0.intermediateSize) = (45, 33, 47)
      ($0.linearHeads, $0.linearHeadDimension, $0.vocabularySize) = (3, 10, 101)
      ($0.valueDimension, $0.latentRank, $0.kernelSize) = (7, 19, 3)
    },
    TinyCheckpoint("all KDA, dense") {
      ($0.isLinear, $0.denseLayers, $0.decayShape) = ([true, true], 2, .vector)
    },
    TinyCheckpoint("all MLA, no dense layer") {
      ($0.isLinear, $0.denseLayers, $0.ropeDimension) = ([false, false], 0, 4)
    },
    TinyCheckpoint("padded A_log, F16") { ($0.decayShape, $0.dtype) = (.padded(3), .f16) },
    TinyCheckpoint("F32, transformers") {
      ($0.dtype, $0.dialect, $0.decayShape) = (.f32, .transformers, .vector)
    },
  ]
}

extension TinyCheckpoint: CustomStringConvertible {
  package var description: String { name }
}

// MARK: - Files

extension TinyCheckpoint {
  /// Writes the checkpoint as a folder.
  ///
  /// - Parameters:
  ///   - folder: Where.
  ///   - name: Name of the checkpoint's folder.
  ///   - configuration: In place of the right one.
  ///   - tensors: In place of the right ones.
  /// - Returns: The checkpoint's folder.
  /// - Throws: An `Errno`.
  @discardableResult
  package func write(
    to folder: TemporaryFolder, as name: String = "checkpoint", configuration: JSONValue? = nil,
    tensors: [TinyTensor]? = nil
  ) throws -> FilePath {
    for (file, bytes) in files(configuration: configuration, tensors: tensors) {
      try folder.write(bytes, as: "\(name)/\(file)")
    }
    return folder.path.appending(name)
  }

  /// All files of the folder.
  package func files(
    configuration: JSONValue? = nil, tensors: [TinyTensor]? = nil
  ) -> [(name: String, bytes: [UInt8])] {
    let tensors = tensors ?? self.tensors
    var files: [(name: String, bytes: [UInt8])] = [
      ("config.json", JSONWriter.pretty(configuration ?? self.configuration)),
      ("tiktoken.model", Array("aQ== 0\n".utf8)),
      ("tokenizer_config.json", Array("{}".utf8)),
      ("LICENSE", Array("free\r\n".utf8)),
      ("empty.txt", []),
    ]
    guard shardCount > 1 else {
      return files + [("model.safetensors", TinyTensor.file(tensors))]
    }
    var map: [JSONMember] = []
    for shard in 0..<shardCount {
      let name = "model-0000\(shard + 1)-of-0000\(shardCount).safetensors"
      let part = stride(from: shard, to: tensors.count, by: shardCount).map { tensors[$0] }
      files.append((name, TinyTensor.file(part)))
      map += part.map { JSONMember(key: ExactString($0.name), value: .string(name)) }
    }
    let index: JSONValue = ["metadata": [:], "weight_map": .object(map)]
    return files + [("model.safetensors.index.json", JSONWriter.pretty(index))]
  }
}

/// A tensor of a small checkpoint.
package struct TinyTensor: Sendable, Equatable {
  package var name: String
  package var dtype: DType
  package var shape: [Int]
  package var bytes: [UInt8]

  package init(name: String, dtype: DType, shape: [Int], bytes: [UInt8]) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.bytes = bytes
  }

  /// A safetensors file of some tensors in the order given.
  package static func file(_ tensors: [TinyTensor]) -> [UInt8] {
    var end = 0
    var members = ["\"__metadata__\":{\"format\":\"pt\"}"]
    for tensor in tensors {
      let start = end
      end += tensor.bytes.count
      members.append(
        "\"\(tensor.name)\":"
          + RawSafetensors.entry(tensor.dtype.rawValue, tensor.shape, start, end))
    }
    return RawSafetensors.file(
      header: Array("{\(members.joined(separator: ","))}".utf8), data: tensors.flatMap(\.bytes))
  }
}
