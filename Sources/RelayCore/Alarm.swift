import Synchronization

/// The sleep of a loop: it ends when the alarm is rung or at a deadline. Only one task may wait.
package final class Alarm: Sendable {
    private struct State {
        /// Whether it was rung while no task waited.
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

    /// Wakes the waiter, or the next one if there is none.
    package func ring() {
        let waiter = state.withLock { state in
            state.isRung = state.waiter == nil
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// May return early: a timer of an earlier wait is not cancelled and may fire.
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
            // Outside the lock: cancelling runs whatever the clock does on cancellation.
            outdated?.cancel()
        }
    }

    /// Cancels the timer, so that none outlives the loop.
    package func cancel() {
        let timer = state.withLock { $0.timer.take() }
        timer?.task.cancel()
    }

    /// Sets a timer. Returns the one that it replaces.
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
