import RelayCore
import Synchronization
import TestSupport

/// Time that a test moves by hand, and only while the worker has nothing under way.
///
/// What a worker waits for is either time, or an answer of its queue or its transport: those tell the clock what they are
/// doing (``during(_:)``). So a step of the clock never meets a call that is under way. It may meet a worker that is about
/// to think, which then finds itself later by one step, as on a machine that is slow for a moment; that is made rare, and
/// no test may depend on it.
final class SteppedClock: RelayClock {
    private struct State {
        var underWay = 0
        var sleepers: [Int: Timestamp] = [:]
        var nextID = 0
        var waiter: CheckedContinuation<Void, Never>?
        /// Grows with whatever happens.
        var events = 0
    }

    private let manual = ManualClock()
    private let state = Mutex(State())

    func now() -> Timestamp { manual.now() }
    func monotonicSeconds() -> Double { manual.monotonicSeconds() }

    func sleep(until deadline: Timestamp) async throws {
        let id = change { state in
            state.nextID += 1
            state.sleepers[state.nextID] = deadline
            return state.nextID
        }
        defer { change { $0.sleepers[id] = nil } }
        try await manual.sleep(until: deadline)
    }

    func during<Value>(_ work: () async throws -> Value) async rethrows -> Value {
        change { $0.underWay += 1 }
        defer { change { $0.underWay -= 1 } }
        return try await work()
    }

    /// Waits until nothing is under way, then moves on to where the first sleeper wakes, but at least by `stride` and at
    /// most to `limit`.
    func step(atLeast stride: Duration = .zero, limit: Timestamp) async {
        let target = min(max(await untilQuiet(), now() + stride), limit)
        manual.advance(target - now())
    }

    func run(until end: Timestamp, stride: Duration) async {
        while now() < end { await step(atLeast: stride, limit: end) }
    }

    /// Until nothing is under way, all who sleep will go on sleeping, and that stays so although everybody else had a turn.
    /// Returns when the first sleeper wakes.
    private func untilQuiet() async -> Timestamp {
        while true {
            await untilIdle()
            let before = state.withLock { $0.events }
            for _ in 0..<SteppedClock.patience { await Task.yield() }
            let wake = state.withLock { $0.events == before ? idle($0) : nil }
            if let wake { return wake }
        }
    }

    private static let patience = 50

    private func untilIdle() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if idle(state) != nil { return true }
                state.waiter = continuation
                return false
            }
            if isIdle { continuation.resume() }
        }
    }

    private func change<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
        let (value, waiter) = state.withLock { state in
            let value = body(&state)
            state.events += 1
            return (value, idle(state) == nil ? nil : state.waiter.take())
        }
        waiter?.resume()
        return value
    }

    /// When the first sleeper wakes; nil while something is under way.
    private func idle(_ state: State) -> Timestamp? {
        guard state.underWay == 0, let first = state.sleepers.values.min(), first > now() else { return nil }
        return first
    }
}
