import Foundation
import GRDB
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct OpeningTests {
    @Test func everythingIsSyncedBeforeACommitReturns() throws {
        // The store refuses to open if SQLite does not accept `synchronous=FULL`. Here another connection checks that
        // the database is in WAL mode.
        let fixture = try StoreFixture()
        let queue = try DatabaseQueue(path: fixture.path)
        #expect(try queue.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
    }

    @Test func aNewerSchemaIsRefused() throws {
        let fixture = try StoreFixture()
        try DatabaseQueue(path: fixture.path).write { try $0.execute(sql: "PRAGMA user_version = 99") }
        #expect(throws: StoreError.newerSchema(found: 99, known: Schema.version)) {
            try SQLiteStore(path: fixture.path, role: .tool, now: Sample.now)
        }
    }

    @Test func fileThatIsNotADatabaseIsRefused() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("relay.db")
        try Data(repeating: 0x41, count: 8192).write(to: URL(fileURLWithPath: path))
        do {
            _ = try SQLiteStore(path: path, role: .tool, now: Sample.now)
            Issue.record("a file that is not a database was opened")
        } catch StoreError.corrupt {
        } catch { Issue.record("\(error)") }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count == 8192)
    }

    @Test func relayRefusesACorruptDatabase() async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key()
        for _ in 0..<9 { try await fixture.accept(key, body: Array(repeating: 0x78, count: 900)) }
        try fixture.store.close()
        // This moves everything from the write-ahead log into the database file.
        try await DatabaseQueue(path: fixture.path).writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        let url = URL(fileURLWithPath: fixture.path)
        let sound = try Data(contentsOf: url)
        let page = SQLiteStore.pageSize
        #expect(sound.count > 10 * page)
        // The second page is the root of a table. So new a database has no free pages.
        try (sound.prefix(page) + Data(repeating: 0x41, count: page) + sound.dropFirst(2 * page)).write(to: url)
        do {
            _ = try SQLiteStore(path: fixture.path, role: .relay, now: Sample.now)
            Issue.record("a damaged database was opened")
        } catch StoreError.corrupt {
        } catch { Issue.record("\(error)") }
        try sound.write(to: url)
        _ = try SQLiteStore(path: fixture.path, role: .relay, now: Sample.now)
    }

    @Test func theNewestMessageIsKnownToTheNextRelay() async throws {
        let fixture = try StoreFixture()
        #expect(fixture.store.newestMessage == nil)
        let key = try await fixture.key()
        for _ in 0..<2 { try await fixture.accept(key) }
        let newest = try await fixture.accept(key, at: Sample.now + .seconds(5))
        try await fixture.accept(key, at: Sample.now)
        let next = try SQLiteStore(path: fixture.path, role: .relay, now: Sample.now)
        #expect(try #require(next.newestMessage) >= newest)
    }

    @Test func errorNamesAPathThatCannotBeCreated() {
        do {
            _ = try SQLiteStore(path: "/proc/nowhere/relay.db", role: .relay, now: Sample.now)
            Issue.record("a database was opened in a directory that can't exist")
        } catch {
            #expect("\(error)".contains("/proc/nowhere"))
        }
    }
}
