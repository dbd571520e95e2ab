import Foundation
import GRDB
import RelayCore

extension SQLiteStore: OperatorSessionStore {
    public func insertLogin(_ login: OperatorDigest, until: Timestamp, now: Timestamp) async throws {
        try await write { database in
            for table in ["operator_login", "operator_session"] {
                try database.execute(sql: "DELETE FROM \(table) WHERE ends_at <= ?", arguments: [now.milliseconds])
            }
            try database.execute(
                sql: "INSERT OR REPLACE INTO operator_login (digest, ends_at) VALUES (?, ?)",
                arguments: [login.data, until.milliseconds])
        }
    }

    public func beginSession(
        _ session: OperatorDigest, until: Timestamp, redeeming login: OperatorDigest, now: Timestamp
    ) async throws -> Bool {
        // First checked without a write: a visitor who guesses links must not delay the writers.
        let isThere = try await read { database in
            try Bool.fetchOne(
                database.cachedStatement(
                    sql: "SELECT EXISTS (SELECT 1 FROM operator_login WHERE digest = ? AND ends_at > ?)"),
                arguments: [login.data, now.milliseconds]) ?? false
        }
        guard isThere else { return false }
        return try await write { database in
            try database.execute(
                sql: "DELETE FROM operator_login WHERE digest = ? AND ends_at > ?",
                arguments: [login.data, now.milliseconds])
            guard database.changesCount == 1 else { return false }
            try database.execute(
                sql: "INSERT INTO operator_session (digest, ends_at) VALUES (?, ?)",
                arguments: [session.data, until.milliseconds])
            return true
        }
    }

    public func session(_ session: OperatorDigest, now: Timestamp) async throws -> Timestamp? {
        try await read { database in
            timestamp(
                try Int64.fetchOne(
                    database.cachedStatement(
                        sql: "SELECT ends_at FROM operator_session WHERE digest = ? AND ends_at > ?"),
                    arguments: [session.data, now.milliseconds]))
        }
    }

    public func endSession(_ session: OperatorDigest) async throws {
        try await write { database in
            try database.execute(sql: "DELETE FROM operator_session WHERE digest = ?", arguments: [session.data])
        }
    }

    public func endSessions(now: Timestamp) async throws -> Int {
        try await write { database in
            let open = try Int.fetchOne(
                database, sql: "SELECT COUNT(*) FROM operator_session WHERE ends_at > ?", arguments: [now.milliseconds])
            try database.execute(sql: "DELETE FROM operator_session; DELETE FROM operator_login")
            return open ?? 0
        }
    }
}

extension OperatorDigest {
    fileprivate var data: Data { Data(bytes) }
}
