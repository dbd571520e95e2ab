import Foundation
import GRDB
import RelayCore
import SQLiteStore
import TestSupport
import Testing

@Suite struct ExaminationTests {
    @Test func missingDatabaseIsNotCreated() throws {
        let directory = try TemporaryDirectory()
        #expect(throws: StoreError.self) { try SQLiteStore(examining: directory.file("relay.db")) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.file("")).isEmpty)
    }

    @Test func recordsAreReadBesideARunningRelay() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key(.live)
        try await fixture.accept(key)
        let store = try SQLiteStore(examining: fixture.path)
        #expect(try await store.schemaVersion() == SQLiteStore.knownSchemaVersion)
        #expect(try await store.faults().isEmpty)
        #expect(try await store.keyRecords(includingRevoked: false, now: Sample.now).map(\.key.id) == [key])
        #expect(try await store.queueStatus(now: Sample.now).depths.map(\.deliveries) == [1])
        // The examining store also sees what is written after it was opened.
        try await fixture.accept(key)
        #expect(try await store.queueStatus(now: Sample.now).depths.map(\.deliveries) == [2])
    }

    @Test func examinedDatabaseIsReadOnly() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        let store = try SQLiteStore(examining: fixture.path)
        await #expect(throws: StoreError.self) { try await store.revokeKey(key, queued: .drop, now: Sample.now) }
        #expect(try await fixture.store.keyRecord(key, now: Sample.now)?.key.revokedAt == nil)
    }

    @Test func otherSchemaVersionsAreReadButNotMigrated() async throws {
        let fixture = try StoreFixture()
        try await DatabaseQueue(path: fixture.path).write { try $0.execute(sql: "PRAGMA user_version = 99") }
        #expect(try await SQLiteStore(examining: fixture.path).schemaVersion() == 99)
        let directory = try TemporaryDirectory()
        let empty = directory.file("relay.db")
        try Data().write(to: URL(fileURLWithPath: empty))
        let store = try SQLiteStore(examining: empty)
        #expect(try await store.schemaVersion() == 0)
        await #expect(throws: StoreError.self) { try await store.queueStatus(now: Sample.now) }
    }

    @Test func faultsAreReportedInSQLitesWords() async throws {
        let fixture = try StoreFixture()
        let queue = try DatabaseQueue(path: fixture.path)
        try await queue.writeWithoutTransaction { database in
            // Two tables then have the same root page.
            try database.execute(
                sql: """
                    PRAGMA writable_schema = ON;
                    UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'message')
                    WHERE name = 'body';
                    """)
        }
        try queue.close()
        let faults = try await SQLiteStore(examining: fixture.path).faults()
        #expect(!faults.isEmpty && faults.count <= 10)
    }

    @Test func aCancelledCheckEnds() async throws {
        let fixture = try StoreFixture()
        let store = try SQLiteStore(examining: fixture.path)
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await store.faults()
        }
        await #expect(throws: (any Error).self) { try await task.value }
    }

    @Test func recentSendersOfAKey() async throws {
        let fixture = try StoreFixture()
        let (key, other) = (try await fixture.key(), try await fixture.key())
        for (key, sender) in [
            (key, "a@example.com"), (key, "b@example.com"), (other, "x@example.com"), (key, nil),
            (key, "a@example.com"),
            (key, "c@example.com"),
        ] {
            var submission = Sample.submission(fixture.id(), key: key)
            submission.envelope.reversePath = sender
            #expect(try await fixture.store.accept([submission], now: Sample.now) == [.accepted])
        }
        let store = try SQLiteStore(examining: fixture.path)
        #expect(
            try await store.recentSenders(of: key, amongLast: 100) == [
                "c@example.com", "a@example.com", "b@example.com",
            ])
        #expect(try await store.recentSenders(of: key, amongLast: 3) == ["c@example.com", "a@example.com"])
        #expect(try await store.recentSenders(of: try #require(KeyID("AAAAAAAA")), amongLast: 100).isEmpty)
    }
}
