import Foundation
import GRDB
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

private let wanted = ProcessInfo.processInfo.environment["LIST_COST_MESSAGES"].flatMap { Int($0) }

/// Measures how long lists take in a large database. It prints the times, but does not compare them with limits. It
/// runs only if LIST_COST_MESSAGES is set to the number of messages (1000000 take a minute or two). The database has
/// one key for every ten messages, and one day of a key's use for every message.
@Suite struct ListCostTests {
    private let fixture: StoreFixture
    private var store: SQLiteStore { fixture.store }

    init() throws { fixture = try StoreFixture() }

    @Test(.enabled(if: wanted != nil)) func listsOfManyMessagesAndKeys() async throws {
        let count = wanted ?? 0
        try await fill(count)
        try await words()
        let key = try #require(try await store.keyRecords(KeyFilter(), now: Sample.now).first).key.id
        try await page("newest")
        for state in [MessageState.failed, .held, .partlyFailed, .queued, .sending, .scheduled, .sent] {
            try await page("\(state)") { $0.state = state }
        }
        try await page("of a key") { $0.key = key }
        try await page("with a subject that none has") { $0.subject = "none" }
        for words in ["user4711@customer1.example.com", "use*", "example.com", "exam*", "order nothing", "your order"] {
            try await page("words \(words)") { $0.words = words }
        }
        try await page("words of a key") { ($0.words, $0.key) = ("example", key) }
        try await page("words of sent messages") { ($0.words, $0.state) = ("example", .sent) }
        let keys = try await store.keyRecords(KeyFilter(), now: Sample.now).map(\.key.id)
        try await measure("keys") { try await store.keyRecords(KeyFilter(), now: Sample.now).count }
        try await measure("keys with a name that none has") {
            try await store.keyRecords(KeyFilter(text: "none"), now: Sample.now).count
        }
        try await measure("days of use") { try await store.use(of: keys, days: 30, now: Sample.now).count }
        try await measure("status") { try await store.queueStatus(now: Sample.now).emailsToday.count }
    }

    /// One message in 5,000 has failed, and one in 100,000 is held. Each key was used on every sixth of the last 60
    /// days.
    private func fill(_ count: Int) async throws {
        let day = Sample.now.day.number
        try await store.write { database in
            func numbers(_ count: Int) -> String {
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(count))"
            }
            try database.execute(
                sql: """
                    \(numbers(count / 10))
                    INSERT INTO key (id, name, environment, scopes, per_second, domains, networks, created_at, digest)
                    SELECT printf('%08d', i), 'application of customer ' || i, CASE WHEN i % 4 THEN 'live' ELSE 'test' END,
                        'email:send', 10, '', '', \(Sample.now.milliseconds) - i * 600000, zeroblob(32) FROM n;
                    \(numbers(10))
                    INSERT INTO usage (key, day, emails, messages, last_at, deliveries)
                    SELECT id, \(day) - (i * 6 + rowid_of_key % 6) % 60, 5, 5, 1, 4
                    FROM (SELECT id, CAST(id AS INTEGER) AS rowid_of_key FROM key), n;
                    INSERT INTO feedback_by_day
                    SELECT environment, day, SUM(deliveries), 0, 0, 0 FROM usage JOIN key ON key.id = usage.key GROUP BY 1, 2;
                    \(numbers(count))
                    INSERT INTO message (id, key, lane, subject, size, accepted_at)
                    SELECT i << 22, printf('%08d', i % 1000 + 1), 'live', 'Your order ' || i || ' was sent', 3000, 1 FROM n;
                    \(numbers(count))
                    INSERT INTO delivery (id, message, key, lane, recipients, state, next_attempt_at, queued_since, ended_at)
                    SELECT i, i << 22, printf('%08d', i % 1000 + 1), 'live',
                        'user' || (i * 7919 % 1000003) || '@customer' || (i % 5000) || '.example.com',
                        CASE WHEN i % 5000 = 0 THEN 'failed' WHEN i % 100000 = 1 THEN 'held' ELSE 'sent' END, 1, 1,
                        CASE WHEN i % 100000 = 1 THEN NULL ELSE 1 END FROM n;
                    """)
        }
    }

    private func words() async throws {
        var times: [Duration] = []
        var left = 1
        while left > 0 {
            times.append(try await ContinuousClock().measure { left = try await store.indexWords() })
        }
        times.sort()
        let (all, half) = (times.reduce(.zero, +), times[times.count / 2])
        print(
            "words: \(all), \(times.count) calls, half of them within \(half), 99 % within \(times[times.count * 99 / 100])"
        )
    }

    private func page(_ name: String, _ change: (inout MessageFilter) -> Void = { _ in }) async throws {
        var filter = MessageFilter(limit: 50)
        change(&filter)
        try await measure("messages, \(name)") {
            try await store.messagePage(filter, lookingAt: 2000, now: Sample.now).messages.count
        }
    }

    private func measure(_ name: String, _ body: () async throws -> Int) async throws {
        var found = 0
        let time = try await ContinuousClock().measure { found = try await body() }
        print("\(name): \(time / .microseconds(1) / 1000) ms, \(found) found")
    }
}
