import RelayCore
import Synchronization

/// A clock that stands still until it is moved. Sleepers wake when so much time has passed as lay before their moment, as those of
/// the machine's clock: also when the wall clock was put forward or back meanwhile.
public final class ManualClock: RelayClock {
    private struct Sleeper {
        var deadline: MonotonicTime
        var continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now: Timestamp
        var monotonic: MonotonicTime
        var sleepers: [Int: Sleeper] = [:]
        var cancelled: Set<Int> = []
        var nextID = 0
    }

    private let state: Mutex<State>

    /// 2026-11-25T12:00:00Z unless told otherwise.
    public init(_ now: Timestamp = Timestamp(milliseconds: 1_795_608_000_000)) {
        state = Mutex(State(now: now, monotonic: 1000))
    }

    public func now() -> Timestamp { state.withLock { $0.now } }
    public func monotonicNow() -> MonotonicTime { state.withLock { $0.monotonic } }

    /// Moves both clocks on.
    public func advance(_ duration: Duration) {
        let woken = state.withLock { state in
            state.now = state.now + duration
            state.monotonic = state.monotonic + duration
            let due = state.sleepers.filter { $0.value.deadline <= state.monotonic + .microseconds(1) }
            for id in due.keys { state.sleepers[id] = nil }
            return due.values.map(\.continuation)
        }
        for continuation in woken { continuation.resume() }
    }

    /// Moves the wall clock only, as an administrator does.
    public func step(to moment: Timestamp) { state.withLock { $0.now = moment } }

    public func sleep(until deadline: Timestamp) async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Result<Void, any Error>? = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return .failure(CancellationError()) }
                    if deadline <= state.now { return .success(()) }
                    let wait = deadline - state.now
                    state.sleepers[id] = Sleeper(deadline: state.monotonic + wait, continuation: continuation)
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let sleeper = state.withLock { state -> Sleeper? in
                if let sleeper = state.sleepers.removeValue(forKey: id) { return sleeper }
                state.cancelled.insert(id)
                return nil
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }
}
