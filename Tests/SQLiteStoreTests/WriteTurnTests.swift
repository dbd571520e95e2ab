import Foundation
import GRDB
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct WriteTurnTests {
    /// Writes without pause: the next transaction waits already when one ends.
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
                    // As long as with a slow disk.
                    usleep(5000)
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

    @Test func aCommandComesToWriteWhileARelayWritesWithoutPause() async throws {
        let fixture = try StoreFixture()
        let tool = try SQLiteStore(path: fixture.path, role: .tool, now: Sample.now)
        let relay = BusyWriter(fixture.store)
        defer { relay.stop() }
        // Each would fail after 5 s of finding the database locked.
        for _ in 0..<20 { try await tool.checkWritable() }
        // The relay goes on as well.
        let before = relay.transactions
        try await fixture.store.checkWritable()
        #expect(relay.transactions > before)
    }

    @Test func whoIsStoppedWhileItIsItsTurnIsPassedBy() async throws {
        let fixture = try StoreFixture()
        let stopped = try LockFile(beside: fixture.path)
        #expect(stopped.take(WriteTurn.octet))
        for _ in 0..<3 { try await fixture.store.checkWritable() }
        stopped.letGo(WriteTurn.octet)
        // Once it goes on, turns are taken and let go of again.
        try await fixture.store.checkWritable()
        #expect(stopped.take(WriteTurn.octet))
    }

    @Test func aTurnIsTakenToBeginAndNoLonger() throws {
        let directory = try TemporaryDirectory()
        let (mine, others) = try (LockFile(beside: directory.file("a")), LockFile(beside: directory.file("a")))
        let turn = WriteTurn(mine)
        turn.take { #expect(others.isTaken(WriteTurn.octet) == true) }
        #expect(others.isTaken(WriteTurn.octet) == false)
        #expect(throws: CancellationError.self) { try turn.take { throw CancellationError() } }
        #expect(others.take(WriteTurn.octet))
        // Who passes by takes nothing, and lets go of nothing.
        turn.take {}
        #expect(mine.isTaken(WriteTurn.octet) == true)
        others.letGo(WriteTurn.octet)
        turn.take { #expect(others.isTaken(WriteTurn.octet) == true) }
    }
}
