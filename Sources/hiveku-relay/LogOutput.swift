import Dispatch
import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Standard error behind a buffer, so that no event loop waits for a disk, a terminal or a journal that is slow.
///
/// Lines are written together, a moment later; a warning, and all before it, at once. The buffer is bounded: who can't keep up
/// loses lines and is told how many. What is buffered when the program ends is written then; a program that is killed loses
/// the last moment.
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

    /// Octets that wait at most.
    static let limit = 4 << 20
    static let delay = DispatchTimeInterval.milliseconds(10)

    private let descriptor: CInt
    private let state = Mutex(State())
    /// Lines are written here, in order.
    private let queue = DispatchQueue(label: "hiveku-relay.log")

    init(descriptor: CInt) { self.descriptor = descriptor }

    /// `line` ends with a line feed.
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

    /// Returns when all before it is written.
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
                // Nobody reads, or there is no room: there is nowhere left to say so.
                guard count > 0 else { return }
                written += count
            }
        }
    }
}

/// write(2), under a name that the class's own method does not hide.
private func systemWrite(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
