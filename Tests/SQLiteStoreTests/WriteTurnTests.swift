import Foundation
import GRDB
import Synchronization
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct WriteTurnTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Writes without pause: when a transaction ends, the next one is already waiting.
    final class BusyWriter: Sendable {
        private let store: SQLiteStore
        private let state = Mutex((transactions: 0, isStopped: false))

        init(_ store: SQLiteStore) {
            self.store = store
            for _ in 0..<2 { write() }
        }

        var transactions: Int { state.withLock { $0.transactions } }

        func stop() { state.withLock { $0.isStopped = true } }

        private func write() {
            store.write(
                { database in
                    try database.execute(sql: "PRAGMA user_version = \(Schema.version)")
                    // The transaction does so much work that another caller finds the database locked at each try.
                    _ = try Int.fetchOne(
                        database,
                        sql: """
                            WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 50000)
                            SELECT SUM(n) FROM number
                            """)
                },
                completion: { [self] _ in
                    let goesOn = state.withLock { state in
                        state.transactions += 1
                        return !state.isStopped
                    }
                    if goesOn { write() }
                })
        }
    }

    /// If two callers create a database at the same time, SQLite refuses one of them without waiting for the other.
    @Test func concurrentOpensOfANewDatabaseSucceed() throws {
        for round in 0..<20 {
            let path = directory.file("new\(round).db")
            let errors = Mutex<[String]>([])
            DispatchQueue.concurrentPerform(iterations: 6) { _ in
                do {
                    try SQLiteStore(path: path, role: .tool, now: Sample.now).close()
                } catch {
                    errors.withLock { $0.append("\(error)") }
                }
            }
            #expect(errors.withLock { $0 } == [])
        }
    }

    @Test func commandGetsItsTurnWhileARelayWritesConstantly() async throws {
        let fixture = try StoreFixture()
        let tool = try SQLiteStore(path: fixture.path, role: .tool, now: Sample.now)
        let relay = BusyWriter(fixture.store)
        defer { relay.stop() }
        // Each call would fail after it had found the database locked for 5 s.
        for _ in 0..<20 { try await tool.checkWritable() }
        // The relay continues to write too.
        let before = relay.transactions
        try await fixture.store.checkWritable()
        #expect(relay.transactions > before)
    }

    @Test func writeTurnIsHeldOnlyWhileATransactionBegins() throws {
        let (turn, others) = try turnAndOthers()
        turn.take { #expect(isTaken(others)) }
        #expect(!isTaken(others))
        #expect(throws: CancellationError.self) { try turn.take { throw CancellationError() } }
        #expect(!isTaken(others))
    }

    @Test func stalledTurnHolderIsBypassed() throws {
        let (turn, others) = try turnAndOthers()
        #expect(try others.take(WriteTurn.octet))
        var begun = 0
        for _ in 0..<2 { turn.take { begun += 1 } }
        #expect(begun == 2)
        // A caller that ignores the turn releases no lock of another holder.
        others.letGo(WriteTurn.octet)
        turn.take { #expect(isTaken(others)) }
        #expect(!isTaken(others))
    }

    private func turnAndOthers() throws -> (WriteTurn, LockFile) {
        let path = directory.file("relay.db")
        return (WriteTurn(try LockFile(beside: path), timeout: 0.01), try LockFile(beside: path))
    }

    private func isTaken(_ others: LockFile) -> Bool {
        (try? others.isAnyTaken(WriteTurn.octet..<WriteTurn.octet + 1)) == true
    }
}
