import RelayCore
import SQLiteStore
import TestSupport

extension Workload {
    static let storing =
        [1, 20].map { size in
            Workload("store: a batch of \(size) accepted", repetitions: 10) {
                var queue = try await SampleQueue()
                return { count in
                    for _ in 0..<count { try await queue.accept(size) }
                }
            }
        } + [
            Workload("store: a batch of 100 accepted, claimed, settled", repetitions: 10) {
                var queue = try await SampleQueue()
                return { count in
                    for _ in 0..<count {
                        try await queue.accept(100)
                        try await queue.deliver(100)
                    }
                }
            }
        ]
}

/// A queue with one key's messages of 4 KB.
private struct SampleQueue {
    private let sample: SampleStore
    private let key: KeyID
    private var ids: MessageIDGenerator
    private var accepted = 0
    private let body = sampleMessage()

    init() async throws {
        sample = try SampleStore()
        let stored = sampleKey().stored
        try await sample.store.insertKey(stored)
        key = stored.key.id
        ids = MessageIDGenerator(after: sample.store.newestMessage)
    }

    mutating func accept(_ size: Int) async throws {
        let now = SystemClock().now()
        var batch: [Submission] = []
        for _ in 0..<size {
            accepted += 1
            var submission = Sample.submission(
                ids.next(at: now, instance: sample.store.instance), key: key, body: body, at: now)
            submission.fingerprint = Fingerprint(key: key, idempotencyKey: "\(accepted)")
            batch.append(submission)
        }
        guard try await sample.store.accept(batch, now: now).allSatisfy({ $0 == .accepted }) else {
            throw UnexpectedResult("a message was refused")
        }
    }

    func deliver(_ size: Int) async throws {
        let now = SystemClock().now()
        let claimed = try await sample.store.claim(
            lane: .test, limit: size, recipients: .max, leaseUntil: now + .seconds(60), now: now
        ).deliveries
        guard claimed.count == size else { throw UnexpectedResult("\(claimed.count) deliveries were claimed") }
        try await sample.store.settle(
            claimed.map {
                Settlement(
                    delivery: $0.id, result: .simulated(sesMessageID: "0100"), startedAt: now, finishedAt: now)
            })
    }
}
