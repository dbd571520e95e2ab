import Logging
import Synchronization

/// Keeps what was logged, and lets a test wait for it: the handler's way of saying that it has come to a point.
final class LogRecorder: Sendable {
    struct Entry: Sendable {
        var level: Logger.Level
        var message: String
        var metadata: [String: String]
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

    var entries: [Entry] { state.withLock { $0.entries } }
    func entries(_ message: String) -> [Entry] { entries.filter { $0.message == message } }
    var logger: Logger { Logger(label: "test") { _ in Handler(recorder: self) } }

    /// Returns once `message` has been logged `count` times, or when the test is over its time limit.
    func wait(for message: String, count: Int = 1) async {
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
        let due = state.withLock { state in
            state.entries.append(entry)
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
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            recorder.append(
                Entry(
                    level: event.level, message: "\(event.message)",
                    metadata: (event.metadata ?? [:]).mapValues { "\($0)" }))
        }
    }
}
