import GRDB
import RelayCore

extension SQLiteStore: RelayStore {}

/// What an operator's tool needs to know about the database itself.
extension SQLiteStore {
    /// The version of the tables that this program uses.
    public static var knownSchemaVersion: Int { Schema.version }

    /// The version of the tables in this database.
    public func schemaVersion() async throws -> Int {
        try await read { try Int.fetchOne($0, sql: "PRAGMA user_version") ?? 0 }
    }

    /// The faults that SQLite finds in the file, at most ten; empty if the file is sound.
    ///
    /// Reads the whole database. If the task is cancelled, everything that this store is doing is interrupted, and this
    /// function throws.
    public func faults() async throws -> [String] {
        try await withTaskCancellationHandler {
            try Task.checkCancellation()
            let said = try await read { try String.fetchAll($0, sql: "PRAGMA quick_check(10)") }
            return said == ["ok"] ? [] : said
        } onCancel: {
            pool.interrupt()
        }
    }

    /// The envelope senders of a key's newest messages. Each occurs once, the latest first. The null reverse-path is
    /// left out.
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
