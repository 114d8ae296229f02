// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Synchronization
import SystemPackage
import TensorCore

/// A pipe from the handler of SIGBUS, which may do next to nothing itself.
private let faults: (reader: Int32, writer: Int32) = {
  var ends: [Int32] = [-1, -1]
  guard unsafe pipe(&ends) == 0 else { return (-1, -1) }
  for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  return (ends[0], ends[1])
}()

/// Ends the process cleanly when the system tells it to: incomplete outputs are removed, and what is kept is said.
enum Interruption {
  private static let quiet = Atomic(false)

  private static let output = Atomic(false)

  /// Whether the command is to write a file, so that it is worth a word if there will be none.
  static var expectsOutput: Bool {
    get { output.load(ordering: .relaxed) }
    set { output.store(newValue, ordering: .relaxed) }
  }

  /// Whether nothing is said at the end but errors.
  static var isQuiet: Bool {
    get { quiet.load(ordering: .relaxed) }
    set { quiet.store(newValue, ordering: .relaxed) }
  }

  /// What became of outputs, in one line.
  private static func message(about outputs: TemporaryOutputs.Remains) -> String {
    if let kept = outputs.kept {
      return "interrupted; \(kept.completed) of \(kept.total) tensors are kept in \(kept.path);"
        + " run the same command again to go on"
    }
    // What is complete stays, though others may have been removed.
    guard !outputs.hasPublished, outputs.hasRemoved || expectsOutput else { return "interrupted" }
    return "interrupted; nothing was written"
      + (outputs.canBeKept ? " (--resume keeps finished tensors)" : "")
  }

  /// Takes the signals over.
  ///
  /// The handlers have a thread of their own, since all others may be computing.
  static func install() {
    let queue = DispatchQueue(label: "kiln.interruption", qos: .userInteractive)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      let former = signal(number, SIG_IGN)
      // `nohup kiln …` is meant to outlive its terminal.
      if number == SIGHUP, unsafe unsafeBitCast(former, to: Int.self) == 1 { continue }
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler {
        // The handler holds its own source, so that it lives as long as the process.
        withExtendedLifetime(source) {}
        TemporaryOutputs.endProcess { outputs in
          if !isQuiet {
            // A terminal shows ^C where the cursor is.
            StatusLine.shared.writeAtOnce(
              StandardError.spelled("kiln: \(message(about: outputs).asOneLine)\n"),
              startsLine: number == SIGINT || StandardOutput.isWithinLine)
          }
          return 128 + number
        }
      }
      source.activate()
    }
    // A closed pipe and a file size limit are errors of `write`, with a message and a clean end.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    watchFaults(queue)
  }

  /// Reports a mapped file that somebody cuts while it is read, which raises SIGBUS.
  ///
  /// The thread that met it cannot go on; it tells where, and waits for the end.
  private static func watchFaults(_ queue: DispatchQueue) {
    guard faults.reader >= 0 else { return }
    let source = DispatchSource.makeReadSource(fileDescriptor: faults.reader, queue: queue)
    source.setEventHandler {
      var address: UInt = 0
      let size = MemoryLayout<UInt>.size
      guard unsafe read(faults.reader, &address, size) == size else { return }
      withExtendedLifetime(source) {}
      TemporaryOutputs.endProcess { _ in
        // Any other fault is a defect of the program and must look like one.
        guard let error = MappedFile.failure(readingAt: address) else { abort() }
        StatusLine.shared.writeAtOnce(
          StandardError.errorLine(error.description) + "\n",
          startsLine: StandardOutput.isWithinLine)
        return ExitStatus(error.category).rawValue
      }
    }
    source.activate()
    var action = sigaction()
    unsafe action.__sigaction_handler.sa_sigaction = { _, information, _ in
      var address = unsafe UInt(bitPattern: information?.pointee._sifields._sigfault.si_addr)
      unsafe write(faults.writer, &address, MemoryLayout<UInt>.size)
      while true { pause() }
    }
    action.sa_flags = SA_SIGINFO
    unsafe sigaction(SIGBUS, &action, nil)
  }
}

/// The three descriptors that every program may expect.
enum StandardDescriptors {
  /// Opens those that the caller closed, so that no file of ours gets their number and then what
  /// was meant for a terminal.
  ///
  /// They lead to nothing and cannot be written to: a result that goes nowhere is an error.
  static func reserve() {
    while true {
      let descriptor = unsafe open("/dev/null", O_RDONLY)
      guard descriptor >= 0, descriptor <= STDERR_FILENO else {
        close(descriptor)
        return
      }
    }
  }
}
