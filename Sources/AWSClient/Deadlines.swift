import RelayCore
import Synchronization

/// Ends calls that take too long, with one timer for all of them.
///
/// Nearly every call ends long before its deadline. A timer for each call would cost as many thread switches as the
/// call itself. Deadlines use the monotonic clock. If the wall clock were set back, a call could hang; if it were set
/// forward, a call would end early.
package final class Deadlines: Sendable {
    private struct Call {
        var deadline: MonotonicTime
        var end: @Sendable () -> Void
    }

    private struct State {
        var calls: [Int: Call] = [:]
        var count = 0
        var timer: Timer?
    }

    private struct Timer {
        var at: MonotonicTime
        var task: Task<Void, Never>
    }

    private let clock: any RelayClock
    private let state = Mutex(State())

    package init(clock: any RelayClock) { self.clock = clock }

    deinit { state.withLock { $0.timer }?.task.cancel() }

    /// Calls `end` once after `time`. Returns a number: if ``ended(_:)`` is called with it before that, `end` is not
    /// called.
    package func begin(within time: Duration, end: @escaping @Sendable () -> Void) -> Int {
        let deadline = clock.monotonicNow() + time
        let (number, outdated) = state.withLock { state in
            state.count += 1
            state.calls[state.count] = Call(deadline: deadline, end: end)
            return (state.count, setTimer(for: deadline, &state))
        }
        // Cancel it outside the lock, because cancelling runs the clock's cancellation handler.
        outdated?.task.cancel()
        return number
    }

    /// Removes a call that has ended in time.
    ///
    /// - Parameter number: the result of ``begin(within:end:)``.
    package func ended(_ number: Int) { state.withLock { $0.calls[number] = nil } }

    /// Sets a timer for `deadline`. Returns the timer that the new one replaces; nil if there is none, or if no new one
    /// is needed. A timer for an earlier time is kept: when it fires, it sets the next one.
    private func setTimer(for deadline: MonotonicTime, _ state: inout State) -> Timer? {
        let outdated = state.timer
        if let outdated, outdated.at <= deadline { return nil }
        let task = Task { [weak self, clock] in
            // A whole millisecond is added, because a timer that fires too early would find nothing to do.
            let left = max(0, deadline.seconds(since: clock.monotonicNow())) + 0.001
            guard (try? await clock.sleep(until: clock.now() + .seconds(left))) != nil else { return }
            self?.goOff(at: deadline)
        }
        state.timer = Timer(at: deadline, task: task)
        return outdated
    }

    private func goOff(at moment: MonotonicTime) {
        let now = clock.monotonicNow()
        let overdue = state.withLock { state -> [Call] in
            guard state.timer?.at == moment else { return [] }
            state.timer = nil
            let overdue = state.calls.filter { $0.value.deadline <= now }
            for number in overdue.keys { state.calls[number] = nil }
            if let next = state.calls.values.map(\.deadline).min() { _ = setTimer(for: next, &state) }
            return Array(overdue.values)
        }
        for call in overdue { call.end() }
    }
}
