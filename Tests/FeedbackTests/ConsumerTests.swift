import Logging
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import Feedback

/// A queue in memory. It gives out its messages, then waits as a long poll does.
private final class FakeQueue: MessageQueue {
    private struct State {
        var messages: [SQSMessage]
        var deleted: [String] = []
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
        var polls = 0
    }

    private let state: Mutex<State>

    init(_ bodies: [[UInt8]]) {
        state = Mutex(State(messages: bodies.enumerated().map { SQSMessage(receipt: "\($0)", body: $1[...]) }))
    }

    var deleted: [String] { state.withLock { $0.deleted } }
    var polls: Int { state.withLock { $0.polls } }

    func receive(limit: Int) async throws(SQSFailure) -> [SQSMessage] {
        let (number, taken) = state.withLock { state in
            state.polls += 1
            let taken = Array(state.messages.prefix(limit))
            state.messages.removeFirst(taken.count)
            return (state.polls, taken)
        }
        if !taken.isEmpty { return taken }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isEnded = state.withLock { state in
                    guard !Task.isCancelled else { return true }
                    state.waiting[number] = continuation
                    return false
                }
                if isEnded { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: number) }?.resume()
        }
        throw SQSFailure(.cancelled, "cancelled")
    }

    func delete(_ receipts: [String]) async throws(SQSFailure) -> Int {
        state.withLock { $0.deleted += receipts }
        return 0
    }
}

/// A store that fails for its first `failures` commits.
private final class FakeStore: FeedbackStore {
    private struct State {
        var failures: Int
        var reports: [FeedbackReport] = []
        var batches: [Int] = []
        var status: FeedbackStatus?
    }

    private let state: Mutex<State>
    private let queue: FakeQueue
    /// Whether a message had been deleted from the queue before its report was committed.
    private let deletedEarly = Mutex(false)

    init(_ queue: FakeQueue, failures: Int = 0) {
        self.queue = queue
        state = Mutex(State(failures: failures))
    }

    var reports: [FeedbackReport] { state.withLock { $0.reports } }
    var batches: [Int] { state.withLock { $0.batches } }
    var status: FeedbackStatus? { state.withLock { $0.status } }
    var hasDeletedEarly: Bool { deletedEarly.withLock { $0 } }

    func record(_ reports: [FeedbackReport], now: Timestamp) async throws -> FeedbackOutcome {
        let known = Set(self.reports.map(\.sesMessageID))
        if queue.deleted.contains(where: { !known.contains("id-\($0)") }) { deletedEarly.withLock { $0 = true } }
        return try state.withLock { state in
            if state.failures > 0 {
                state.failures -= 1
                throw StoreError.full
            }
            state.reports += reports
            state.batches.append(reports.count)
            var outcome = FeedbackOutcome()
            outcome.recorded = [.delivered: reports.count]
            return outcome
        }
    }

    func matchWaiting(now: Timestamp) async throws -> FeedbackOutcome? { nil }
    func feedbackStatus() async throws -> FeedbackStatus { FeedbackStatus() }
    func record(_ status: FeedbackStatus) async throws { state.withLock { $0.status = status } }
    func feedbackTimes() async throws -> (lastEvent: Timestamp?, lastSent: Timestamp?) { (nil, nil) }
}

@Suite struct FeedbackConsumerTests {
    private static func delivery(_ number: Int) -> [UInt8] {
        Array(
            """
            {"eventType": "Delivery", "mail": {"messageId": "id-\(number)"}, "delivery": {
                "recipients": ["a@example.com"], "timestamp": "2026-08-05T00:41:02Z"}}
            """.utf8)
    }

    /// Lets the consumer run until the condition holds, and then ends it.
    private func run(
        _ queue: FakeQueue, _ store: FakeStore, until condition: @escaping @Sendable () -> Bool
    ) async {
        let clock = ManualClock()
        let consumer = FeedbackConsumer(
            queue: queue, store: store, clock: clock, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let task = Task { await consumer.run() }
        while !condition() {
            clock.advance(.milliseconds(100))
            await Task.yield()
        }
        task.cancel()
        // Nothing moves the clock now. If the consumer waited for a time at its end, it would wait for ever.
        await task.value
    }

    @Test(.timeLimit(.minutes(1))) func recordsAThousandEventsAndDeletesThem() async {
        let queue = FakeQueue((0..<1000).map(Self.delivery))
        let store = FakeStore(queue)
        await run(queue, store) { queue.deleted.count == 1000 }
        #expect(Set(store.reports.map(\.sesMessageID)) == Set((0..<1000).map { "id-\($0)" }))
        #expect(Set(queue.deleted) == Set((0..<1000).map(String.init)))
        #expect(store.batches.max() ?? 0 <= Feedback.batch)
        #expect(!store.hasDeletedEarly)
        #expect(store.status?.lastReportAt != nil)
    }

    @Test(.timeLimit(.minutes(1))) func messagesAreNotDeletedBeforeTheirCommitSucceeds() async {
        let queue = FakeQueue((0..<30).map(Self.delivery))
        let store = FakeStore(queue, failures: 4)
        await run(queue, store) { queue.deleted.count == 30 }
        #expect(store.reports.count == 30)
        #expect(!store.hasDeletedEarly)
    }

    /// The consumer also ends if it is cancelled before it has begun (`polls` is 0).
    @Test(.timeLimit(.minutes(1)), arguments: [0, 1]) func endsWhileItWaitsForMessages(polls: Int) async {
        let queue = FakeQueue([])
        let store = FakeStore(queue)
        await run(queue, store) { queue.polls >= polls }
        #expect(queue.deleted.isEmpty)
    }
}
