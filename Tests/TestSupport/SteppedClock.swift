import RelayCore
import Synchronization

/// Time that a test moves by hand, and only while the worker has nothing to do before it moves.
///
/// What a worker waits for is either time, or an answer of its queue or its transport: those tell the clock what they are
/// doing (``during(_:)``), and the test tells whether there is work that needs no time (``expectsWork(_:)``). So no step of
/// the clock comes between the worker and its work, however slow the machine is.
public final class SteppedClock: RelayClock {
    private struct State {
        var underWay = 0
        var sleepers: [Int: Timestamp] = [:]
        var nextID = 0
        /// Grows with whatever happens.
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

    /// Asked before each step: whether something will happen although time stands still.
    public func expectsWork(_ body: @escaping @Sendable () async -> Bool) { change { $0.hasWork = body } }

    /// Waits until nothing is under way and nothing can happen, then moves on to where the first sleeper wakes, but at least
    /// by `stride` and at most to `limit`.
    public func step(atLeast stride: Duration = .zero, limit: Timestamp) async {
        let target = min(max(await untilQuiet(), now() + stride), limit)
        manual.advance(target - now())
    }

    public func run(until end: Timestamp, stride: Duration) async {
        while now() < end { await step(atLeast: stride, limit: end) }
    }

    /// Returns when the first sleeper wakes.
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

    /// Nil while something is under way, or somebody is waking up.
    private func wakeOfFirst(_ state: State) -> Timestamp? {
        guard state.underWay == 0, let first = state.sleepers.values.min(), first > now() else { return nil }
        return first
    }
}
