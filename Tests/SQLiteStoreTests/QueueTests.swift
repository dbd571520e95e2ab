import RelayCore
import SQLiteStore
import TestSupport
import Testing

@Suite struct QueueTests {
    @Test func aClaimIsLeasedAndNotGivenTwice() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let id = try await fixture.accept(key)
        let claimed = try await fixture.claim()
        #expect(claimed.map(\.message) == [id])
        #expect(claimed.first?.envelope == Envelope(reversePath: "from@example.com", recipients: ["to@example.net"]))
        #expect(try await fixture.claim().isEmpty)
        #expect(try await fixture.message(id).state == .sending)
    }

    @Test func lanesAreClaimedSeparately() async throws {
        let fixture = try StoreFixture()
        let live = try await fixture.accept(try await fixture.key(.live))
        let test = try await fixture.accept(try await fixture.key(.test))
        #expect(try await fixture.claim(.live).map(\.message) == [live])
        #expect(try await fixture.claim(.test).map(\.message) == [test])
    }

    @Test func keysTakeTurnsHoweverMuchOneHasQueued() async throws {
        let fixture = try StoreFixture()
        let greedy = try await fixture.key()
        for _ in 0..<200 { try await fixture.accept(greedy) }
        var small: Set<KeyID> = []
        for _ in 0..<5 {
            let key = try await fixture.key()
            small.insert(key)
            try await fixture.accept(key)
        }
        let claimed = try await fixture.claim(limit: 12)
        #expect(claimed.count == 12)
        // The first round has one delivery of each key.
        #expect(Set(claimed.prefix(6).map(\.key)) == small.union([greedy]))
        #expect(claimed.dropFirst(6).allSatisfy { $0.key == greedy })
    }

    @Test func smallClaimsServeManyKeysInTurn() async throws {
        let fixture = try StoreFixture()
        var keys: Set<KeyID> = []
        for _ in 0..<10 {
            let key = try await fixture.key()
            keys.insert(key)
            for _ in 0..<3 { try await fixture.accept(key) }
        }
        var served: [KeyID: Int] = [:]
        for _ in 0..<5 {
            for delivery in try await fixture.claim(limit: 2) { served[delivery.key, default: 0] += 1 }
        }
        #expect(served == Dictionary(uniqueKeysWithValues: keys.map { ($0, 1) }))
    }

    @Test func oldestDeliveriesOfAKeyAreClaimedFirst() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        var ids: [MessageID] = []
        for second in 0..<5 { ids.append(try await fixture.accept(key, at: Sample.now + .seconds(second))) }
        let claimed = try await fixture.claim(limit: 3, at: Sample.now + .seconds(10))
        #expect(claimed.map(\.message) == Array(ids.prefix(3)))
    }

    @Test func aRetryIsDueAtItsTimeAndOnRecord() async throws {
        let fixture = try StoreFixture()
        let id = try await fixture.accept(try await fixture.key(.live))
        let later = Sample.now + .seconds(30)
        try await fixture.settle(
            try await fixture.claim(.live), .retry(at: later), reason: "ServiceUnavailable: try later")
        #expect(try await fixture.claim(.live).isEmpty)
        #expect(try await fixture.store.nextDue(lane: .live) == later)
        #expect(try await fixture.store.nextDue(lane: .test) == nil)
        let claimed = try await fixture.claim(.live, at: later)
        #expect(claimed.map(\.attempts) == [1])
        try await fixture.settle(claimed, .sent(sesMessageID: "ses-1"), at: later)
        let delivery = try #require(try await fixture.message(id).deliveries.first)
        #expect(delivery.state == .sent)
        #expect(delivery.sesMessageID == "ses-1")
        #expect(delivery.attempts == 2)
        #expect(delivery.history.map(\.outcome) == ["retry", "sent"])
        #expect(delivery.history.map(\.reason) == ["ServiceUnavailable: try later", nil])
        #expect(!delivery.maybeDuplicate)
    }

    @Test func aReleasedDeliveryIsDueAtOnceAndNotCounted() async throws {
        let fixture = try StoreFixture()
        try await fixture.accept(try await fixture.key())
        try await fixture.settle(try await fixture.claim(), .released)
        #expect(try await fixture.claim().map(\.attempts) == [0])
    }

    @Test func bodyIsRemovedWhenTheLastDeliveryIsSent() async throws {
        let fixture = try StoreFixture()
        let id = try await fixture.accept(try await fixture.key(.live), recipients: Sample.recipients(60))
        let claimed = try await fixture.claim(.live)
        try await fixture.settle(Array(claimed.prefix(1)), .sent(sesMessageID: "ses-1"))
        #expect(try await fixture.message(id).hasBody)
        #expect(try await fixture.message(id).state == .sending)
        try await fixture.settle(Array(claimed.suffix(1)), .sent(sesMessageID: "ses-2"))
        #expect(try await fixture.message(id).hasBody == false)
        #expect(try await fixture.message(id).state == .sent)
    }

    @Test func deliveriesOfOneMessageMayEndDifferently() async throws {
        let fixture = try StoreFixture()
        let id = try await fixture.accept(try await fixture.key(.live), recipients: Sample.recipients(60))
        let claimed = try await fixture.claim(.live)
        try await fixture.settle(Array(claimed.prefix(1)), .sent(sesMessageID: "ses-1"))
        try await fixture.settle(Array(claimed.suffix(1)), .failed, reason: "MessageRejected: no")
        let message = try await fixture.message(id)
        #expect(message.state == .partlyFailed)
        #expect(message.hasBody)
        #expect(try await fixture.perform(.retry(dropped: true), MessageFilter(ids: [id])) == 1)
        #expect(try await fixture.claim(.live).map(\.envelope.recipients.count) == [10])
    }

    @Test func deadRelaysDeliveriesAreReclaimedByTheNextRelay() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("relay.db")
        var ids = InstanceIDs(instance: 0)
        let (live, test) = (Sample.key(.live), Sample.key(.test))
        do {
            let dead = try SQLiteStore(path: path, role: .relay, now: Sample.now)
            for key in [live, test] {
                try await dead.insertKey(key.stored)
                _ = try await dead.accept(
                    [Sample.submission(ids.next(at: Sample.now), key: key.secret.id)], now: Sample.now)
            }
            for lane in Lane.allCases {
                #expect(
                    try await dead.claim(lane: lane, limit: 9, leaseUntil: Sample.now + .seconds(999), now: Sample.now)
                        .count == 1)
            }
        }
        let store = try SQLiteStore(path: path, role: .relay, now: Sample.now)
        for lane in Lane.allCases {
            let claimed = try await store.claim(
                lane: lane, limit: 9, leaseUntil: Sample.now + .seconds(60), now: Sample.now)
            #expect(claimed.count == 1)
            #expect(claimed.first?.attempts == 1)
            // SES may have accepted the live message. A simulated send has no effect outside the relay.
            #expect(claimed.first?.maybeDuplicate == (lane == .live))
        }
    }

    @Test func expiredLeaseIsReclaimedAndALateOutcomeStillCounts() async throws {
        let fixture = try StoreFixture()
        let id = try await fixture.accept(try await fixture.key(.live))
        let claimed = try await fixture.claim(.live)
        let late = Sample.now + .seconds(61)
        #expect(try await fixture.store.reclaimAbandoned(lane: .live, now: Sample.now + .seconds(59)) == 0)
        #expect(try await fixture.store.reclaimAbandoned(lane: .live, now: late) == 1)
        #expect(try await fixture.message(id).state == .queued)
        try await fixture.settle(claimed, .sent(sesMessageID: "ses-1"), at: late)
        let message = try await fixture.message(id)
        #expect(message.state == .sent)
        #expect(message.deliveries.first?.maybeDuplicate == true)
    }

    /// If a lane's worker is late, it extends the leases of the deliveries that it still works on before it reclaims
    /// others. So the worker of the other lane must not reclaim them.
    @Test func reclaimingDoesNotTouchTheRelaysOtherLane() async throws {
        let fixture = try StoreFixture()
        let id = try await fixture.accept(try await fixture.key(.live))
        #expect(try await fixture.claim(.live).count == 1)
        #expect(try await fixture.store.reclaimAbandoned(lane: .test, now: Sample.now + .seconds(61)) == 0)
        #expect(try await fixture.message(id).state == .sending)
        // If another relay holds the delivery, the worker of either lane may reclaim it.
        let other = try SQLiteStore(path: fixture.path, role: .relay, now: Sample.now)
        #expect(try await other.reclaimAbandoned(lane: .test, now: Sample.now + .seconds(61)) == 1)
    }

    /// An answer counts even if another relay has claimed the delivery in the meantime.
    @Test func sentOutcomeCountsWhicheverRelayHasTheDelivery() async throws {
        let fixture = try StoreFixture()
        let id = try await fixture.accept(try await fixture.key(.live))
        let claimed = try await fixture.claim(.live)
        let late = Sample.now + .seconds(61)
        let other = try SQLiteStore(path: fixture.path, role: .relay, now: Sample.now)
        #expect(try await other.reclaimAbandoned(lane: .live, now: late) == 1)
        let again = try await other.claim(lane: .live, limit: 1, leaseUntil: late + .seconds(60), now: late)
        #expect(again.count == 1)
        try await fixture.settle(claimed, .sent(sesMessageID: "ses-1"), at: late)
        #expect(try await fixture.message(id).state == .sent)
        try await other.settle([
            Settlement(delivery: again[0].id, result: .failed, reason: "no", startedAt: late, finishedAt: late)
        ])
        let delivery = try #require(try await fixture.message(id).deliveries.first)
        #expect((delivery.state, delivery.sesMessageID, delivery.maybeDuplicate) == (.sent, "ses-1", true))
    }

    /// The account's rate counts recipients, so the number of recipients limits a claim too.
    @Test(arguments: [(1, 1), (50, 1), (51, 2), (100, 2), (101, 3), (999, 4)])
    func aClaimEndsWithEnoughRecipients(_ recipients: Int, _ deliveries: Int) async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key(.live)
        for _ in 0..<4 { try await fixture.accept(key, recipients: Sample.recipients(50)) }
        let claimed = try await fixture.store.claim(
            lane: .live, limit: 9, recipients: recipients, leaseUntil: Sample.now + .seconds(60), now: Sample.now
        ).deliveries
        #expect(claimed.count == deliveries)
        // The other deliveries are still in the queue.
        #expect(try await fixture.claim(.live).count == 4 - deliveries)
    }

    @Test func anExtendedLeaseHolds() async throws {
        let fixture = try StoreFixture()
        try await fixture.accept(try await fixture.key(.live))
        let claimed = try await fixture.claim(.live)
        try await fixture.store.extendLease(claimed.map(\.id), until: Sample.now + .seconds(300))
        #expect(try await fixture.store.reclaimAbandoned(lane: .live, now: Sample.now + .seconds(200)) == 0)
        #expect(try await fixture.store.reclaimAbandoned(lane: .live, now: Sample.now + .seconds(301)) == 1)
    }

    @Test func deliveriesDueFarAheadAreBroughtForward() async throws {
        let fixture = try StoreFixture()
        let (live, test) = (try await fixture.key(.live), try await fixture.key(.test))
        let tomorrow = Sample.now + .seconds(86_400)
        let limit = Sample.now + .seconds(3600)
        // The first message was accepted before the clock was set back by a day. The second is due in time. The third
        // is in the other lane.
        let late = try await fixture.accept(live, at: tomorrow)
        let onTime = try await fixture.accept(live, at: limit)
        try await fixture.accept(test, at: tomorrow)
        func bringForward() async throws -> Int {
            try await fixture.store.bringForward(lane: .live, dueAfter: limit, now: Sample.now)
        }
        #expect(try await fixture.claim(.live).isEmpty)
        #expect(try await bringForward() == 1)
        #expect(try await bringForward() == 0)
        #expect(try await fixture.claim(.live).map(\.message) == [late])
        #expect(try await fixture.claim(.live, at: limit).map(\.message) == [onTime])
        #expect(try await fixture.claim(.test).isEmpty)
    }

    @Test func heldOrRunningDeliveriesAreNotBroughtForward() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key(.live)
        let tomorrow = Sample.now + .seconds(86_400)
        for _ in 0..<2 { try await fixture.accept(key, at: tomorrow) }
        #expect(try await fixture.claim(.live, limit: 1, at: tomorrow).count == 1)
        #expect(try await fixture.perform(.hold, MessageFilter()) == 1)
        #expect(try await fixture.store.bringForward(lane: .live, dueAfter: Sample.now, now: Sample.now) == 0)
    }

    @Test func relayReclaimsDeliveriesOfARelayThatIsGone() async throws {
        let fixture = try StoreFixture()
        try await fixture.accept(try await fixture.key(.live))
        do {
            let other = try SQLiteStore(path: fixture.path, role: .relay, now: Sample.now)
            #expect(
                try await other.claim(lane: .live, limit: 1, leaseUntil: Sample.now + .seconds(900), now: Sample.now)
                    .count
                    == 1)
            #expect(try await fixture.store.reclaimAbandoned(lane: .live, now: Sample.now) == 0)
            try other.close()
        }
        #expect(try await fixture.store.reclaimAbandoned(lane: .live, now: Sample.now) == 1)
    }
}
