import Foundation
import GRDB
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct MigrationTests {
    private static let next = "ALTER TABLE key ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'"

    /// Opens the database at `path` like a relay that knows one further version, which `migration` creates.
    private func migrate(_ path: String, by migration: String = next) throws {
        let pool = try DatabasePool(path: path)
        try Schema.prepare(
            pool, path: path, relays: LockFile(beside: path), migrations: Schema.migrations + [migration])
        try pool.close()
    }

    private func strings(_ path: String, _ sql: String) throws -> [String] {
        try DatabaseQueue(path: path).read { try String.fetchAll($0, sql: sql) }
    }

    private func names(in fixture: StoreFixture) throws -> Set<String> {
        Set(try FileManager.default.contentsOfDirectory(atPath: (fixture.path as NSString).deletingLastPathComponent))
            .subtracting(["relay.db", "relay.db-wal", "relay.db-shm", "relay.db.spool", "relay.db.instances"])
    }

    private func fixtureWithAMessage(role: SQLiteStore.Role = .tool) async throws -> (StoreFixture, KeyID) {
        let fixture = try StoreFixture(role: role)
        let key = try await fixture.key()
        try await fixture.accept(key)
        return (fixture, key)
    }

    @Test func anOlderDatabaseIsCopiedAndThenMigrated() async throws {
        let (fixture, key) = try await fixtureWithAMessage()
        let version = Schema.version
        try migrate(fixture.path)
        #expect(try strings(fixture.path, "PRAGMA user_version") == ["\(version + 1)"])
        #expect(try strings(fixture.path, "SELECT colour FROM key") == ["blue"])
        let copy = "\(fixture.path).v\(version)"
        #expect(try names(in: fixture) == ["relay.db.v\(version)"])
        // The copy contains keys and mail. So it is closed to other users, like the database.
        let attributes = try FileManager.default.attributesOfItem(atPath: copy)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(try strings(copy, "PRAGMA integrity_check") == ["ok"])
        #expect(try strings(copy, "PRAGMA user_version") == ["\(version)"])
        // A relay of the previous version can use the copy.
        let before = try SQLiteStore(path: copy, role: .relay, now: Sample.now)
        #expect(try await before.keyRecord(key, now: Sample.now)?.usage.emailsTotal == 1)
        #expect(try await before.claim(lane: .test, limit: 9, leaseUntil: Sample.now, now: Sample.now).count == 1)
    }

    /// Version 1 counted a key's emails in the row of the key. After the migration, the total is the sum of the key's
    /// days.
    @Test func keysOfVersion1KeepTheirUsage() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("relay.db")
        let pool = try DatabasePool(path: path)
        try Schema.prepare(
            pool, path: path, relays: LockFile(beside: path), migrations: Array(Schema.migrations.prefix(1)))
        let (_, stored) = Sample.key()
        let id = stored.key.id
        try await pool.write { database in
            try database.execute(
                sql: """
                    INSERT INTO key (id, name, environment, scopes, per_second, domains, networks, created_at, digest,
                        last_used_at, emails_total)
                    VALUES (?, 'old', 'test', 'email:send', 10, '', '', ?, ?, ?, 7)
                    """,
                arguments: [
                    id.text, Sample.now.milliseconds, Data(stored.digest.bytes), Sample.now.milliseconds,
                ])
            for (days, emails) in [(0, 3), (40, 4)] {
                try database.execute(
                    sql: "INSERT INTO usage (key, day, emails, messages) VALUES (?, ?, ?, 1)",
                    arguments: [id.text, Sample.now.day.number - Int64(days), emails])
            }
        }
        try pool.close()
        let store = try SQLiteStore(path: path, role: .relay, now: Sample.now)
        let expected = KeyUsage(lastUsedAt: Sample.now, emailsTotal: 7, emails30Days: 3, emailsToday: 3)
        #expect(try await store.keyRecord(id, now: Sample.now)?.usage == expected)
        let submission = Sample.submission(MessageID(rawValue: 1 << 50)!, key: id, recipients: Sample.recipients(2))
        #expect(try await store.accept([submission], now: Sample.now + .seconds(1)) == [.accepted])
        let usage = try #require(try await store.keyRecord(id, now: Sample.now)?.usage)
        #expect((usage.lastUsedAt, usage.emailsTotal) == (Sample.now + .seconds(1), 9))
    }

    /// Messages that version 3 had queued are delivered, and repeats of its messages are recognised. Its messages have
    /// neither tags nor a scheduled time.
    @Test func messagesOfVersion3RemainUsable() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("relay.db")
        let pool = try DatabasePool(path: path)
        try Schema.prepare(
            pool, path: path, relays: LockFile(beside: path), migrations: Array(Schema.migrations.prefix(3)))
        let (_, stored) = Sample.key()
        let id = try #require(MessageID(rawValue: MessageID.first(at: Sample.now)))
        let fingerprint = Fingerprint(key: stored.key.id, idempotencyKey: "order-42")
        try await pool.write { database in
            try database.execute(
                sql: """
                    INSERT INTO key (id, name, environment, scopes, per_second, domains, networks, created_at, digest)
                    VALUES (?, 'old', 'test', 'email:send', 10, '', '', ?, ?)
                    """, arguments: [stored.key.id.text, Sample.now.milliseconds, Data(stored.digest.bytes)])
            try database.execute(
                sql: "INSERT INTO message (id, key, lane, size, accepted_at) VALUES (?, ?, 'test', 1, ?)",
                arguments: [id.rawValue, stored.key.id.text, Sample.now.milliseconds])
            try database.execute(
                sql: """
                    INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since)
                    VALUES (?1, ?2, 'test', 'to@example.net', 'queued', ?3, ?3)
                    """, arguments: [id.rawValue, stored.key.id.text, Sample.now.milliseconds])
            try database.execute(
                sql: "INSERT INTO repeat (fingerprint, message) VALUES (?, ?)",
                arguments: [Data(fingerprint.bytes), id.rawValue])
        }
        try pool.close()
        let store = try SQLiteStore(path: path, role: .relay, now: Sample.now)
        let message = try #require(try await store.messages(MessageFilter()).first)
        #expect(message.state == .queued && message.tags.isEmpty && message.scheduledAt == nil)
        var again = Sample.submission(try #require(MessageID(rawValue: id.rawValue + 1)), key: stored.key.id)
        again.fingerprint = fingerprint
        #expect(try await store.accept([again], now: Sample.now) == [.repeated(id)])
        #expect(try await store.claim(lane: .test, limit: 9, leaseUntil: Sample.now, now: Sample.now).count == 1)
    }

    @Test("Contents that version 5 remembers are recognised for one more day", arguments: [true, false])
    func formerHashes(remembers: Bool) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("relay.db")
        let pool = try DatabasePool(path: path)
        try Schema.prepare(
            pool, path: path, relays: LockFile(beside: path), migrations: Array(Schema.migrations.prefix(5)))
        if remembers {
            try await pool.write { try $0.execute(sql: "INSERT INTO repeat (fingerprint, message) VALUES (x'01', 1)") }
        }
        try pool.close()
        let migrated = SystemClock().now()
        let store = try SQLiteStore(path: path, role: .relay, now: Sample.now)
        let key = try #require(store.repeatKey)
        guard remembers else {
            #expect(key.formerUntil == nil)
            return
        }
        let until = try #require(key.formerUntil)
        #expect(migrated + .seconds(86_399) <= until && until <= SystemClock().now() + .seconds(86_400))
    }

    /// The tags of messages that version 7 had queued are counted when these messages are sent. Messages that version 7
    /// had sent are not counted later.
    @Test func tagsQueuedByVersion7AreCounted() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("relay.db")
        let pool = try DatabasePool(path: path)
        try Schema.prepare(
            pool, path: path, relays: LockFile(beside: path), migrations: Array(Schema.migrations.prefix(7)))
        let (_, stored) = Sample.key()
        let first = MessageID.first(at: Sample.now)
        let now = Sample.now.milliseconds
        try await pool.write { database in
            try database.execute(
                sql: """
                    INSERT INTO key (id, name, environment, scopes, per_second, domains, networks, created_at, digest)
                    VALUES (?, 'old', 'test', 'email:send', 10, '', '', ?, ?)
                    """, arguments: [stored.key.id.text, now, Data(stored.digest.bytes)])
            for (offset, tags, state) in [(0, "welcome", "queued"), (1, nil, "queued"), (2, "sent", "simulated")] {
                try database.execute(
                    sql: "INSERT INTO message (id, key, lane, size, accepted_at, tags) VALUES (?, ?, 'test', 1, ?, ?)",
                    arguments: [first + Int64(offset), stored.key.id.text, now, tags])
                try database.execute(
                    sql: """
                        INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since,
                            ended_at)
                        VALUES (?, ?, 'test', 'to@example.net', ?, ?, ?, ?)
                        """,
                    arguments: [
                        first + Int64(offset), stored.key.id.text, state, now, now, state == "queued" ? nil : now,
                    ])
            }
        }
        try pool.close()
        let store = try SQLiteStore(path: path, role: .relay, now: Sample.now)
        let claimed = try await store.claim(lane: .test, limit: 9, leaseUntil: Sample.now, now: Sample.now)
        #expect(claimed.count == 2)
        try await store.settle(
            claimed.map {
                Settlement(
                    delivery: $0.id, result: .simulated(sesMessageID: "test"), startedAt: Sample.now,
                    finishedAt: Sample.now)
            })
        let found = try await store.statistics(StatisticsFilter(.tag), now: Sample.now)
        #expect(found.map(\.name) == ["welcome"] && found.first?.statistics.today == RecipientCounts(sent: 1))
        #expect(try await store.messages(MessageFilter()).allSatisfy { $0.template == nil })
    }

    /// Messages of version 6 are found by their words and by rare states. The counts of a day are the sums of the
    /// counts of all keys on that day.
    @Test func recordsOfVersion6AreFound() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("relay.db")
        let pool = try DatabasePool(path: path)
        try Schema.prepare(
            pool, path: path, relays: LockFile(beside: path), migrations: Array(Schema.migrations.prefix(6)))
        let (live, test) = (Sample.key(.live).stored.key, Sample.key(.test, name: "other").stored.key)
        let id = try #require(MessageID(rawValue: MessageID.first(at: Sample.now)))
        let now = Sample.now.milliseconds
        try await pool.write { database in
            for key in [live, test] {
                try database.execute(
                    sql: """
                        INSERT INTO key (id, name, environment, scopes, per_second, domains, networks, created_at, digest)
                        VALUES (?, ?, ?, 'email:send', 10, '', '', ?, zeroblob(32))
                        """, arguments: [key.id.text, key.name, key.environment.rawValue, now])
                for ago in [0, 1, 40] {
                    try database.execute(
                        sql: """
                            INSERT INTO usage (key, day, emails, messages, deliveries, bounces, hard_bounces, complaints)
                            VALUES (?, ?, 9, 9, 4, 3, 2, 1)
                            """, arguments: [key.id.text, Sample.now.day.number - Int64(ago)])
                }
            }
            try database.execute(
                sql: """
                    INSERT INTO message (id, key, lane, subject, size, accepted_at)
                    VALUES (?, ?, 'live', 'Your order', 1, ?)
                    """, arguments: [id.rawValue, live.id.text, now])
            try database.execute(
                sql: """
                    INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since, ended_at)
                    VALUES (?1, ?2, 'live', 'to@example.net', 'failed', ?3, ?3, ?3)
                    """, arguments: [id.rawValue, live.id.text, now])
        }
        try pool.close()
        let store = try SQLiteStore(path: path, role: .relay, now: Sample.now)
        let status = try await store.queueStatus(now: Sample.now)
        let expected = FeedbackCounts(deliveries: 8, bounces: 6, hardBounces: 4, complaints: 2)
        #expect(status.feedback == [.live: expected, .test: expected])
        #expect(status.emailsToday == [.live: 9, .test: 9])
        #expect(try await store.messages(MessageFilter(state: .failed)).map(\.id) == [id])
        var filter = MessageFilter()
        filter.words = "to@example order"
        #expect(try await store.messages(filter).isEmpty)
        #expect(try await store.indexWords() == 0)
        #expect(try await store.messages(filter).map(\.id) == [id])
        let keys = try await store.keyRecords(KeyFilter(text: "other"), now: Sample.now)
        #expect(keys.map(\.key.id) == [test.id])
        #expect(keys.first?.usage.feedback == expected)
        try store.close()
    }

    @Test func aMigratedDatabaseIsLeftAlone() async throws {
        let (fixture, _) = try await fixtureWithAMessage()
        for _ in 0..<2 { try migrate(fixture.path) }
        #expect(try names(in: fixture).count == 1)
    }

    @Test func aNewDatabaseIsNotCopied() throws {
        let fixture = try StoreFixture()
        #expect(try names(in: fixture) == [])
    }

    @Test func earlierBackupCopyIsKept() async throws {
        let (fixture, _) = try await fixtureWithAMessage()
        let copy = "\(fixture.path).v\(Schema.version)"
        try Data("an earlier copy".utf8).write(to: URL(fileURLWithPath: copy))
        try migrate(fixture.path)
        #expect(try String(contentsOfFile: copy, encoding: .utf8) == "an earlier copy")
        #expect(try strings(copy + ".2", "PRAGMA user_version") == ["\(Schema.version)"])
    }

    @Test func failedBackupCopyPreventsTheMigration() async throws {
        let (fixture, _) = try await fixtureWithAMessage()
        // A directory is in the place of the unfinished copy, and a file can't replace a directory.
        let unfinished = "\(fixture.path).v\(Schema.version).unfinished"
        try FileManager.default.createDirectory(atPath: unfinished, withIntermediateDirectories: false)
        #expect(throws: (any Error).self) { try migrate(fixture.path) }
        #expect(try strings(fixture.path, "PRAGMA user_version") == ["\(Schema.version)"])
    }

    @Test func aMigrationThatFailsChangesNothing() async throws {
        let (fixture, _) = try await fixtureWithAMessage()
        #expect(throws: (any Error).self) { try migrate(fixture.path, by: MigrationTests.next + "; nonsense") }
        #expect(try strings(fixture.path, "PRAGMA user_version") == ["\(Schema.version)"])
        #expect(try strings(fixture.path, "SELECT name FROM pragma_table_info('key')").contains("colour") == false)
        // The copy is deleted. Otherwise each failed try would leave one more copy.
        #expect(try names(in: fixture) == [])
        try migrate(fixture.path)
        #expect(try strings(fixture.path, "SELECT colour FROM key") == ["blue"])
    }

    @Test func aNewerDatabaseIsRefusedAndNotTouched() async throws {
        let (fixture, _) = try await fixtureWithAMessage()
        try migrate(fixture.path)
        #expect(throws: StoreError.newerSchema(found: Schema.version + 1, known: Schema.version)) {
            try SQLiteStore(path: fixture.path, role: .tool, now: Sample.now)
        }
        #expect(try strings(fixture.path, "SELECT colour FROM key") == ["blue"])
    }

    @Test func unfinishedBackupCopyIsMadeAgain() async throws {
        let (fixture, _) = try await fixtureWithAMessage()
        let copy = "\(fixture.path).v\(Schema.version)"
        for suffix in ["", "-journal"] {
            try Data("half".utf8).write(to: URL(fileURLWithPath: "\(copy).unfinished\(suffix)"))
        }
        try migrate(fixture.path)
        #expect(try names(in: fixture) == ["relay.db.v\(Schema.version)"])
        #expect(try strings(copy, "PRAGMA integrity_check") == ["ok"])
    }

    /// A command of the new program must not migrate the tables while a relay of the old program uses them.
    @Test func databaseInUseByARelayIsNotMigrated() async throws {
        let (fixture, _) = try await fixtureWithAMessage(role: .relay)
        let version = Schema.version
        let error = StoreError.olderSchemaInUse(found: version, known: version + 1)
        #expect(throws: error) { try migrate(fixture.path) }
        #expect(try strings(fixture.path, "PRAGMA user_version") == ["\(version)"])
        #expect(try names(in: fixture) == [])
        #expect("\(error)".contains("restart"))
    }

    @Test func schemaUpgradedMeanwhileIsNotDowngraded() async throws {
        let fixture = try StoreFixture()
        try await DatabaseQueue(path: fixture.path).write { try $0.execute(sql: "PRAGMA user_version = 99") }
        await #expect(throws: StoreError.newerSchema(found: 99, known: Schema.version)) {
            try await fixture.store.checkWritable()
        }
        #expect(try strings(fixture.path, "PRAGMA user_version") == ["99"])
    }
}
