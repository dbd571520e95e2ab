import RelayCore
import Synchronization

/// A clock that stands still until it is moved. As with the computer's clock, a sleeper wakes after the time that was
/// left until its deadline when it began to sleep, even if the wall clock was set forward or back in the meantime.
public final class ManualClock: RelayClock {
    private typealias Continuation = CheckedContinuation<Void, any Error>

    private struct State {
        var now: Timestamp
        /// The time since the clock was created.
        var elapsed = Duration.zero
        var sleepers: [Int: (wake: Duration, continuation: Continuation)] = [:]
        var cancelled: Set<Int> = []
        var nextID = 0
        /// The callers of ``untilSlept()``.
        var watchers: [CheckedContinuation<Void, Never>] = []

        /// Returns the sleepers to wake.
        mutating func advance(_ duration: Duration) -> [Continuation] {
            now = now + duration
            elapsed += duration
            let due = sleepers.filter { $0.value.wake <= elapsed }
            for id in due.keys { sleepers[id] = nil }
            return due.values.map(\.continuation)
        }
    }

    /// No task is resumed under this lock: resuming a task waits while the task is being cancelled, and the
    /// cancellation waits for the lock.
    private let state: Mutex<State>
    private let skipped: Duration

    /// The clock stands at 2026-11-25T12:00:00Z by default. A sleep that is shorter than `skipped` moves the clock at
    /// once: a test about longer times need not wait for the pauses between two tries.
    public init(
        _ now: Timestamp = Timestamp(milliseconds: 1_795_608_000_000), skippingSleepsBelow skipped: Duration = .zero
    ) {
        state = Mutex(State(now: now))
        self.skipped = skipped
    }

    public func now() -> Timestamp { state.withLock { $0.now } }
    public func monotonicNow() -> MonotonicTime { 1000 + state.withLock { $0.elapsed } }

    /// Moves the wall clock and the monotonic clock forward.
    public func advance(_ duration: Duration) {
        for sleeper in state.withLock({ $0.advance(duration) }) { sleeper.resume() }
    }

    /// Moves the wall clock only, as an administrator does.
    public func step(to moment: Timestamp) { state.withLock { $0.now = moment } }

    public func sleep(until deadline: Timestamp) async throws {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { begin(id, deadline, $0) }
        } onCancel: {
            let sleeper = state.withLock { state in
                let sleeper = state.sleepers.removeValue(forKey: id)
                if sleeper == nil { state.cancelled.insert(id) }
                return sleeper
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    private func begin(_ id: Int, _ deadline: Timestamp, _ continuation: Continuation) {
        enum Answer {
            case cancelled, over(woken: [Continuation]), asleep(watchers: [CheckedContinuation<Void, Never>])
        }
        let answer: Answer = state.withLock { state in
            if state.cancelled.remove(id) != nil { return .cancelled }
            let wait = deadline - state.now
            if wait <= .zero { return .over(woken: []) }
            if wait < skipped { return .over(woken: state.advance(wait)) }
            state.sleepers[id] = (state.elapsed + wait, continuation)
            return .asleep(watchers: exchange(&state.watchers, with: []))
        }
        switch answer {
        case .cancelled: continuation.resume(throwing: CancellationError())
        case .over(let woken): for sleeper in woken + [continuation] { sleeper.resume() }
        case .asleep(let watchers): for watcher in watchers { watcher.resume() }
        }
    }

    /// Returns when a task sleeps.
    public func untilSlept() async {
        await withCheckedContinuation { continuation in
            let isAsleep = state.withLock { state in
                if state.sleepers.isEmpty { state.watchers.append(continuation) }
                return !state.sleepers.isEmpty
            }
            if isAsleep { continuation.resume() }
        }
    }

    /// Moves the clock to the time at which the next sleeper wakes, again and again, until the current task is
    /// cancelled.
    public func run() async {
        while !Task.isCancelled {
            await untilSlept()
            let woken = state.withLock { state in
                state.sleepers.values.map(\.wake).min().map { state.advance($0 - state.elapsed) } ?? []
            }
            for sleeper in woken { sleeper.resume() }
            await Task.yield()
        }
    }
}
