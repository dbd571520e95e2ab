import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import PostgreSQLStore

private final class Flag: Sendable {
    let value = Mutex(false)
}

/// Rules that several relays on one database must keep together.
@Suite struct SeveralRelaysTests {
    private func key(
        _ store: PostgreSQLStore, _ environment: Environment = .test, configure: (inout Key) -> Void = { _ in }
    ) async throws -> KeyID {
        let (secret, stored) = Sample.key(environment, configure: configure)
        try await store.insertKey(stored)
        return secret.id
    }

    private func submission(_ store: PostgreSQLStore, _ serial: Int64, _ key: KeyID, recipients: Int = 1) throws
        -> Submission
    {
        let raw = MessageID.first(at: Sample.now) + store.instance << 12 + serial
        return Sample.submission(
            try #require(MessageID(rawValue: raw)), key: key, recipients: Sample.recipients(recipients))
    }

    @Test func eachRelayHasItsOwnInstanceNumber() async throws {
        try await withRelays(3) { stores in
            #expect(Set(stores.map(\.instance)).count == 3)
            let nodes = try await stores[0].nodes(now: Sample.now)
            #expect(nodes.filter(\.isLive).map(\.name) == ["relay0", "relay1", "relay2"])
            try stores[1].close()
            let left = try await stores[0].nodes(now: Sample.now)
            #expect(left.filter(\.isLive).map(\.name) == ["relay0", "relay2"])
        }
    }

    @Test func stoppedRelayIsListedUntilRestartedOrLongGone() async throws {
        try await withDatabase { url in
            let first = try relay(url, name: "first")
            defer { try? first.close() }
            func gone() async throws -> [String] {
                try await first.nodes(now: Sample.now).filter { !$0.isLive }.map(\.name)
            }
            for _ in 0..<3 { try relay(url, name: "second").close() }
            #expect(try await gone() == ["second"])
            let second = try relay(url, name: "second")
            #expect(try await gone() == [])
            let id = try await key(first)
            _ = try await first.accept([try submission(first, 0, id)], now: Sample.now)
            _ = try await second.claim(
                lane: .test, limit: 1, recipients: .max, leaseUntil: Sample.now + .seconds(60), now: Sample.now)
            try second.close()
            let third = try relay(url, name: "third")
            try third.close()
            try await first.write { connection in
                try connection.queue("UPDATE node SET seen_at = seen_at - 600001 WHERE is_dead")
            }
            #expect(try await gone() == ["second"], "the relay that has ended holds a delivery")
        }
    }

    @Test func messageGivenToTwoRelaysAtOnceIsAcceptedOnce() async throws {
        try await withRelays(2) { stores in
            let id = try await key(stores[0])
            for serial in Int64(0)..<30 {
                let outcomes = try await withThrowingTaskGroup(of: Acceptance?.self) { group in
                    for store in stores {
                        var submission = try submission(store, serial, id)
                        submission.fingerprint = Fingerprint(key: id, idempotencyKey: "order-\(serial)")
                        group.addTask { [submission] in
                            try await store.accept([submission], now: Sample.now).first
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(outcomes.filter { $0 == .accepted }.count == 1)
            }
            #expect(try await stores[0].messages(MessageFilter(limit: 100), now: Sample.now).count == 30)
        }
    }

    @Test func dailyCapIsExactAcrossAllRelays() async throws {
        try await withRelays(3) { stores in
            let id = try await key(stores[0]) { $0.limits.perDay = 50 }
            let accepted = try await withThrowingTaskGroup(of: Int.self) { group in
                for store in stores {
                    group.addTask {
                        var accepted = 0
                        for round in Int64(0)..<15 {
                            let batch = try (0..<3).map { try submission(store, round * 3 + $0, id) }
                            accepted += try await store.accept(batch, now: Sample.now).count { $0 == .accepted }
                        }
                        return accepted
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(accepted == 50)
            #expect(try await stores[1].keyRecord(id, now: Sample.now)?.usage.emailsToday == 50)
        }
    }

    @Test func noDeliveryIsClaimedByTwoRelays() async throws {
        try await withRelays(3) { stores in
            let keys = [try await key(stores[0]), try await key(stores[0])]
            for serial in Int64(0)..<60 {
                let submission = try submission(stores[0], serial, keys[Int(serial) % 2])
                _ = try await stores[0].accept([submission], now: Sample.now)
            }
            let claimed = try await withThrowingTaskGroup(of: [DeliveryID].self) { group in
                for store in stores {
                    group.addTask {
                        var own: [DeliveryID] = []
                        for _ in 0..<10 {
                            own += try await store.claim(
                                lane: .test, limit: 4, recipients: .max, leaseUntil: Sample.now + .seconds(60),
                                now: Sample.now
                            ).deliveries.map(\.id)
                        }
                        return own
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(claimed.count == 60)
            #expect(Set(claimed).count == 60)
        }
    }

    @Test func deadRelayLosesItsDeliveriesAndItsPlace() async throws {
        try await withRelays(2) { stores in
            let id = try await key(stores[0], .live)
            _ = try await stores[0].accept([try submission(stores[0], 0, id)], now: Sample.now)
            let claimed = try await stores[1].claim(
                lane: .live, limit: 1, recipients: .max, leaseUntil: Sample.now + .seconds(60), now: Sample.now)
            #expect(claimed.deliveries.count == 1)
            #expect(try await stores[0].reclaimAbandoned(lane: .live, now: Sample.now) == 0)
            // As if the relay had not renewed its place for a long time.
            let dead = try #require(stores[1].membership?.place)
            try await stores[0].write { connection in
                try connection.queue("UPDATE node SET seen_at = 0 WHERE id = $1", [dead.node])
            }
            #expect(try await stores[0].reclaimAbandoned(lane: .test, now: Sample.now) == 0)
            #expect(try await stores[0].reclaimAbandoned(lane: .live, now: Sample.now) == 1)
            await #expect(throws: StoreError.instanceLost) {
                _ = try await stores[1].accept([try submission(stores[1], 1, id)], now: Sample.now)
            }
            await #expect(throws: StoreError.instanceLost) { try await stores[1].renewPlace() }
            let lost = try #require(claimed.deliveries.first)
            #expect(!stores[1].owns(lost))
            #expect(stores[1].shareOfRate == .none)
            // The relay continues in another place.
            try await stores[1].renewPlace()
            #expect(!stores[1].owns(lost), "the delivery was claimed in the lost place")
            #expect(stores[1].membership?.place?.node != dead.node)
            let again = try await stores[1].claim(
                lane: .live, limit: 1, recipients: .max, leaseUntil: Sample.now + .seconds(60), now: Sample.now)
            #expect(again.deliveries.map(\.maybeDuplicate) == [true])
            #expect(again.deliveries.allSatisfy { stores[1].owns($0) })
            // The relay can still record that it sent the delivery.
            try await stores[1].settle(
                again.deliveries.map {
                    Settlement(
                        delivery: $0.id, result: .sent(sesMessageID: "1"), startedAt: Sample.now, finishedAt: Sample.now
                    )
                })
            let recorded = try await stores[0].messages(MessageFilter(limit: 100), now: Sample.now)
            #expect(recorded.map(\.state) == [.sent])
        }
    }

    @Test func renewalBlockedByALockSucceedsTheNextTime() async throws {
        try await withRelays(2) { stores in
            let membership = try #require(stores[1].membership)
            let place = try #require(membership.place)
            // This locks the row like a commit that waits for a standby although its client has given up.
            try await stores[0].write { connection in
                try connection.run("UPDATE node SET seen_at = seen_at WHERE id = $1", [place.node])
                #expect(throws: ServerError.self) {
                    try stores[1].renewals.runBlocking { try membership.renew(in: $0) }
                }
            }
            try await stores[1].renewPlace()
            #expect(membership.place == place)
            #expect(stores[1].ownsClaims)
        }
    }

    @Test func joiningRelaySendsOnceTheOthersLeaveItAShare() async throws {
        try await withDatabase { url in
            let first = try relay(url, name: "first")
            defer { try? first.close() }
            #expect(first.shareOfRate == .whole)
            let second = try relay(url, name: "second")
            defer { try? second.close() }
            #expect(second.shareOfRate == .none, "the first still sends at the whole rate")
            // The first relay learns of the second with its next renewal. With the renewal after that, it reports that
            // it divides the rate by two.
            try await first.renewPlace()
            #expect(first.shareOfRate.part(of: 20) + second.shareOfRate.part(of: 20) <= 20)
            try await first.renewPlace()
            try await second.renewPlace()
            #expect(first.shareOfRate == RateShare(place: 0, count: 2))
            #expect(second.shareOfRate == RateShare(place: 1, count: 2))
        }
    }

    @Test func lateRenewalDoesNotReinstateARelayThatLeft() async throws {
        try await withDatabase { url in
            let first = try relay(url, name: "first")
            defer { try? first.close() }
            let second = try relay(url, name: "second")
            try second.close()
            // As if a renewal had waited for its turn while the relay was closed.
            try await second.renewPlace()
            #expect(try await first.nodes(now: Sample.now).filter(\.isLive).map(\.name) == ["first"])
        }
    }

    @Test func keyRateIsSharedByAllRelays() async throws {
        try await withRelays(3) { stores in
            let id = try await key(stores[0])
            let limits = SendingLimits(perSecond: 0.001, burst: 20)
            let taken = try await withThrowingTaskGroup(of: Int.self) { group in
                for store in stores {
                    group.addTask {
                        var taken = 0
                        for _ in 0..<10 {
                            let rates = try #require(store.rates)
                            taken += try await withCheckedThrowingContinuation { continuation in
                                rates.take(1, most: 3, key: id, limits: limits, maximumWait: 0) { result in
                                    continuation.resume(with: result.map { $0.answer == .go ? $0.taken : 0 })
                                }
                            }
                        }
                        return taken
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(taken == 20)
        }
    }

    @Test func noRelayAcceptsAnythingAfterARevocation() async throws {
        try await withRelays(3) { stores in
            for round in Int64(0)..<20 {
                let id = try await key(stores[0])
                let isRevoked = Flag()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (place, store) in stores.enumerated() {
                        group.addTask {
                            for serial in Int64(0)..<10 {
                                let wasRevoked = isRevoked.value.withLock { $0 }
                                let outcome = try await store.accept(
                                    [try submission(store, round * 100 + serial, id)], now: Sample.now)
                                if wasRevoked { #expect(outcome != [.accepted], "relay \(place)") }
                            }
                        }
                    }
                    group.addTask {
                        try await stores[0].revokeKey(id, queued: .deliver, now: Sample.now)
                        isRevoked.value.withLock { $0 = true }
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test func keyChangesReachAllRelays() async throws {
        try await withRelays(2) { stores in
            let id = try await key(stores[0])
            let before = try await stores[1].changeCounter()
            #expect(try await stores[1].changeCounter() == before)
            try await stores[0].updateKey(id) { $0.name = "other" }
            #expect(try await stores[1].changeCounter() != before)
            try await stores[0].record([id: KeyActivity(authFailures: 1)])
            let after = try await stores[1].changeCounter()
            try await stores[0].record([id: KeyActivity(rateLimitHits: 1)])
            #expect(try await stores[1].changeCounter() == after, "use of a key is not a change of the key")
        }
    }

    @Test func countsInSeveralRowsAreReadAsOneAndMergedLater() async throws {
        try await withRelays(2) { stores in
            let id = try await key(stores[0]) { $0.limits.perDay = 9 }
            func count(_ serial: Int64) async throws {
                for store in stores {
                    _ = try await store.accept([try submission(store, serial, id, recipients: 2)], now: Sample.now)
                }
            }
            func rows(_ table: String) async throws -> Int64? {
                try await stores[0].look { try $0.integer("SELECT count(*) FROM \(table)") }
            }
            func check(_ emails: Int, now: Timestamp = Sample.now) async throws {
                let record = try #require(try await stores[1].keyRecord(id, now: now))
                #expect(record.usage.emailsTotal == emails)
                #expect(record.usage.lastUsedAt == Sample.now)
                #expect(record.usage.feedback.deliveries == 5)
                let days = try await stores[1].use(of: [id], days: 30, now: now)[id]
                #expect(days?.map(\.emails) == [emails])
                #expect(try await stores[1].queueStatus(now: now).feedback[.test]?.deliveries == 5)
            }
            try await count(0)
            try await stores[0].write { connection in
                try connection.queue("UPDATE usage SET slot = 1")
                try connection.queue(
                    """
                    INSERT INTO usage (key, day, node, slot, deliveries)
                    SELECT $1, $2, node, 0, deliveries FROM (VALUES (0, 2), (7, 3)) AS x (node, deliveries)
                    """, [id.text, Sample.now.day.number])
                try connection.queue(
                    """
                    INSERT INTO feedback_by_day
                        (environment, day, node, slot, deliveries, bounces, hard_bounces, complaints)
                    SELECT 'test', $1, node, slot, deliveries, 0, 0, 0
                    FROM (VALUES (0, 0, 2), (7, 0, 2), (7, 1, 1)) AS x (node, slot, deliveries)
                    """, [Sample.now.day.number])
            }
            try await count(1)
            try await check(8)
            // The daily cap counts all rows.
            let more = try submission(stores[0], 2, id, recipients: 2)
            guard case .refused = try await stores[0].accept([more], now: Sample.now).first else {
                Issue.record("more than the cap was accepted")
                return
            }
            #expect(try await rows("usage") == 6)
            #expect(try await rows("feedback_by_day") == 3)
            // Today's and yesterday's rows stay.
            while try await stores[0].prune(Retention(), now: Sample.now + .seconds(86_400)) {}
            #expect(try await rows("usage") == 6)
            let later = Sample.now + .seconds(3 * 86_400)
            while try await stores[0].prune(Retention(), now: later) {}
            #expect(try await rows("usage") == 1)
            #expect(try await rows("feedback_by_day") == 1)
            try await check(8, now: later)
        }
    }

    /// Otherwise each claim would read the dead index entries of a key that had many deliveries and has none left.
    @Test func aClaimRemembersThatAKeyHasNothingDue() async throws {
        try await withRelays(1) { stores in
            let (busy, idle) = (try await key(stores[0]), try await key(stores[0]))
            for (serial, id) in zip(Int64(0)..., [busy, idle]) {
                _ = try await stores[0].accept([try submission(stores[0], serial, id)], now: Sample.now)
            }
            func claim() async throws -> Int {
                try await stores[0].claim(
                    lane: .test, limit: 9, recipients: .max, leaseUntil: Sample.now + .seconds(60), now: Sample.now
                ).deliveries.count
            }
            func mark() -> Int64 { stores[0].claimState.with(.test) { $0.mark(of: idle.text) } }
            #expect(try await claim() == 2)
            stores[0].claimState.with(.test) { queued in
                for id in [busy, idle] { queued.queued(id.text, due: nil, at: .distantPast) }
            }
            #expect(mark() == .min)
            _ = try await stores[0].accept([try submission(stores[0], 2, busy)], now: Sample.now)
            #expect(try await claim() == 1)
            #expect(mark() == Sample.now.milliseconds - QueuedKeys.margin)
        }
    }
}
