import NIOPosix
import RelayCore
import Synchronization

/// Look-ups that block, on threads of their own, each waited for only so long. A look-up can't be interrupted.
///
/// What is asked for is looked up once at a time, however many ask. So names whose servers don't answer occupy a thread each, and no more.
package final class BlockingLookUps<Question: Hashable & Sendable, Answer: Sendable>: Sendable {
    /// Why there is no answer of the look-up's own.
    package enum Unanswered: Error, Hashable, Sendable {
        case timedOut
        case stopping
    }

    package typealias Outcome = Result<Answer, Unanswered>

    private struct Waiter {
        var continuation: CheckedContinuation<Outcome, Never>
        var timer: Task<Void, Never>?
    }

    private struct State {
        /// A question stands here while it is looked up, though nobody may wait for it any more.
        var waiting: [Question: [Int: Waiter]] = [:]
        var count = 0
    }

    private let clock: any RelayClock
    private let pool: NIOThreadPool
    private let lookUp: @Sendable (Question) -> Answer
    private let state = Mutex(State())

    /// - Parameter lookUp: may block.
    package init(clock: any RelayClock, threads: Int, lookUp: @escaping @Sendable (Question) -> Answer) {
        self.clock = clock
        self.lookUp = lookUp
        pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
    }

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

    /// What has begun ends by itself.
    package func shutdown() { pool.shutdownGracefully { _ in } }
}
