import RelayCore
import Synchronization

/// A clock that stands still until it is moved. Sleepers wake when so much time has passed as lay before their moment, as those of
/// the machine's clock: also when the wall clock was put forward or back meanwhile.
public final class ManualClock: RelayClock {
    private typealias Continuation = CheckedContinuation<Void, any Error>

    private struct State {
        var now: Timestamp
        /// Since the clock was made.
        var elapsed = Duration.zero
        var sleepers: [Int: (wake: Duration, continuation: Continuation)] = [:]
        var cancelled: Set<Int> = []
        var nextID = 0
        /// Of ``untilSlept()``.
        var watchers: [CheckedContinuation<Void, Never>] = []

        /// Those who are to be woken.
        mutating func advance(_ duration: Duration) -> [Continuation] {
            now = now + duration
            elapsed += duration
            let due = sleepers.filter { $0.value.wake <= elapsed }
            for id in due.keys { sleepers[id] = nil }
            return due.values.map(\.continuation)
        }
    }

    /// Nobody is resumed under the lock: resuming a task waits while it is being cancelled, and that waits for the lock.
    private let state: Mutex<State>
    private let skipped: Duration

    /// Stands at 2026-11-25T12:00:00Z unless told otherwise. Sleeps that are shorter than `skipped` move the clock by themselves,
    /// at once: the pauses between two tries, where a test is about longer times.
    public init(
        _ now: Timestamp = Timestamp(milliseconds: 1_795_608_000_000), skippingSleepsBelow skipped: Duration = .zero
    ) {
        state = Mutex(State(now: now))
        self.skipped = skipped
    }

    public func now() -> Timestamp { state.withLock { $0.now } }
    public func monotonicNow() -> MonotonicTime { 1000 + state.withLock { $0.elapsed } }

    /// Moves both clocks on.
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

    /// Until somebody sleeps.
    public func untilSlept() async {
        await withCheckedContinuation { continuation in
            let isAsleep = state.withLock { state in
                if state.sleepers.isEmpty { state.watchers.append(continuation) }
                return !state.sleepers.isEmpty
            }
            if isAsleep { continuation.resume() }
        }
    }

    /// Moves to where the next sleeper wakes, again and again, until the task that this runs in is cancelled.
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
