import Dispatch
import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Standard error behind a buffer, so that no event loop waits for a slow disk, terminal or journal.
///
/// Lines are written together, a moment later. A warning, and all lines before it, are written at once. The buffer is
/// bounded: if the reader is too slow, lines are lost, and a line says how many. When the program ends, the buffer is
/// written; a program that is killed loses the lines of its last moment.
final class LogOutput: Sendable {
    static let standardError: LogOutput = {
        atexit { LogOutput.standardError.flush() }
        return LogOutput(descriptor: STDERR_FILENO)
    }()

    private struct State: Sendable {
        var lines: [UInt8] = []
        var lost = 0
        var isScheduled = false
        var isUrgent = false
    }

    /// The most octets that wait to be written.
    static let limit = 4 << 20
    static let delay = DispatchTimeInterval.milliseconds(10)

    private let descriptor: CInt
    private let state = Mutex(State())
    /// Lines are written on this queue, in order.
    private let queue = DispatchQueue(label: "hiveku-relay.log")

    init(descriptor: CInt) { self.descriptor = descriptor }

    /// Adds a line, which must end with a line feed.
    func write(_ line: [UInt8], isUrgent: Bool) {
        let (mustSchedule, mustHurry) = state.withLock { state in
            guard state.lines.count + line.count <= LogOutput.limit else {
                state.lost += 1
                return (false, false)
            }
            state.lines += line
            defer {
                state.isScheduled = true
                state.isUrgent = state.isUrgent || isUrgent
            }
            return (!state.isScheduled && !isUrgent, isUrgent && !state.isUrgent)
        }
        if mustHurry { queue.async { [self] in drain() } }
        if mustSchedule { queue.asyncAfter(deadline: .now() + LogOutput.delay) { [self] in drain() } }
    }

    /// Returns when all lines so far are written.
    func flush() { queue.sync { drain() } }

    private func drain() {
        var (lines, lost) = state.withLock { state in
            defer { state = State() }
            return (state.lines, state.lost)
        }
        if lost > 0 {
            lines += Array("\(lost) log lines were lost: they came faster than they could be written\n".utf8)
        }
        lines.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let count = systemWrite(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
                if count < 0, errno == EINTR { continue }
                // The reader is gone, or the disk is full: there is no other place to report it.
                guard count > 0 else { return }
                written += count
            }
        }
    }
}

/// Calls `write(2)`, which the class's own method of the same name hides.
private func systemWrite(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
