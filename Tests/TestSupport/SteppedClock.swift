import RelayCore
import Synchronization

/// A clock that a test moves by hand. It moves only when the worker has nothing left to do at the present time.
///
/// A worker waits either for time, or for an answer of its queue or its transport. The queue and the transport report
/// to the clock while they are working (``during(_:)``). The test reports whether there is work that needs no time
/// (``expectsWork(_:)``). So the clock never moves before the worker has done its work, however slow the computer is.
public final class SteppedClock: RelayClock {
    private struct State {
        var underWay = 0
        var sleepers: [Int: Timestamp] = [:]
        var nextID = 0
        /// Increases with each change.
        var events = 0
        var waiter: CheckedContinuation<Void, Never>?
        var hasWork: @Sendable () async -> Bool = { false }
    }

    private let manual = ManualClock()
    private let state = Mutex(State())

    public init() {}

    public func now() -> Timestamp { manual.now() }
    public func monotonicNow() -> MonotonicTime { manual.monotonicNow() }

    public func sleep(until deadline: Timestamp) async throws {
        let id = change { state in
            state.nextID += 1
            state.sleepers[state.nextID] = deadline
            return state.nextID
        }
        defer { change { $0.sleepers[id] = nil } }
        try await manual.sleep(until: deadline)
    }

    public func during<Value>(_ work: () async throws -> Value) async rethrows -> Value {
        change { $0.underWay += 1 }
        defer { change { $0.underWay -= 1 } }
        return try await work()
    }

    /// Sets a function that is called before each step. It returns whether something will happen although time stands
    /// still.
    public func expectsWork(_ body: @escaping @Sendable () async -> Bool) { change { $0.hasWork = body } }

    /// Waits until nothing is under way and nothing can happen. Then moves the clock to the time at which the first
    /// sleeper wakes, but at least by `stride` and at most to `limit`.
    public func step(atLeast stride: Duration = .zero, limit: Timestamp) async {
        let target = min(max(await untilQuiet(), now() + stride), limit)
        manual.advance(target - now())
    }

    public func run(until end: Timestamp, stride: Duration) async {
        while now() < end { await step(atLeast: stride, limit: end) }
    }

    /// Waits until nothing is under way. Returns the time at which the first sleeper wakes.
    private func untilQuiet() async -> Timestamp {
        while true {
            let (before, hasWork) = state.withLock { ($0.events, $0.hasWork) }
            let mustWait = await hasWork()
            let wake = state.withLock { !mustWait && $0.events == before ? wakeOfFirst($0) : nil }
            if let wake { return wake }
            await untilSomethingHappens(since: before)
        }
    }

    private func untilSomethingHappens(since events: Int) async {
        await withCheckedContinuation { continuation in
            let happened = state.withLock { state in
                if state.events == events { state.waiter = continuation }
                return state.events != events
            }
            if happened { continuation.resume() }
        }
    }

    private func change<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
        let (value, waiter) = state.withLock { state in
            state.events += 1
            return (body(&state), state.waiter.take())
        }
        waiter?.resume()
        return value
    }

    /// Nil while something is under way, or while a sleeper is waking up.
    private func wakeOfFirst(_ state: State) -> Timestamp? {
        guard state.underWay == 0, let first = state.sleepers.values.min(), first > now() else { return nil }
        return first
    }
}
