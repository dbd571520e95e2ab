import Synchronization

/// A gate that lets callers pass only while it is open. A test uses it to decide when the next step happens.
final class Gate: Sendable {
    private typealias Continuation = CheckedContinuation<Void, Never>

    private struct State {
        var isOpen = true
        var waiting: [Continuation] = []
        var watchers: [Continuation] = []
    }

    private let state = Mutex(State())

    func close() { state.withLock { $0.isOpen = false } }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func pass() async {
        await withCheckedContinuation { continuation in
            let (passes, watchers) = state.withLock { state -> (Bool, [Continuation]) in
                if state.isOpen { return (true, []) }
                state.waiting.append(continuation)
                defer { state.watchers = [] }
                return (false, state.watchers)
            }
            if passes { continuation.resume() }
            for watcher in watchers { watcher.resume() }
        }
    }

    /// Returns when a caller waits at the closed gate, or when the test is over its time limit.
    func arrival() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mayGoOn = state.withLock { state in
                    let mayGoOn = !state.waiting.isEmpty || Task.isCancelled
                    if !mayGoOn { state.watchers.append(continuation) }
                    return mayGoOn
                }
                if mayGoOn { continuation.resume() }
            }
        } onCancel: {
            let watchers = state.withLock { state in
                defer { state.watchers = [] }
                return state.watchers
            }
            for watcher in watchers { watcher.resume() }
        }
    }
}
