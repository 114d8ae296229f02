// SPDX-License-Identifier: Apache-2.0

package import Glibc
package import SystemPackage

/// A program that runs as a process of its own, as a user's shell runs it.
///
/// What it writes is collected, what it took is measured, and it is ended when it takes too long.
package final class ToolProcess {
  /// What programs were built with: `asan`, `tsan` or `ubsan`; nil without a sanitizer.
  package static let sanitizer: String? = unsafe getenv("KILN_SANITIZER").map {
    unsafe String(cString: $0)
  }

  /// `kiln` next to the test bundle, or `KILN_BINARY`: an older or a sanitized build.
  package static let kiln: FilePath = {
    if let named = unsafe getenv("KILN_BINARY") { return unsafe FilePath(platformString: named) }
    // The process of `swift test` is the bundle's own executable or a helper of the toolchain.
    let arguments = CommandLine.arguments
    let bundle = arguments.first { $0.hasSuffix(".xctest") } ?? arguments.first ?? ""
    return FilePath(bundle).removingLastComponent().appending("kiln")
  }()

  /// What a process may take; a program that hangs or eats memory then fails and not the machine.
  package struct Limits: Sendable {
    /// Address space, in KiB; nil for no limit.
    package var memoryKiB: Int?
    /// Wall time.
    package var seconds: Double

    /// Those of RELIABILITY, R1.
    ///
    /// A sanitizer makes the program ten times slower and reserves terabytes of addresses for its own
    /// tables, so that there cannot be a limit for them.
    package init() {
      memoryKiB = sanitizer == nil ? 4 << 20 : nil
      seconds = sanitizer == nil ? 20 : 200
    }
  }

  /// How a process ended.
  package struct Outcome: Sendable {
    /// The exit code, or 128 and the signal that ended the process.
    package let status: Int32
    /// The signal that ended the process, if one did.
    package let signal: Int32?
    /// Whether it took longer than it may, and was killed.
    package let isOverdue: Bool
    /// Standard output.
    package let outputBytes: [UInt8]
    /// Standard error.
    package let errors: String
    /// Wall time.
    package let seconds: Double
    /// Largest resident size in bytes, mapped files included; at least that of this process when it started
    /// the other, which the kernel counts too.
    package let peakMemoryByteCount: Int
    /// The same as it was seen while the process ran, every twentieth of a second; 0 if it was too fast.
    package let observedPeakMemoryByteCount: Int

    /// Standard output as text.
    package var text: String { String(decoding: outputBytes, as: UTF8.self) }

    /// Lines on standard error that are neither warnings nor the progress of a run that takes seconds.
    package var messages: [String] {
      errors.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        .filter { !$0.isEmpty && !$0.hasPrefix("kiln: warning: ") && !$0.contains(Self.progress) }
    }

    private static var progress: Regex<Substring> {
      #/^[a-z]+ (?:[0-9.]+ % .+ left, .*|took [0-9:]+)$/#
    }

    /// Lines on standard error that are warnings.
    package var warnings: [String] {
      errors.split(separator: "\n").map(String.init).filter { $0.hasPrefix("kiln: warning: ") }
    }
  }

  /// Why a process could not be started.
  package struct NotStarted: Error {
    package let program: String
    package let code: Int32
  }

  /// The process, and the group that it leads.
  package let identifier: pid_t
  private let limits: Limits
  private let start: timespec
  private var streams: [Stream]
  private var ending: (status: Int32, peakMemoryByteCount: Int)?
  private var observedPeakMemoryByteCount = 0

  /// One of the two streams that are read.
  private struct Stream {
    var descriptor: Int32
    var bytes: [UInt8] = []
  }

  /// Starts a program through the shell, which sets the limit and becomes the program.
  ///
  /// - Parameters:
  ///   - program: Its path, or a name to look for.
  ///   - arguments: Its arguments.
  ///   - input: What it reads on standard input.
  ///   - folder: Its working folder; that of this process if nil.
  ///   - environment: Variables to set.
  ///   - redirection: Redirections in the language of the shell, such as `>/dev/full`.
  ///   - limits: What it may take.
  /// - Throws: `NotStarted`.
  package init(
    _ program: String, _ arguments: [String], input: [UInt8] = [], in folder: String? = nil,
    environment: [String: String] = [:], redirection: String = "", limits: Limits = Limits()
  ) throws {
    self.limits = limits
    start = Self.now()
    let script =
      (limits.memoryKiB.map { "ulimit -v \($0); " } ?? "")
      + "cd \"$1\" && shift && exec \"$0\" \"$@\" \(redirection)"
    var launch = try Launch(input: input, program: program)
    identifier = try launch.run(
      ["/bin/sh", "-c", script, program, folder ?? "."] + arguments, environment: environment)
    streams = launch.readers.map { Stream(descriptor: $0) }
  }

  deinit {
    for stream in streams where stream.descriptor >= 0 { close(stream.descriptor) }
    if ending == nil {
      kill(-identifier, SIGKILL)
      var status: Int32 = 0
      unsafe waitpid(identifier, &status, 0)
    }
  }

  /// Sends the process a signal.
  package func send(_ signal: Int32) {
    // A process that has ended and was waited for has given its number back.
    if ending == nil { kill(identifier, signal) }
  }

  /// Stops the process, and returns once none of its threads runs any more.
  ///
  /// - Returns: Whether it is stopped; false if it was faster and has ended.
  package func suspend() -> Bool {
    guard ending == nil else { return false }
    kill(identifier, SIGSTOP)
    var change = unsafe siginfo_t()
    let options = WSTOPPED | WEXITED | WNOWAIT
    while unsafe waitid(P_PID, id_t(identifier), &change, options) != 0, errno == EINTR {}
    return unsafe change.si_code == CLD_STOPPED
  }

  /// Whether it has not ended yet.
  package var isRunning: Bool {
    if ending == nil { collect(options: WNOHANG) }
    return ending == nil
  }

  /// Waits for the end; a process that takes too long is killed, with all that it started.
  package func wait() -> Outcome {
    var isOverdue = false
    while streams.contains(where: { $0.descriptor >= 0 }) {
      let left = limits.seconds - Self.seconds(since: start)
      guard left > 0 || isOverdue else {
        isOverdue = true
        kill(-identifier, SIGKILL)
        continue
      }
      observeMemory()
      read(milliseconds: isOverdue ? 1000 : min(50, Int32(left * 1000) + 1))
    }
    while ending == nil {
      collect(options: WNOHANG)
      if ending == nil {
        usleep(200)
        if Self.seconds(since: start) > limits.seconds, !isOverdue {
          isOverdue = true
          kill(-identifier, SIGKILL)
        }
      }
    }
    let status = ending?.status ?? 0
    let signal = status & 0x7F
    return Outcome(
      status: signal == 0 ? status >> 8 & 0xFF : 128 + signal, signal: signal == 0 ? nil : signal,
      isOverdue: isOverdue, outputBytes: streams[0].bytes,
      errors: String(decoding: streams[1].bytes, as: UTF8.self),
      seconds: Self.seconds(since: start), peakMemoryByteCount: ending?.peakMemoryByteCount ?? 0,
      observedPeakMemoryByteCount: observedPeakMemoryByteCount)
  }

  /// Looks how large the process has been so far; the kernel counts what it was before it became this program
  /// apart.
  private func observeMemory() {
    guard ending == nil else { return }
    let descriptor = unsafe open("/proc/\(identifier)/status", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe Glibc.read(descriptor, &bytes, bytes.count)
    let words = String(decoding: bytes[..<max(count, 0)], as: UTF8.self)
      .split(whereSeparator: \.isWhitespace)
    guard let key = words.firstIndex(of: "VmHWM:"), key + 1 < words.count,
      let kibibytes = Int(words[key + 1])
    else { return }
    // It only grows; only before the program began can it have been that of another.
    observedPeakMemoryByteCount = kibibytes << 10
  }

  /// Takes what the streams have, or waits for it.
  private func read(milliseconds: Int32) {
    var requests = streams.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    guard unsafe poll(&requests, nfds_t(requests.count), milliseconds) > 0 else { return }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    for (index, request) in requests.enumerated() where request.revents != 0 {
      let count = unsafe Glibc.read(request.fd, &buffer, buffer.count)
      if count > 0 {
        streams[index].bytes += buffer[..<count]
      } else if count == 0 || errno != EINTR {
        close(request.fd)
        streams[index].descriptor = -1
      }
    }
  }

  private func collect(options: Int32) {
    var status: Int32 = 0
    var usage = rusage()
    if unsafe wait4(identifier, &status, options, &usage) == identifier {
      ending = (status, Int(usage.ru_maxrss) << 10)
    }
  }

  private static func now() -> timespec {
    var now = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    return now
  }

  private static func seconds(since start: timespec) -> Double {
    let now = now()
    return Double(now.tv_sec - start.tv_sec) + Double(now.tv_nsec - start.tv_nsec) / 1e9
  }
}
