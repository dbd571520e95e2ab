import NIOPosix
import RelayCore
import Synchronization

/// Runs blocking look-ups on threads of their own. A caller waits for a limited time, because a look-up can't be
/// interrupted.
///
/// Callers that ask the same question at the same time share one look-up. So a name whose servers don't answer occupies
/// one thread at most.
package final class BlockingLookUps<Question: Hashable & Sendable, Answer: Sendable>: Sendable {
    /// Why the look-up has given no answer.
    package enum Unanswered: Error, Hashable, Sendable {
        /// The caller's time is up.
        case timedOut
        /// ``BlockingLookUps/shutdown()`` was called before the look-up began.
        case stopping
    }

    /// The answer of the look-up, or why there is none.
    package typealias Outcome = Result<Answer, Unanswered>

    private struct Waiter {
        var continuation: CheckedContinuation<Outcome, Never>
        var timer: Task<Void, Never>?
    }

    private struct State {
        /// The waiting callers by question. A question stays here until its look-up ends, even if all callers have
        /// stopped waiting.
        var waiting: [Question: [Int: Waiter]] = [:]
        var count = 0
    }

    private let clock: any RelayClock
    private let pool: NIOThreadPool
    private let lookUp: @Sendable (Question) -> Answer
    private let state = Mutex(State())

    /// Starts the threads.
    ///
    /// - Parameters:
    ///   - clock: measures the time that callers wait.
    ///   - threads: the number of look-ups at a time. Further look-ups wait for a free thread.
    ///   - lookUp: the look-up. It may block.
    package init(clock: any RelayClock, threads: Int, lookUp: @escaping @Sendable (Question) -> Answer) {
        self.clock = clock
        self.lookUp = lookUp
        pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
    }

    /// Looks `question` up, and waits for at most `time`. The look-up goes on after that.
    package func answer(to question: Question, within time: Duration) async -> Outcome {
        let deadline = clock.now() + time
        return await withCheckedContinuation { continuation in
            let (number, isFirst) = state.withLock { state in
                state.count += 1
                let isFirst = state.waiting[question] == nil
                state.waiting[question, default: [:]][state.count] = Waiter(continuation: continuation)
                return (state.count, isFirst)
            }
            if isFirst { begin(question) }
            let timer = Task {
                do { try await clock.sleep(until: deadline) } catch { return }
                let waiter = state.withLock { $0.waiting[question]?.removeValue(forKey: number) }
                waiter?.continuation.resume(returning: .failure(.timedOut))
            }
            let isOver = state.withLock { state in
                state.waiting[question]?[number]?.timer = timer
                return state.waiting[question]?[number] == nil
            }
            if isOver { timer.cancel() }
        }
    }

    private func begin(_ question: Question) {
        pool.submit { [self] poolState in
            let outcome: Outcome = poolState == .active ? .success(lookUp(question)) : .failure(.stopping)
            let waiters = state.withLock { $0.waiting.removeValue(forKey: question) }
            for waiter in (waiters ?? [:]).values {
                waiter.timer?.cancel()
                waiter.continuation.resume(returning: outcome)
            }
        }
    }

    /// Stops the threads. Look-ups that have begun end by themselves; the others fail as `stopping`.
    package func shutdown() { pool.shutdownGracefully { _ in } }
}
