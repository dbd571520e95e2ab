import GRDB
import RelayCore

extension SQLiteStore: RelayStore {}

/// What an operator's tool wants to know of the database itself.
extension SQLiteStore {
    /// The version of the tables that this relay works with.
    public static var knownSchemaVersion: Int { Schema.version }

    /// The version of the tables as they are.
    public func schemaVersion() async throws -> Int {
        try await read { try Int.fetchOne($0, sql: "PRAGMA user_version") ?? 0 }
    }

    /// What SQLite finds wrong with the file, at most ten faults; none if all is well.
    ///
    /// Reads the whole database. When the task is cancelled, all that this store is doing is broken off, and this throws.
    public func faults() async throws -> [String] {
        try await withTaskCancellationHandler {
            try Task.checkCancellation()
            let said = try await read { try String.fetchAll($0, sql: "PRAGMA quick_check(10)") }
            return said == ["ok"] ? [] : said
        } onCancel: {
            pool.interrupt()
        }
    }

    /// The envelope senders of a key's newest messages, each once, the latest first; the null reverse-path is left out.
    public func recentSenders(of key: KeyID, amongLast limit: Int) async throws -> [String] {
        let senders = try await read { database in
            try String.fetchAll(
                database,
                sql: """
                    SELECT reverse_path FROM (SELECT reverse_path FROM message WHERE key = ? ORDER BY id DESC LIMIT ?)
                    WHERE reverse_path IS NOT NULL
                    """, arguments: [key.text, limit])
        }
        var seen: Set<String> = []
        return senders.filter { seen.insert($0).inserted }
    }
}
