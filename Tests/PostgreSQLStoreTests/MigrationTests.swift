import RelayCore
import TestSupport
import Testing

@testable import PostgreSQLStore

@Suite struct MigrationTests {
    /// Creates a database of version 1. It contains a queued message with a tag, and the row of a relay that is
    /// running.
    private func makeVersion1(_ url: String) throws -> KeyID {
        let (_, stored) = Sample.key()
        let id = stored.key.id.text
        let digest = Bytes(stored.digest.bytes)
        let thread = ConnectionThread("test", try Connector(url))
        defer { thread.close() }
        try thread.runBlocking { connection in
            try Schema.prepare(in: connection, migrations: Array(Schema.migrations.prefix(1)))
            try connection.execute(
                """
                INSERT INTO key (id, name, environment, scopes, per_second, domains, networks, created_at, digest)
                VALUES ($1, 'old', 'test', 'email:send', 10, '', '', $2, $3)
                """, [id, Sample.now, digest])
            let message = MessageID.first(at: Sample.now)
            try connection.execute(
                "INSERT INTO message (id, key, lane, size, accepted_at, tags) VALUES ($1, $2, 'test', 1, $3, 'welcome')",
                [message, id, Sample.now])
            try connection.execute(
                """
                INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since)
                VALUES ($1, $2, 'test', 'to@example.net', 'queued', $3, $3)
                """, [message, id, Sample.now])
            try connection.execute(
                """
                INSERT INTO usage (key, day, node, emails, messages, last_at, deliveries) VALUES ($1, $2, 1, 3, 2, $3, 1)
                """, [id, Sample.now.day.number, Sample.now])
            try connection.execute(
                "INSERT INTO feedback_by_day VALUES ('test', $1, 1, 0, 0, 0)", [Sample.now.day.number])
            try connection.execute(
                """
                INSERT INTO node (number, name, version, started_at, seen_at)
                VALUES (7, 'old', '1', \(NodeRow.now), \(NodeRow.now))
                """)
        }
        return stored.key.id
    }

    @Test func version1TablesAreMigratedWhenNoRelayIsAlive() async throws {
        try await withDatabase { url in
            let key = try makeVersion1(url)
            #expect(throws: StoreError.olderSchemaInUse(found: 1, known: Schema.version)) {
                try PostgreSQLStore(url, role: .tool)
            }
            let thread = ConnectionThread("test", try Connector(url))
            try thread.runBlocking { _ = try $0.execute("UPDATE node SET is_dead = true") }
            thread.close()
            let store = try relay(url)
            defer { try? store.close() }
            #expect(try await store.schemaVersion() == Schema.version)
            let claimed = try await store.claim(
                lane: .test, limit: 9, leaseUntil: Sample.now + .seconds(60), now: Sample.now)
            try await store.settle(
                claimed.map {
                    Settlement(
                        delivery: $0.id, result: .simulated(sesMessageID: "test"), startedAt: Sample.now,
                        finishedAt: Sample.now)
                })
            // The tags of the queued message are counted, and there are no templates yet.
            let found = try await store.statistics(StatisticsFilter(.tag, key: key), now: Sample.now)
            #expect(found.map(\.name) == ["welcome"])
            #expect(found.first?.statistics.today == RecipientCounts(sent: 1))
            #expect(try await store.messages(MessageFilter()).allSatisfy { $0.template == nil })
            #expect(try await store.templates(TemplateFilter()).isEmpty)
            // The earlier counts are still there, and the new message is added to them.
            _ = try await store.accept(
                [
                    Sample.submission(
                        try #require(MessageID(rawValue: MessageID.first(at: Sample.now) + store.instance << 12 + 1)),
                        key: key)
                ], now: Sample.now)
            let usage = try await store.keyRecord(key, now: Sample.now)?.usage
            #expect(usage?.emailsToday == 4)
            #expect(usage?.feedback.deliveries == 1)
            #expect(try await store.queueStatus(now: Sample.now).feedback[.test]?.deliveries == 1)
        }
    }
}
