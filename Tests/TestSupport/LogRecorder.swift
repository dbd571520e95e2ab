import Logging
import Synchronization

/// Keeps log entries, and lets a test wait for an entry. In this way, a test waits until the code has reached a certain
/// point.
public final class LogRecorder: Sendable {
    public struct Entry: Sendable, CustomStringConvertible {
        public var level: Logger.Level
        public var message: String
        /// The metadata of the logger and of the event.
        public var metadata: [String: String]

        public var description: String { "\(level): \(message)" }
    }

    private struct Waiter {
        var message: String
        var count: Int
        var continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var entries: [Entry] = []
        var waiters: [Waiter] = []
    }

    private let state = Mutex(State())
    private let level: Logger.Level

    /// Keeps entries of this level or above.
    public init(level: Logger.Level = .trace) { self.level = level }

    public var entries: [Entry] { state.withLock { $0.entries } }
    public func entries(_ message: String) -> [Entry] { entries.filter { $0.message == message } }
    public var logger: Logger { Logger(label: "test") { _ in Handler(recorder: self, logLevel: level) } }

    /// Returns once `message` has been logged `count` times, or when the test has exceeded its time limit.
    public func wait(for message: String, count: Int = 1) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mayGoOn = state.withLock { state in
                    if state.entries.count(where: { $0.message == message }) >= count || Task.isCancelled {
                        return true
                    }
                    state.waiters.append(Waiter(message: message, count: count, continuation: continuation))
                    return false
                }
                if mayGoOn { continuation.resume() }
            }
        } onCancel: {
            let waiters = state.withLock { state in
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.continuation.resume() }
        }
    }

    fileprivate func append(_ entry: Entry) {
        let due: [Waiter] = state.withLock { state in
            state.entries.append(entry)
            if state.waiters.isEmpty { return [] }
            let count = state.entries.count { $0.message == entry.message }
            let due = state.waiters.filter { $0.message == entry.message && $0.count <= count }
            state.waiters.removeAll { $0.message == entry.message && $0.count <= count }
            return due
        }
        for waiter in due { waiter.continuation.resume() }
    }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }
            recorder.append(
                Entry(level: event.level, message: "\(event.message)", metadata: all.mapValues { "\($0)" }))
        }
    }
}
