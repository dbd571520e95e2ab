import GRDB
import GRDBSQLite
import RelayCore
import TestSupport
import Testing

@testable import SQLiteStore

/// If a statement has a parameter where the condition of a partial index has a literal, SQLite prepares the statement
/// again each time it runs, because with another value the index could be used. For most statements, this takes longer
/// than the statement itself.
@Suite("Prepared statements") struct PreparedStatementTests {
    @Test("Statements that run for each message or each poll of the queue are prepared once", arguments: Lane.allCases)
    func preparedOnce(lane: Lane) async throws {
        let fixture = try StoreFixture()
        let key = try await fixture.key(lane)
        for round in 0..<4 {
            let submissions = (0..<3).map { number in
                var submission = Sample.submission(fixture.id(), key: key)
                submission.fingerprint = Fingerprint(key: key, idempotencyKey: "\(round) \(number)")
                return submission
            }
            #expect(try await fixture.store.accept(submissions, now: Sample.now).allSatisfy { $0 == .accepted })
            _ = try await fixture.store.nextDue(lane: lane)
            let claimed = try await fixture.store.claim(
                lane: lane, limit: 9, recipients: .max, leaseUntil: Sample.now + .seconds(60), now: Sample.now)
            #expect(claimed.deliveries.count == 3)
            try await fixture.store.settle(
                claimed.deliveries.map { delivery in
                    Settlement(
                        delivery: delivery.id,
                        result: lane == .live ? .sent(sesMessageID: "0100") : .simulated(sesMessageID: "0100"),
                        startedAt: Sample.now, finishedAt: Sample.now)
                })
            _ = try await fixture.store.reclaimAbandoned(lane: lane, now: Sample.now)
            _ = try await fixture.store.bringForward(lane: lane, dueAfter: Sample.now, now: Sample.now)
        }
        let again =
            try await fixture.store.pool.write { try PreparedStatementTests.preparedAgain(in: $0) }
            + fixture.store.pool.read { try PreparedStatementTests.preparedAgain(in: $0) }
        #expect(again == [])
    }

    /// The statements of a connection that were prepared again.
    private static func preparedAgain(in database: Database) throws -> [String] {
        var found: [String] = []
        var statement = sqlite3_next_stmt(database.sqliteConnection, nil)
        while let current = statement {
            if sqlite3_stmt_status(current, SQLITE_STMTSTATUS_REPREPARE, 0) > 0 {
                found.append(String(cString: sqlite3_sql(current)))
            }
            statement = sqlite3_next_stmt(database.sqliteConnection, current)
        }
        return found
    }
}
