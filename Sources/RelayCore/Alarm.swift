import Synchronization

/// The sleep of a loop, which ends when the alarm is rung or at a deadline. Only one task may wait at a time.
package final class Alarm: Sendable {
    private struct State {
        /// Whether the alarm was rung while no task waited.
        var isRung = false
        var waiter: CheckedContinuation<Void, Never>?
        var timer: Timer?
        var timers = 0
    }

    private struct Timer {
        var id: Int
        var deadline: Timestamp
        var task: Task<Void, Never>
    }

    private let clock: any RelayClock
    private let state = Mutex(State())

    package init(clock: any RelayClock) { self.clock = clock }

    /// Wakes the task that waits. If no task waits, the next wait returns at once.
    package func ring() {
        let waiter = state.withLock { state in
            state.isRung = state.waiter == nil
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// Returns when the alarm is rung or `deadline` is reached; nil: only when it is rung. It can return early, because
    /// the timer of an earlier wait is not cancelled and can fire.
    package func wait(until deadline: Timestamp?) async {
        var outdated: Task<Void, Never>?
        await withCheckedContinuation { continuation in
            let isRung = state.withLock { state in
                guard !state.isRung else {
                    state.isRung = false
                    return true
                }
                state.waiter = continuation
                if let deadline { outdated = setTimer(deadline, &state) }
                return false
            }
            if isRung { continuation.resume() }
            // The timer is cancelled outside the lock, because this runs whatever the clock does when its sleep is
            // cancelled.
            outdated?.cancel()
        }
    }

    /// Cancels the timer, so that it does not outlive the loop.
    package func cancel() {
        let timer = state.withLock { $0.timer.take() }
        timer?.task.cancel()
    }

    /// Sets a timer, if the present one is set for a later time or there is none. Returns the task of the timer that
    /// was replaced; nil if none was.
    private func setTimer(_ deadline: Timestamp, _ state: inout State) -> Task<Void, Never>? {
        let outdated = state.timer
        if let outdated, outdated.deadline <= deadline { return nil }
        state.timers += 1
        let id = state.timers
        let task = Task {
            do { try await clock.sleep(until: deadline) } catch { return }
            goOff(id)
        }
        state.timer = Timer(id: id, deadline: deadline, task: task)
        return outdated?.task
    }

    private func goOff(_ id: Int) {
        let isCurrent = state.withLock { state in
            guard state.timer?.id == id else { return false }
            state.timer = nil
            return true
        }
        if isCurrent { ring() }
    }
}
