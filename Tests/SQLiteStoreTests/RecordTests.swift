import Foundation
import GRDB
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct RecordTests {
    @Test func filtersNarrowDown() async throws {
        let fixture = try StoreFixture()
        let (a, b) = (try await fixture.key(), try await fixture.key(.live))
        let first = try await fixture.accept(a, subject: "One")
        let second = try await fixture.accept(a, subject: "Two", at: Sample.now + .seconds(60))
        let third = try await fixture.accept(b, subject: "Two", at: Sample.now + .seconds(120))
        func ids(_ filter: MessageFilter) async throws -> [MessageID] {
            try await fixture.store.messages(filter).map(\.id)
        }
        #expect(try await ids(MessageFilter()) == [third, second, first])
        #expect(try await ids(MessageFilter(limit: 2)) == [third, second])
        #expect(try await ids(MessageFilter(key: a)) == [second, first])
        #expect(try await ids(MessageFilter(subject: "Two")) == [third, second])
        #expect(try await ids(MessageFilter(since: Sample.now + .seconds(60))) == [third, second])
        #expect(try await ids(MessageFilter(ids: [first])) == [first])
        try await fixture.settle(
            try await fixture.claim(.live, at: Sample.now + .seconds(200)), .failed, reason: "No: no")
        #expect(try await ids(MessageFilter(state: .failed)) == [third])
        #expect(try await ids(MessageFilter(state: .queued)) == [second, first])
    }

    @Test func filtersFindMessagesManyPagesBack() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let wanted = try await fixture.accept(key, subject: "needle")
        var batch: [Submission] = []
        for _ in 0..<1200 { batch.append(Sample.submission(fixture.id(), key: key)) }
        _ = try await fixture.store.accept(batch, now: Sample.now)
        #expect(try await fixture.store.messages(MessageFilter(subject: "needle")).map(\.id) == [wanted])
        #expect(try await fixture.store.messages(MessageFilter(limit: 5000)).count == 1201)
    }

    @Test func holdReleaseDropAndRetry() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key(.live)
        let id = try await fixture.accept(key)
        let one = MessageFilter(ids: [id])
        #expect(try await fixture.perform(.hold, one) == 1)
        #expect(try await fixture.claim(.live).isEmpty)
        #expect(try await fixture.perform(.release, one) == 1)
        #expect(try await fixture.perform(.drop, one) == 1)
        #expect(try await fixture.message(id).deliveries.first?.reason == droppedReason)
        // An operator dropped the message on purpose. So a retry of all failed messages does not queue it again, but a
        // retry of this message does.
        #expect(try await fixture.perform(.retry(dropped: false), MessageFilter(key: key, limit: .max)) == 0)
        #expect(try await fixture.perform(.retry(dropped: true), one) == 1)
        #expect(try await fixture.claim(.live).count == 1)
    }

    /// There is more than one page of messages, and the action applies to every second one.
    @Test func actionAppliesToManyMessagesByState() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key(.live)
        var batch: [Submission] = []
        for _ in 0..<1100 { batch.append(Sample.submission(fixture.id(), key: key)) }
        _ = try await fixture.store.accept(batch, now: Sample.now)
        let odd = batch.enumerated().filter { !$0.offset.isMultiple(of: 2) }.map(\.element.id)
        #expect(try await fixture.perform(.hold, MessageFilter(ids: odd, limit: .max)) == 550)
        let held = MessageFilter(key: key, state: .held, limit: .max)
        let found = Mutex<[Int]>([])
        let matching = try await fixture.store.matching(.drop, held, now: Sample.now) { count in
            found.withLock { $0.append(count) }
        }
        #expect(matching == odd.sorted { $0 > $1 })
        #expect(found.withLock { $0 } == [500, 550])
        #expect(try await fixture.store.matching(.retry(dropped: true), held, now: Sample.now) { _ in }.isEmpty)
        #expect(try await fixture.perform(.drop, held) == 550)
        let all = MessageFilter(key: key, limit: .max)
        let rest = try await fixture.store.matching(.hold, all, now: Sample.now) { _ in }
        #expect(rest.count == 550 && Set(rest).isDisjoint(with: odd))
        // Messages whose state has changed in the meantime stay as they are.
        #expect(try await fixture.store.perform(.drop, Array(odd.prefix(500)), now: Sample.now) == 0)
    }

    @Test func anUnknownMessageIsAnError() async throws {
        let fixture = try StoreFixture()
        let id = fixture.id()
        await #expect(throws: StoreError.noSuchMessage(id)) {
            try await fixture.perform(.hold, MessageFilter(ids: [id]))
        }
        await #expect(throws: StoreError.noSuchMessage(id)) { try await fixture.store.body(of: id) }
    }

    @Test func sentMessageCannotBeRetriedWithoutItsBody() async throws {
        let fixture = try StoreFixture()
        let id = try await fixture.accept(try await fixture.key(.live))
        try await fixture.settle(try await fixture.claim(.live), .sent(sesMessageID: "ses-1"))
        await #expect(throws: StoreError.bodyGone(id)) {
            try await fixture.perform(.retry(dropped: true), MessageFilter(ids: [id]))
        }
    }

    @Test func statusCountsByLaneAndState() async throws {
        let fixture = try StoreFixture()
        let (live, test) = (try await fixture.key(.live), try await fixture.key(.test))
        try await fixture.accept(live, recipients: Sample.recipients(3), at: Sample.now - .seconds(100))
        try await fixture.accept(live)
        let held = try await fixture.accept(test)
        _ = try await fixture.perform(.hold, MessageFilter(ids: [held]))
        try await fixture.store.record(
            LaneStatus(lane: .live, heldBecause: "AccountSuspendedException: paused", since: Sample.now, rate: 14))
        let status = try await fixture.store.queueStatus(now: Sample.now)
        #expect(
            Set(status.depths) == [
                .init(lane: .live, state: .queued, deliveries: 2, oldest: Sample.now - .seconds(100)),
                .init(lane: .test, state: .held, deliveries: 1, oldest: Sample.now),
            ])
        #expect(status.emailsToday == [.live: 4, .test: 1])
        #expect(status.lanes.map(\.heldBecause) == ["AccountSuspendedException: paused"])
    }

    @Test func statusQueryDoesNotScanEndedDeliveries() async throws {
        let fixture = try StoreFixture()
        let plan = try await DatabaseQueue(path: fixture.path).read { database in
            try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + RecordRow.depths, arguments: [0]).map {
                $0["detail"] as String
            }
        }
        let scans = plan.filter { $0.hasPrefix("SCAN delivery") }
        // Each scan reads a whole index, but each index contains one state only.
        #expect(
            scans.map { $0.split(separator: " ").last } == ["delivery_queued", "delivery_sending", "delivery_held"])
    }

    @Test func retentionKeepsAMessageUntilAllItsDeliveriesExpire() async throws {
        let fixture = try StoreFixture()
        let retention = Retention(sent: .seconds(10), simulated: .seconds(20), failed: .seconds(30))
        let live = try await fixture.key(.live)
        let sent = try await fixture.accept(live)
        try await fixture.settle(try await fixture.claim(.live), .sent(sesMessageID: "a"))
        let simulated = try await fixture.accept(try await fixture.key(.test))
        try await fixture.settle(try await fixture.claim(.test), .simulated(sesMessageID: "b"))
        let partly = try await fixture.accept(live, recipients: Sample.recipients(51))
        let parts = try await fixture.claim(.live)
        try await fixture.settle(Array(parts.prefix(1)), .sent(sesMessageID: "c"))
        try await fixture.settle(Array(parts.suffix(1)), .failed)
        let queued = try await fixture.accept(live)
        func left(after seconds: Int) async throws -> Set<MessageID> {
            _ = try await fixture.store.prune(retention, now: Sample.now + .seconds(seconds))
            return Set(try await fixture.store.messages(MessageFilter()).map(\.id))
        }
        #expect(try await left(after: 10) == [sent, simulated, partly, queued])
        #expect(try await left(after: 11) == [simulated, partly, queued])
        #expect(try await left(after: 21) == [partly, queued])
        #expect(try await left(after: 31) == [queued])
        #expect(try await left(after: 1_000_000) == [queued])
    }
}
