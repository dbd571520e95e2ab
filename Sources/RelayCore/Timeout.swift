import Synchronization

/// The result of `work`, or nil if it takes longer than `time`.
///
/// Work that ignores its cancellation keeps running; the caller does not wait for it.
public func within<T: Sendable>(_ time: Duration, _ work: @escaping @Sendable () async -> T) async -> T? {
    let first = First<T?>()
    let working = Task { first.take(await work()) }
    let timer = Task {
        // The sleep is cancelled when the work is done. The nil below then has no effect.
        try? await Task.sleep(for: time)
        first.take(nil)
    }
    let result = await first.value
    working.cancel()
    timer.cancel()
    return result
}

/// Delivers the first of several values to one waiter.
private final class First<T: Sendable>: Sendable {
    private enum State {
        case empty
        case awaited(CheckedContinuation<T, Never>)
        case taken(T)
        case delivered
    }

    private let state = Mutex(State.empty)

    func take(_ value: T) {
        let waiter = state.withLock { state -> CheckedContinuation<T, Never>? in
            switch state {
            case .empty:
                state = .taken(value)
                return nil
            case .awaited(let waiter):
                state = .delivered
                return waiter
            case .taken, .delivered: return nil
            }
        }
        waiter?.resume(returning: value)
    }

    var value: T {
        get async {
            await withCheckedContinuation { continuation in
                let early = state.withLock { state -> T? in
                    guard case .taken(let value) = state else {
                        state = .awaited(continuation)
                        return nil
                    }
                    state = .delivered
                    return value
                }
                if let early { continuation.resume(returning: early) }
            }
        }
    }
}
