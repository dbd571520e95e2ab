import GRDB
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct MessageSearchTests {
    private static let key = Sample.key().secret.id

    /// How the pages of a search are found, in SQLite's words.
    private func plan(_ filter: MessageFilter) throws -> [String] {
        let fixture = try StoreFixture()
        let search = MessageSearch(filter, now: Sample.now)
        return try DatabaseQueue(path: fixture.path).read { database in
            let arguments: StatementArguments =
                ["key": "k", "tag": "t", "subject": "s", "since": 1, "oldest": 1, "now": 1, "page": 1, "before": 1]
            return try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + search.sql, arguments: arguments)
                .map { $0["detail"] as String }
        }
    }

    /// No search for a key's messages goes through a table, whatever else is asked; and it begins in the index that leaves the
    /// fewest.
    @Test(
        arguments: [
            (MessageFilter(key: key), "message_by_key (key=? AND rowid<?)"),
            (MessageFilter(key: key, since: Sample.now), "message_by_key (key=? AND rowid>? AND rowid<?)"),
            (MessageFilter(key: key, state: .sent), "message_by_key"),
            (MessageFilter(key: key, state: .failed), "delivery_rare (key=? AND state=? AND message<?)"),
            (MessageFilter(key: key, state: .cancelled), "delivery_rare (key=? AND state=? AND message<?)"),
            (MessageFilter(key: key, state: .held), "delivery_rare (key=? AND state=? AND message<?)"),
            (MessageFilter(key: key, state: .partlyFailed), "delivery_rare (key=? AND state=? AND message<?)"),
            (MessageFilter(key: key, state: .queued), "delivery_queued (lane=? AND key=?)"),
            (MessageFilter(key: key, state: .scheduled), "delivery_queued (lane=? AND key=? AND next_attempt_at>?)"),
            (MessageFilter(key: key, state: .sending), "delivery_sending (lane=?)"),
            (MessageFilter(key: key, tag: "t"), "PRIMARY KEY (key=? AND tag=? AND message<?)"),
            (
                MessageFilter(key: key, tag: "t", since: Sample.now),
                "PRIMARY KEY (key=? AND tag=? AND message>? AND message<?)"
            ),
            (
                MessageFilter(key: key, state: .failed, tag: "t", since: Sample.now),
                "delivery_rare (key=? AND state=? AND message>? AND message<?)"
            ),
            (MessageFilter(tag: "t"), "PRIMARY KEY (key=? AND tag=? AND message<?)"),
        ])
    func aSearchBeginsInAnIndex(_ filter: MessageFilter, _ index: String) throws {
        let plan = try plan(filter)
        #expect(plan.contains { $0.hasPrefix("SEARCH") && $0.contains(index) }, "\(plan)")
        #expect(!plan.contains { $0.hasPrefix("SCAN message") || $0.hasPrefix("SCAN delivery") }, "\(plan)")
        #expect(!plan.contains { $0.hasPrefix("SCAN tag") }, "\(plan)")
    }

    /// Where the index has the order of the ids, a page ends as soon as it is full.
    @Test(
        arguments: [
            MessageFilter(key: key), MessageFilter(key: key, state: .failed), MessageFilter(key: key, tag: "t"),
            MessageFilter(key: key, state: .sent, tag: "t", since: Sample.now),
        ])
    func aPageIsNotSorted(_ filter: MessageFilter) throws {
        let plan = try plan(filter)
        #expect(!plan.contains { $0.contains("TEMP B-TREE") }, "\(plan)")
    }

    @Test func pagesFollowEachOther() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        var batch: [Submission] = []
        for index in 0..<1203 {
            var submission = Sample.submission(fixture.id(), key: key)
            submission.tags = ["all"] + (index.isMultiple(of: 3) ? ["third"] : [])
            batch.append(submission)
        }
        _ = try await fixture.store.accept(batch, now: Sample.now)
        let ids = batch.map(\.id).sorted { $0 > $1 }
        for (tag, step) in [("all", 1), ("third", 3)] {
            let expected = ids.enumerated().filter { ($0.offset - 2).isMultiple(of: step) }.map(\.element)
            var filter = MessageFilter(key: key, tag: tag, limit: 100)
            var found: [MessageID] = []
            while true {
                let page = try await fixture.store.messages(filter).map(\.id)
                found += page
                guard page.count == 100 else { break }
                filter.before = page.last
            }
            #expect(found == expected)
            #expect(try await fixture.store.messages(MessageFilter(tag: tag, limit: 5000)).map(\.id) == expected)
        }
    }

    /// A message that took hours to come has an id of when it began.
    @Test func sinceCountsFromTheAcceptance() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let slow = Sample.submission(fixture.id(at: Sample.now - .seconds(16 * 3600)), key: key)
        let early = Sample.submission(
            fixture.id(at: Sample.now - .seconds(10)), key: key, at: Sample.now - .seconds(10))
        _ = try await fixture.store.accept([slow, early], now: Sample.now)
        #expect(try await fixture.store.messages(MessageFilter(key: key, since: Sample.now)).map(\.id) == [slow.id])
    }
}
