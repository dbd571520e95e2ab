import GRDB
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct KeyListTests {
    private func plan(_ sql: String, _ arguments: StatementArguments) throws -> [String] {
        let fixture = try StoreFixture()
        return try DatabaseQueue(path: fixture.path).read { database in
            try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + sql, arguments: arguments)
                .map { $0["detail"] as String }
        }
    }

    /// The query for a part of the list reads no rows of keys that are not in this part, and sorts nothing.
    @Test(
        arguments: [
            KeyFilter(), KeyFilter(text: "x", environment: .live), KeyFilter(includesRevoked: true),
            KeyFilter(text: "x", after: Sample.key().stored.key.place),
        ])
    func aPartOfTheListIsFoundInTheIndex(_ filter: KeyFilter) throws {
        let search = KeySearch(filter)
        let step =
            filter.after == nil
            ? "SCAN key USING COVERING INDEX key_by_age"
            : "SEARCH key USING COVERING INDEX key_by_age ((created_at,id)<(?,?))"
        #expect(try plan(search.sql, search.arguments) == [step])
    }

    @Test func daysOfUseAreSearchedByPrimaryKey() throws {
        let step = "SEARCH usage USING PRIMARY KEY (key=? AND day>? AND day<?)"
        #expect(try plan(KeySearch.use, ["k", 1, 1]) == [step])
    }

    /// This query runs for each accepted message. SQLite must use the primary key for it, and not the index of days.
    @Test func usageOfOneDayIsSearchedByPrimaryKey() throws {
        let plan = try plan(KeyRow.lookUpWithEmailsToday, [1, "k"])
        #expect(plan.contains("SEARCH usage USING PRIMARY KEY (key=? AND day=?)"), "\(plan)")
    }

    @Test func statusReadsOnlyTodaysUsage() throws {
        let emails = try plan(RecordRow.emailsOfDay, [1])
        #expect(emails.contains("SEARCH usage USING INDEX usage_by_day (day=?)"), "\(emails)")
        #expect(!emails.contains { $0.hasPrefix("SCAN") }, "\(emails)")
        let feedback = try plan(RecordRow.feedback, [1])
        #expect(!feedback.contains { $0.contains("usage") || $0.contains(" key ") }, "\(feedback)")
    }

    /// The counts of a day are the sums of the counts of all keys on that day.
    @Test func feedbackIsSummedByDay() async throws {
        let fixture = try StoreFixture()
        let (a, b) = (try await fixture.key(.live), try await fixture.key(.live))
        for (index, key) in [a, b, b].enumerated() {
            try await fixture.accept(key, recipients: ["r\(index)@example.net"])
            try await fixture.settle(try await fixture.claim(.live), .sent(sesMessageID: "s\(index)"))
        }
        func report(_ index: Int, _ kind: EventKind, _ time: Timestamp) -> FeedbackReport {
            FeedbackReport(
                sesMessageID: "s\(index)", recipient: "r\(index)@example.net",
                event: RecipientEvent(kind, at: time, .init(bounceType: kind == .bounced ? .hard : nil)))
        }
        let old = Sample.now - .seconds(31 * 86_400)
        let reports = [
            report(0, .delivered, Sample.now), report(1, .delivered, Sample.now), report(2, .bounced, Sample.now),
            report(1, .complained, Sample.now), report(0, .delivered, old),
        ]
        for report in reports + reports { _ = try await fixture.store.record([report], now: Sample.now) }
        let expected = FeedbackCounts(deliveries: 2, bounces: 1, hardBounces: 1, complaints: 1)
        #expect(try await fixture.store.queueStatus(now: Sample.now).feedback == [.live: expected])
        #expect(try await fixture.store.queueStatus(now: old).feedback == [.live: FeedbackCounts(deliveries: 1)])
    }
}
