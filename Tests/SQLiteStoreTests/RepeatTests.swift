import GRDB
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct RepeatTests {
    private func fingerprint(_ key: KeyID, _ text: String = "order-42") -> Fingerprint {
        Fingerprint(key: key, idempotencyKey: text)
    }

    private func submit(
        _ fixture: StoreFixture, _ key: KeyID, _ fingerprint: Fingerprint?, at time: Timestamp = Sample.now
    ) async throws -> (id: MessageID, outcome: Acceptance) {
        var submission = Sample.submission(fixture.id(at: time), key: key, at: time)
        submission.fingerprint = fingerprint
        return (submission.id, try await fixture.store.accept([submission], now: time)[0])
    }

    @Test func aRepeatIsQueuedAndCountedOnce() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let first = try await submit(fixture, key, fingerprint(key))
        #expect(first.outcome == .accepted)
        #expect(try await submit(fixture, key, fingerprint(key)).outcome == .repeated(first.id))
        #expect(try await submit(fixture, key, fingerprint(key, "order-43")).outcome == .accepted)
        #expect(try await submit(fixture, key, nil).outcome == .accepted)
        #expect(try await fixture.store.messages(MessageFilter()).count == 3)
        #expect(try await fixture.store.keyRecord(key, now: Sample.now)?.usage.emailsTotal == 3)
    }

    @Test func aRepeatInTheSameBatchIsSeen() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        var batch = (0..<3).map { _ in Sample.submission(fixture.id(), key: key) }
        for index in batch.indices { batch[index].fingerprint = fingerprint(key) }
        #expect(
            try await fixture.store.accept(batch, now: Sample.now)
                == [.accepted, .repeated(batch[0].id), .repeated(batch[0].id)])
    }

    @Test func repeatIsRememberedForADayAcrossARestart() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let first = try await submit(fixture, key, fingerprint(key))
        try fixture.store.close()
        let again = try SQLiteStore(path: fixture.path, role: .relay, now: Sample.now)
        var submission = Sample.submission(fixture.id(), key: key)
        submission.fingerprint = fingerprint(key)
        let almost = Sample.now + Fingerprint.memory
        #expect(try await again.accept([submission], now: almost) == [.repeated(first.id)])
        #expect(try await again.accept([submission], now: almost + .milliseconds(1)) == [.accepted])
    }

    @Test("Relays hash contents with the same key if, and only if, they are on the same database")
    func repeatKey() throws {
        func hash(_ store: SQLiteStore) throws -> [UInt8] {
            var hash = ContentHash(try #require(store.repeatKey), at: Sample.now)
            [1, 2, 3].withUnsafeBytes { hash.update($0) }
            #expect(hash.finished().former == nil)
            return hash.finished().code
        }
        let (one, other) = (try StoreFixture(), try StoreFixture())
        let second = try SQLiteStore(path: one.path, role: .relay, now: Sample.now)
        #expect(try hash(one.store) == hash(second))
        #expect(try hash(one.store) != hash(other.store))
        #expect(try SQLiteStore(examining: one.path).repeatKey?.key == nil)
    }

    @Test func repeatsAreDetectedPerKey() async throws {
        let fixture = try StoreFixture()
        let (a, b) = (try await fixture.key(), try await fixture.key())
        #expect(try await submit(fixture, a, fingerprint(a)).outcome == .accepted)
        #expect(try await submit(fixture, b, fingerprint(b)).outcome == .accepted)
    }

    @Test func aKeyCanOptOut() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key { $0.detectsRepeats = false }
        #expect(try await submit(fixture, key, fingerprint(key)).outcome == .accepted)
        #expect(try await submit(fixture, key, fingerprint(key)).outcome == .accepted)
    }

    @Test func failedMessageMayBeSubmittedAgain() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        _ = try await submit(fixture, key, fingerprint(key))
        try await fixture.settle(try await fixture.claim(), .failed, reason: "MessageRejected: no")
        let second = try await submit(fixture, key, fingerprint(key))
        #expect(second.outcome == .accepted)
        #expect(try await submit(fixture, key, fingerprint(key)).outcome == .repeated(second.id))
    }

    @Test func aRefusedMessageIsNotRemembered() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key { $0.limits.perDay = 1 }
        #expect(try await submit(fixture, key, nil).outcome == .accepted)
        guard case .refused = try await submit(fixture, key, fingerprint(key)).outcome else {
            Issue.record("accepted beyond the cap")
            return
        }
        let tomorrow = Sample.now.day.next.start
        #expect(try await submit(fixture, key, fingerprint(key), at: tomorrow).outcome == .accepted)
    }

    @Test func expiredRepeatRecordsAreRemoved() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        _ = try await submit(fixture, key, fingerprint(key))
        _ = try await fixture.store.prune(Retention(), now: Sample.now + Fingerprint.memory)
        #expect(try fixture.count("repeat") == 1)
        _ = try await fixture.store.prune(Retention(), now: Sample.now + Fingerprint.memory + .milliseconds(1))
        #expect(try fixture.count("repeat") == 0)
    }

    /// A request is remembered for as long as it was promised to clients, even if the message's record is deleted
    /// earlier.
    @Test func aRequestIsRememberedForADayAlsoWhenItsMessageIsGone() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let idempotency = Idempotency(request: Fingerprint(key: key, request: "order-42"), content: [7])
        func submit(at time: Timestamp) async throws -> (id: MessageID, outcome: Acceptance) {
            var submission = Sample.submission(fixture.id(at: time), key: key, at: time)
            submission.idempotency = idempotency
            return (submission.id, try await fixture.store.accept([submission], now: time)[0])
        }
        let first = try await submit(at: Sample.now)
        try await fixture.settle(try await fixture.claim(), .simulated(sesMessageID: "1"))
        let end = Sample.now + Fingerprint.memory
        _ = try await fixture.store.prune(Retention(simulated: .seconds(1)), now: end)
        #expect(try await fixture.store.messages(MessageFilter()).isEmpty)
        #expect(try await submit(at: end).outcome == .repeated(first.id))
        _ = try await fixture.store.prune(Retention(), now: end + .milliseconds(1))
        #expect(try fixture.count("repeat") == 0)
        #expect(try await submit(at: end + .milliseconds(1)).outcome == .accepted)
    }

    /// Ids never decrease. If the clock was days ahead and was set back, new ids are ahead of the clock and do not show
    /// a message's age.
    @Test func clockAheadDoesNotExtendRepeatDetection() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        _ = try await submit(fixture, key, nil, at: Sample.now + .seconds(10 * 86_400))
        let first = try await submit(fixture, key, fingerprint(key))
        let almost = Sample.now + Fingerprint.memory
        #expect(try await submit(fixture, key, fingerprint(key), at: almost).outcome == .repeated(first.id))
        _ = try await fixture.store.prune(Retention(), now: almost)
        #expect(try fixture.count("repeat") == 1)
        let later = almost + .milliseconds(1)
        _ = try await fixture.store.prune(Retention(), now: later)
        #expect(try fixture.count("repeat") == 0)
        #expect(try await submit(fixture, key, fingerprint(key, "order-43"), at: later).outcome == .accepted)
        let afterwards = later + Fingerprint.memory + .milliseconds(1)
        // The message is accepted even if `prune` has not deleted the earlier fingerprint yet.
        #expect(try await submit(fixture, key, fingerprint(key, "order-43"), at: afterwards).outcome == .accepted)
    }

    /// A message from the time when the clock was ahead is recognised, unless it would be recognised for too long
    /// because the clock was far ahead.
    @Test(arguments: [(hours: 2, isKnown: true), (hours: 240, isKnown: false)])
    func repeatOfAMessageFromTheNearFutureIsDetected(_ hours: Int, isKnown: Bool) async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let ahead = try await submit(fixture, key, fingerprint(key), at: Sample.now + .seconds(hours * 3600))
        let outcome = try await submit(fixture, key, fingerprint(key)).outcome
        #expect(outcome == (isKnown ? .repeated(ahead.id) : .accepted))
    }

    /// Many fingerprints are examined in pieces. After the last piece, the next call begins with the first piece again.
    @Test func expiredRepeatRecordsAreRemovedInBatches() async throws {
        let fixture = try StoreFixture()
        let first = MessageID.first(at: Sample.now)
        try await DatabaseQueue(path: fixture.path).write { database in
            // Every second fingerprint is too young to be deleted.
            try database.execute(
                sql: """
                    WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < ?2 - 1)
                    INSERT INTO repeat (fingerprint, message) SELECT randomblob(16), ?1 + n % 2 * (1000 << 22) FROM number
                    """, arguments: [first, 2 * SQLiteStore.forgetBatch + 10])
        }
        let now = Sample.now + Fingerprint.memory + .milliseconds(1)
        for _ in 0..<2 { #expect(try await fixture.store.prune(Retention(), now: now)) }
        #expect(try await !fixture.store.prune(Retention(), now: now))
        #expect(try fixture.count("repeat") == SQLiteStore.forgetBatch + 5)
        let later = now + .seconds(1)
        while try await fixture.store.prune(Retention(), now: later) {}
        #expect(try fixture.count("repeat") == 0)
    }
}
