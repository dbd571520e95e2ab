import RelayCore
import SQLiteStore
import TestSupport
import Testing

/// What becomes of deliveries that are under way when their key is revoked, however the attempt ends.
@Suite struct RevokedQueueTests {
    enum End: CaseIterable {
        case released, retried, abandoned
    }

    private static let dispositions: [(QueuedDisposition, DeliveryState)] = [
        (.deliver, .queued), (.hold, .held), (.drop, .failed),
    ]

    private let directory: TemporaryDirectory
    private let store: SQLiteStore
    private let key: KeyID
    private let message: MessageID
    private let later = Sample.now + .seconds(3600)

    init() async throws {
        directory = try TemporaryDirectory()
        store = try SQLiteStore(path: directory.file("relay.db"), role: .relay, now: Sample.now)
        let (secret, stored) = Sample.key()
        try await store.insertKey(stored)
        key = secret.id
        var ids = InstanceIDs(instance: 0)
        message = ids.next(at: Sample.now)
        _ = try await store.accept([Sample.submission(message, key: key)], now: Sample.now)
    }

    private func claim(at now: Timestamp) async throws -> ClaimedDelivery {
        let claimed = try await store.claim(lane: .test, limit: 9, leaseUntil: now + .seconds(60), now: now)
        return try #require(claimed.first)
    }

    private func end(_ delivery: ClaimedDelivery, _ end: End, at now: Timestamp) async throws {
        let result: Settlement.Result
        switch end {
        case .released: result = .released
        case .retried: result = .retry(at: now)
        case .abandoned:
            #expect(try await store.reclaimAbandoned(lane: .test, now: now + .seconds(61)) == 1)
            return
        }
        try await store.settle([Settlement(delivery: delivery.id, result: result, startedAt: now, finishedAt: now)])
    }

    private var delivery: MessageRecord.Delivery {
        get async throws {
            let found = try await store.messages(MessageFilter(ids: [message]))
            return try #require(found.first?.deliveries.first)
        }
    }

    @Test(arguments: dispositions, End.allCases)
    func returnedDeliveriesFollowTheRevocationsDisposition(asked: (QueuedDisposition, DeliveryState), ends: End)
        async throws
    {
        let claimed = try await claim(at: later)
        // The command that revokes took its time stamp before the delivery was claimed, and then waited for its
        // transaction.
        try await store.revokeKey(key, queued: asked.0, now: Sample.now)
        #expect(try await delivery.state == .sending)
        try await end(claimed, ends, at: later)
        #expect(try await delivery.state == asked.1)
        #expect(try await delivery.attempts == (ends == .released ? 0 : 1))
    }

    @Test(arguments: dispositions)
    func deliverySentAfterRevocationStaysSent(asked: (QueuedDisposition, DeliveryState)) async throws {
        let claimed = try await claim(at: Sample.now)
        try await store.revokeKey(key, queued: asked.0, now: Sample.now)
        try await store.settle([
            Settlement(
                delivery: claimed.id, result: .simulated(sesMessageID: "1"), startedAt: Sample.now,
                finishedAt: Sample.now)
        ])
        #expect(try await delivery.state == .simulated)
    }

    /// The delivery's lease ran out before its result was recorded. The message was sent, so it must not be recorded as
    /// dropped, and a release must not send it again.
    @Test(arguments: dispositions)
    func sentDeliveryStaysSentAfterItsLeaseExpired(asked: (QueuedDisposition, DeliveryState)) async throws {
        let claimed = try await claim(at: Sample.now)
        try await store.revokeKey(key, queued: asked.0, now: Sample.now)
        try await end(claimed, .abandoned, at: Sample.now)
        try await store.settle([
            Settlement(
                delivery: claimed.id, result: .simulated(sesMessageID: "1"), startedAt: Sample.now,
                finishedAt: Sample.now)
        ])
        #expect(try await delivery.state == .simulated)
        #expect(try await store.perform(.release, all: MessageFilter(ids: [message]), now: Sample.now) == 0)
    }

    /// The last revocation counts.
    @Test(arguments: dispositions)
    func latestRevocationDecidesWhatHappensToTheQueue(asked: (QueuedDisposition, DeliveryState)) async throws {
        let claimed = try await claim(at: later)
        for first in QueuedDisposition.allCases { try await store.revokeKey(key, queued: first, now: Sample.now) }
        try await store.revokeKey(key, queued: asked.0, now: later)
        try await end(claimed, .retried, at: later)
        #expect(try await delivery.state == asked.1)
    }

    /// The release counts even in the same millisecond as the revocation.
    @Test(arguments: End.allCases)
    func deliveryReleasedByAnOperatorIsRetriedNormally(ends: End) async throws {
        try await store.revokeKey(key, queued: .hold, now: Sample.now)
        #expect(try await store.perform(.release, all: MessageFilter(ids: [message]), now: Sample.now) == 1)
        try await end(try await claim(at: Sample.now), ends, at: Sample.now)
        #expect(try await delivery.state == .queued)
    }
}
