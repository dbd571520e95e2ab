import GRDB
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct MessageSearchTests {
    private static let key = Sample.key().secret.id

    /// SQLite's query plan for the pages of a search.
    private func plan(_ filter: MessageFilter) throws -> [String] {
        try plan(MessageSearch(filter, now: Sample.now).sql)
    }

    private func plan(_ sql: String) throws -> [String] {
        let fixture = try StoreFixture()
        return try DatabaseQueue(path: fixture.path).read { database in
            let arguments: StatementArguments = [
                "key": "k", "tag": "t", "subject": "s", "since": 1, "oldest": 1, "now": 1, "page": 1, "before": 1,
                "words": "w",
            ]
            return try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + sql, arguments: arguments)
                .map { $0["detail"] as String }
        }
    }

    /// No search for a key's messages scans a table, whatever other conditions the filter has. The search begins with
    /// the index that leaves the fewest messages.
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
            (MessageFilter(state: .failed), "delivery_rare_of_all (state=? AND message<?)"),
            (MessageFilter(state: .cancelled), "delivery_rare_of_all (state=? AND message<?)"),
            (MessageFilter(state: .held), "delivery_rare_of_all (state=? AND message<?)"),
            (MessageFilter(state: .suppressed), "delivery_rare_of_all (state=? AND message<?)"),
            (MessageFilter(state: .partlyFailed), "delivery_rare_of_all (state=? AND message<?)"),
            (
                MessageFilter(state: .failed, since: Sample.now),
                "delivery_rare_of_all (state=? AND message>? AND message<?)"
            ),
            (MessageFilter(state: .queued), "message USING INTEGER PRIMARY KEY (rowid<?)"),
            (MessageFilter(), "message USING INTEGER PRIMARY KEY (rowid<?)"),
        ])
    func aSearchBeginsInAnIndex(_ filter: MessageFilter, _ index: String) throws {
        let plan = try plan(filter)
        #expect(plan.contains { $0.hasPrefix("SEARCH") && $0.contains(index) }, "\(plan)")
        #expect(!plan.contains { $0.hasPrefix("SCAN message") || $0.hasPrefix("SCAN delivery") }, "\(plan)")
        #expect(!plan.contains { $0.hasPrefix("SCAN tag") }, "\(plan)")
    }

    /// If the index is in the order of the ids, nothing is sorted, and a page ends as soon as it is full.
    @Test(
        arguments: [
            MessageFilter(key: key), MessageFilter(key: key, state: .failed), MessageFilter(key: key, tag: "t"),
            MessageFilter(key: key, state: .sent, tag: "t", since: Sample.now),
            MessageFilter(), MessageFilter(state: .sent), MessageFilter(state: .failed), MessageFilter(state: .held),
            MessageFilter(state: .partlyFailed), MessageFilter(key: key, state: .partlyFailed),
            MessageFilter(subject: "s"),
        ])
    func aPageIsNotSorted(_ filter: MessageFilter) throws {
        let plan = try plan(filter)
        #expect(!plan.contains { $0.contains("TEMP B-TREE") }, "\(plan)")
    }

    /// Whatever other conditions the filter has, a search for words begins with the index of words, in the order of the
    /// ids.
    @Test(
        arguments: [
            MessageFilter(), MessageFilter(key: key), MessageFilter(key: key, state: .failed),
            MessageFilter(state: .queued), MessageFilter(subject: "s", tag: "t", since: Sample.now),
        ])
    func aSearchForWordsBeginsInTheirIndex(_ filter: MessageFilter) throws {
        var filter = filter
        filter.words = "w"
        #expect(MessageSearch(filter, now: Sample.now).sqlForFew == nil)
        let plan = try plan(filter)
        let scans = plan.filter { $0.hasPrefix("SCAN") && !$0.hasPrefix("SCAN looked") }
        // In the plan, `M` stands for MATCH, and `<` for the ids below a limit.
        let isMatched =
            scans.count == 1 && scans[0].hasPrefix("SCAN message_words VIRTUAL TABLE INDEX")
            && scans[0].contains("M") && scans[0].contains("<")
        #expect(isMatched, "\(plan)")
        #expect(!plan.contains { $0.contains("TEMP B-TREE") }, "\(plan)")
    }

    /// If few deliveries of all keys are in a state, a search for this state begins with them. The same index is used
    /// to count them.
    @Test(
        arguments: [
            (MessageFilter(state: .queued), "delivery_queued (lane=?)"),
            (MessageFilter(state: .scheduled), "delivery_queued (lane=?)"),
            (MessageFilter(state: .sending), "delivery_sending (lane=?)"),
        ])
    func aSearchForFewBeginsWithThem(_ filter: MessageFilter, _ index: String) throws {
        let few = try #require(MessageSearch(filter, now: Sample.now).sqlForFew)
        let found = try plan(few.sql)
        #expect(found.contains { $0.hasPrefix("SEARCH driver USING INDEX \(index)") }, "\(found)")
        let counted = try plan(few.count)
        #expect(counted.contains { $0.hasPrefix("SEARCH driver USING INDEX \(index)") }, "\(counted)")
        // Only the results of subqueries are scanned, and no table.
        for step in found + counted where step.hasPrefix("SCAN") {
            #expect(step.hasPrefix("SCAN (subquery"), "\(step)")
        }
    }

    @Test(arguments: [1, MessageSearch.mostSorted, MessageSearch.mostSorted + 1])
    func allQueuedMessagesAreFoundHoweverMany(_ count: Int) async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let sent = try await fixture.accept(key)
        try await fixture.settle(try await fixture.claim(), .simulated(sesMessageID: "1"))
        var batch: [Submission] = []
        for _ in 0..<count { batch.append(Sample.submission(fixture.id(), key: key)) }
        _ = try await fixture.store.accept(batch, now: Sample.now)
        let later = try await fixture.accept(try await fixture.key(.live))
        try await fixture.settle(try await fixture.claim(.live), .failed, reason: "no")
        let ids = batch.map(\.id).sorted { $0 > $1 }
        #expect(try await fixture.store.messages(MessageFilter(state: .queued, limit: .max)).map(\.id) == ids)
        let page = try await fixture.store.messagePage(
            MessageFilter(state: .queued, before: ids[0], limit: 1), lookingAt: 1, now: Sample.now)
        #expect(page.messages.map(\.id) == Array(ids.dropFirst().prefix(1)))
        #expect(!ids.contains(sent) && !ids.contains(later))
    }

    /// A page takes a limited time: it ends after enough messages were examined, even if none of them matches.
    @Test func pageEndsAfterABoundedNumberOfMessages() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let needle = try await fixture.accept(key, subject: "needle")
        var batch: [Submission] = []
        for _ in 0..<1200 { batch.append(Sample.submission(fixture.id(), key: key)) }
        _ = try await fixture.store.accept(batch, now: Sample.now)
        for filter in [
            MessageFilter(subject: "needle", limit: 10), MessageFilter(key: key, subject: "needle", limit: 10),
        ] {
            var filter = filter
            let first = try await fixture.store.messagePage(filter, lookingAt: 300, now: Sample.now)
            #expect(first.messages.isEmpty)
            // The 300th message, counted from the newest.
            #expect(first.next == batch[900].id)
            filter.before = first.next
            let rest = try await fixture.store.messagePage(filter, lookingAt: .max, now: Sample.now)
            #expect(rest.messages.map(\.id) == [needle] && rest.next == nil)
        }
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

    /// A message that took hours to arrive has an id from the time at which it began.
    @Test func sinceFilterUsesTheAcceptanceTime() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let slow = Sample.submission(fixture.id(at: Sample.now - .seconds(16 * 3600)), key: key)
        let early = Sample.submission(
            fixture.id(at: Sample.now - .seconds(10)), key: key, at: Sample.now - .seconds(10))
        _ = try await fixture.store.accept([slow, early], now: Sample.now)
        #expect(try await fixture.store.messages(MessageFilter(key: key, since: Sample.now)).map(\.id) == [slow.id])
    }
}
