import Foundation
import GRDB
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct SubmissionTests {
    @Test func messageAndItsBodySurviveReopening() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let body = Array("Subject: x\r\n\r\n\u{0}\u{1F}é\r\n".utf8)
        let id = try await fixture.accept(key, recipients: ["a@example.net", "b@example.net"], body: body)
        try fixture.store.close()

        let again = try SQLiteStore(path: fixture.path, role: .relay, now: Sample.now)
        let message = try #require(try await again.messages(MessageFilter(ids: [id])).first)
        #expect(message.state == .queued)
        #expect(message.recipients == ["a@example.net", "b@example.net"])
        #expect(message.reversePath == "from@example.com")
        #expect(message.client == Sample.client)
        #expect(message.size == body.count)
        #expect(try await bytes(of: again.body(of: id)) == body)
    }

    @Test func aMessageIsSplitIntoDeliveriesOf50() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key { $0.limits.perDay = 1000 }
        let id = try await fixture.accept(key, recipients: Sample.recipients(101))
        let message = try await fixture.message(id)
        #expect(message.deliveries.map(\.recipients.count) == [50, 50, 1])
        #expect(message.recipients == Sample.recipients(101))
    }

    @Test func theDailyCapIsExactWithinABatchAndAcrossBatches() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key { $0.limits.perDay = 5 }
        let batch = [2, 2, 2, 1, 1].map { Sample.submission(fixture.id(), key: key, recipients: Sample.recipients($0)) }
        let outcomes = try await fixture.store.accept(batch, now: Sample.now)
        guard case .refused(let refusal) = outcomes[2] else {
            Issue.record("the sixth email was accepted")
            return
        }
        #expect(outcomes.map { $0 == .accepted } == [true, true, false, true, false])
        #expect(refusal.reason == .rateDay)
        #expect(refusal.explanation.mentions("API key", "5", "day", "resets at 00:00 UTC, in 12 h 0 min"))
        let record = try #require(try await fixture.store.keyRecord(key, now: Sample.now))
        #expect(record.usage.emailsToday == 5)
        #expect(record.usage.emailsTotal == 5)
    }

    @Test func dailyCapResetsAtMidnightUTC() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key { $0.limits.perDay = 1 }
        let midnight = Sample.now.day.next.start
        let before = midnight - .milliseconds(1)
        try await fixture.accept(key, at: before)
        let refused = try await fixture.store.accept([Sample.submission(fixture.id(), key: key)], now: before)
        #expect(refused != [.accepted])
        try await fixture.accept(key, at: midnight)
        let record = try #require(try await fixture.store.keyRecord(key, now: midnight))
        #expect(record.usage.emailsToday == 1)
        #expect(record.usage.emails30Days == 2)
        let later = try #require(try await fixture.store.keyRecord(key, now: midnight + .seconds(29 * 86_400)))
        #expect(later.usage.emails30Days == 1)
        #expect(later.usage.emailsTotal == 2)
    }

    @Test func twoStoresOnOneDatabaseKeepOneDailyCap() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key { $0.limits.perDay = 100 }
        let other = try SQLiteStore(path: fixture.path, role: .relay, now: Sample.now)
        #expect(other.instance != fixture.store.instance)
        let stores = [fixture.store, other]
        let accepted = try await withThrowingTaskGroup(of: Int.self) { group in
            for store in stores {
                for worker in 0..<25 {
                    group.addTask {
                        var accepted = 0
                        var ids = InstanceIDs(instance: store.instance * 25 + Int64(worker) + 100)
                        for _ in 0..<5 {
                            let submission = Sample.submission(ids.next(at: Sample.now), key: key)
                            if try await store.accept([submission], now: Sample.now) == [.accepted] { accepted += 1 }
                        }
                        return accepted
                    }
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(accepted == 100)
        #expect(try await fixture.store.messages(MessageFilter(limit: 1000)).count == 100)
    }

    @Test(arguments: [QueuedDisposition.deliver, .hold, .drop])
    func revocationStopsAcceptanceAndDecidesAboutTheQueue(_ queued: QueuedDisposition) async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let underway = try await fixture.accept(key)
        let claimed = try await fixture.claim()
        let tool = try SQLiteStore(path: fixture.path, role: .tool, now: Sample.now)
        try await tool.revokeKey(key, queued: queued, now: Sample.now)

        let outcomes = try await fixture.store.accept([Sample.submission(fixture.id(), key: key)], now: Sample.now)
        guard case .refused(let refusal) = outcomes[0] else {
            Issue.record("accepted after revocation")
            return
        }
        #expect(refusal.reason == .keyRevoked)
        // When the delivery that was being sent returns to the queue, it is treated like the others.
        try await fixture.settle(claimed, .retry(at: Sample.now), reason: "ServiceUnavailable")
        let expected: MessageState = queued == .deliver ? .queued : queued == .hold ? .held : .failed
        #expect(try await fixture.message(underway).state == expected)
    }

    @Test func releasedDeliveryOfARevokedKeyIsRetriedNormally() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let id = try await fixture.accept(key)
        try await fixture.store.revokeKey(key, queued: .hold, now: Sample.now)
        let later = Sample.now + .seconds(60)
        #expect(try await fixture.perform(.release, MessageFilter(key: key)) == 1)
        try await fixture.settle(try await fixture.claim(at: later), .retry(at: later), reason: "ServiceUnavailable")
        #expect(try await fixture.message(id).state == .queued)
    }

    /// A batch waits for its turn to write, and a clock may be set back. So the time of a batch may be before the
    /// revocation.
    @Test func aMessageAfterARevocationIsRefusedWhateverTheClockSays() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let tool = try SQLiteStore(path: fixture.path, role: .tool, now: Sample.now)
        try await tool.revokeKey(key, queued: .hold, now: Sample.now + .milliseconds(3))
        let outcomes = try await fixture.store.accept([Sample.submission(fixture.id(), key: key)], now: Sample.now)
        guard case .refused(let refusal) = outcomes[0] else {
            Issue.record("accepted after revocation")
            return
        }
        #expect(refusal.reason == .keyRevoked)
    }

    @Test(arguments: [(QueuedDisposition.deliver, MessageState.queued), (.hold, .held), (.drop, .failed)])
    func revocationAppliesItsDispositionToTheQueue(_ queued: QueuedDisposition, _ expected: MessageState) async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let id = try await fixture.accept(key)
        try await fixture.store.revokeKey(key, queued: queued, now: Sample.now)
        #expect(try await fixture.message(id).state == expected)
    }

    @Test func anExpiredKeyIsRefused() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key { $0.expiresAt = Sample.now + .seconds(1) }
        try await fixture.accept(key)
        let outcomes = try await fixture.store.accept(
            [Sample.submission(fixture.id(), key: key)], now: Sample.now + .seconds(1))
        guard case .refused(let refusal) = outcomes[0] else {
            Issue.record("accepted after its expiry")
            return
        }
        #expect(refusal.reason == .keyExpired)
    }

    @Test func spooledBodyIsReadableUntilItsMessageIsSent() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key(.live)
        let id = fixture.id()
        let file = try await fixture.store.makeSpoolFile(for: id)
        let piece = [UInt8](repeating: 65, count: 100_000)
        for _ in 0..<3 { try await file.append(piece) }
        let body = try await file.finish()
        #expect(body.size == 300_000)
        var submission = Sample.submission(id, key: key)
        submission.body = .spooled(body)
        #expect(try await fixture.store.accept([submission], now: Sample.now) == [.accepted])
        let stored = try await fixture.store.body(of: id)
        #expect(stored.size == 300_000)
        #expect(try await stored.read(at: 299_990, count: 100) == Array(repeating: 65, count: 10))
        try await fixture.settle(try await fixture.claim(.live), .sent(sesMessageID: "ses-1"))
        await #expect(throws: StoreError.bodyGone(id)) { try await fixture.store.body(of: id) }
        // An open body can be read after its file was deleted, because it may still be on its way to SES.
        #expect(try await stored.read(at: 0, count: 3) == [65, 65, 65])
    }

    @Test func orphanedSpoolFilesAreRemovedAtTheNextStart() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("relay.db")
        var ids = InstanceIDs(instance: 0)
        let (secret, stored) = Sample.key()
        let (orphan, kept) = (ids.next(at: Sample.now), ids.next(at: Sample.now))
        func spooled(_ store: SQLiteStore, _ id: MessageID) async throws -> SubmissionBody {
            let file = try await store.makeSpoolFile(for: id)
            try await file.append([2, 3])
            return .spooled(try await file.finish())
        }
        do {
            let store = try SQLiteStore(path: path, role: .relay, now: Sample.now)
            try await store.insertKey(stored)
            _ = try await spooled(store, orphan)
            var submission = Sample.submission(kept, key: secret.id)
            submission.body = try await spooled(store, kept)
            #expect(try await store.accept([submission], now: Sample.now) == [.accepted])
            // A relay that starts does not delete the unfinished bodies of another relay that is running.
            let other = try SQLiteStore(path: path, role: .relay, now: Sample.now)
            #expect(try FileManager.default.contentsOfDirectory(atPath: path + ".spool").count == 2)
            try other.close()
            try store.close()
        }
        let again = try SQLiteStore(path: path, role: .relay, now: Sample.now)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path + ".spool") == [kept.description])
        #expect(try await bytes(of: again.body(of: kept)) == [2, 3])
    }

    /// After some errors, SQLite rolls a transaction back by itself. The store must not report such a transaction as
    /// written.
    @Test func rolledBackTransactionIsAnError() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        await #expect {
            try await fixture.store.write { try $0.execute(sql: "ROLLBACK") }
        } throws: { error in
            guard case .unavailable(let why)? = error as? StoreError else { return false }
            return why.contains("transaction")
        }
        // The next transaction succeeds.
        try await fixture.accept(key)
        #expect(try fixture.count("message") == 1)
    }
}
