// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

extension ToolProcess {
  /// The descriptors and settings that a new process gets.
  @safe
  struct Launch {
    /// The ends of standard output and standard error that this process reads.
    private(set) var readers: [Int32] = []
    private var writers: [Int32] = []
    private let input: Int32
    private let program: String
    /// No process starts while another thread makes a pipe: it would hold an end of it.
    private static let starting = Mutex(())

    init(input bytes: [UInt8], program: String) throws {
      self.program = program
      input = try Self.file(holding: bytes, for: program)
      for _ in 0..<2 {
        var ends: [Int32] = [-1, -1]
        let isMade = Self.starting.withLock { _ in
          guard unsafe pipe(&ends) == 0 else { return false }
          for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
          return true
        }
        guard isMade else { throw NotStarted(program: program, code: errno) }
        readers.append(ends[0])
        writers.append(ends[1])
      }
    }

    /// Starts the process; what is written to it or by it is then its own.
    mutating func run(_ words: [String], environment: [String: String]) throws -> pid_t {
      defer { for descriptor in [input] + writers { close(descriptor) } }
      var actions = unsafe posix_spawn_file_actions_t()
      var attributes = posix_spawnattr_t()
      unsafe posix_spawn_file_actions_init(&actions)
      unsafe posix_spawnattr_init(&attributes)
      defer {
        unsafe posix_spawn_file_actions_destroy(&actions)
        unsafe posix_spawnattr_destroy(&attributes)
      }
      for (number, descriptor) in ([input] + writers).enumerated() {
        unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
      }
      // A group of its own, so that all of it can be ended; signals as a fresh login has them.
      var signals = sigset_t()
      unsafe sigfillset(&signals)
      unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
      unsafe sigemptyset(&signals)
      unsafe posix_spawnattr_setsigmask(&attributes, &signals)
      unsafe posix_spawnattr_setflags(
        &attributes,
        Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
      var arguments = unsafe Self.pointers(words)
      var variables = unsafe Self.pointers(Self.environment(with: environment))
      defer {
        for index in unsafe arguments.indices { unsafe free(arguments[index]) }
        for index in unsafe variables.indices { unsafe free(variables[index]) }
      }
      var identifier: pid_t = 0
      let code = Self.starting.withLock { _ in
        unsafe posix_spawn(
          &identifier, words[0], &actions, &attributes, &arguments, &variables)
      }
      guard code == 0 else {
        for descriptor in readers { close(descriptor) }
        throw NotStarted(program: program, code: code)
      }
      return identifier
    }

    /// This process's environment with some variables set.
    private static func environment(with changes: [String: String]) -> [String] {
      // A crash is a failure; its trace would only take time.
      let changes = ["SWIFT_BACKTRACE": "enable=no"].merging(changes) { $1 }
      var result: [String] = []
      var entry = unsafe environ
      while let text = unsafe entry.pointee {
        let text = unsafe String(cString: text)
        if changes[String(text.prefix { $0 != "=" })] == nil { result.append(text) }
        unsafe entry += 1
      }
      return result + changes.map { "\($0)=\($1)" }
    }

    /// C strings, closed by a null pointer; the caller frees them.
    private static func pointers(_ words: [String]) -> [UnsafeMutablePointer<CChar>?] {
      unsafe words.map { unsafe strdup($0) } + [nil]
    }

    /// A file without a name, to be read from its start.
    private static func file(holding bytes: [UInt8], for program: String) throws -> Int32 {
      var name = Array("/tmp/kiln-input-XXXXXX".utf8CString)
      let descriptor = bytes.isEmpty ? unsafe open("/dev/null", O_RDONLY) : unsafe mkstemp(&name)
      guard descriptor >= 0 else { throw NotStarted(program: program, code: errno) }
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
      guard !bytes.isEmpty else { return descriptor }
      unsafe unlink(name)
      let written = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      guard written == bytes.count, lseek(descriptor, 0, SEEK_SET) == 0 else {
        close(descriptor)
        throw NotStarted(program: program, code: errno)
      }
      return descriptor
    }
  }
}
