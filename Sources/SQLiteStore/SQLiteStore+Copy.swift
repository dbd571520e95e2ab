import Foundation
import GRDB
import RelayCore
import Synchronization

extension SQLiteStore: CopyableStore {
    /// The octet of the lock that a process holds while it copies to the database. It follows the octet of the write
    /// turn.
    static let copyLock = WriteTurn.octet + 1

    public func holdForCopy() async throws {
        guard let locks else { throw StoreError.unavailable("a database that is only examined can't be copied") }
        let path = pool.path
        try await spool.perform { [self] in
            // A process that has begun to write excludes all other writers. A relay that starts now finds the database
            // locked.
            var configuration = Configuration()
            configuration.busyMode = .timeout(SQLiteStore.busyTimeout)
            configuration.allowsUnsafeTransactions = true
            configuration.label = "hiveku-relay.copy"
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            try queue.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE TRANSACTION") }
            guard try !locks.isAnyTaken(InstanceLock.numbers) else { throw SQLiteStore.inUse }
            copyHold.withLock { $0 = queue }
        }
    }

    public func checkHold() async throws {
        guard copyHold.withLock({ $0 != nil }) else { throw StoreError.unavailable("the SQLite database is not held") }
    }

    private static let inUse = StoreError.unavailable("a relay is using the SQLite database; stop it first")

    public func count(of table: CopiedTable) async throws -> Int {
        try await read { try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM \(table.rawValue)") ?? 0 }
    }

    public func rows(
        of table: CopiedTable, after key: [CopiedValue]?, limit: Int
    ) async throws -> [[CopiedValue]] {
        let columns = table.columns
        let condition = key.map { table.condition(">", $0.count) } ?? "1"
        let arguments = StatementArguments((key ?? []).map(\.databaseValue)) + [limit]
        return try await read { database in
            let rows = try Row.fetchAll(
                database.cachedStatement(
                    sql: """
                        SELECT \(columns.map(\.name).joined(separator: ", ")) FROM \(table.rawValue)
                        WHERE \(condition) ORDER BY \(table.keyNames) LIMIT ?
                        """), arguments: arguments)
            return rows.map { row in columns.indices.map { CopiedValue(row[$0] as DatabaseValue, columns[$0].kind) } }
        }
    }

    public func messagesWithBody(after message: MessageID?, limit: Int) async throws -> [MessageID] {
        try await read { database in
            try Int64.fetchAll(
                database.cachedStatement(
                    sql: "SELECT id FROM message WHERE id > ? AND \(RecordRow.hasBody) ORDER BY id LIMIT ?"),
                arguments: [message?.rawValue ?? -1, limit]
            ).compactMap(MessageID.init(rawValue:))
        }
    }

    public func replace(
        _ rows: [[CopiedValue]], of table: CopiedTable, after key: [CopiedValue]?, through last: [CopiedValue]?
    ) async throws {
        let names = table.columns.map(\.name)
        try await write { database in
            let bounds = [key.map { table.condition(">", $0.count) }, last.map { table.condition("<=", $0.count) }]
            try database.cachedStatement(
                sql: """
                    DELETE FROM \(table.rawValue)
                    WHERE \((["1"] + bounds.compactMap { $0 }).joined(separator: " AND "))
                    """
            ).execute(arguments: StatementArguments(((key ?? []) + (last ?? [])).map(\.databaseValue)))
            let statement = try database.cachedStatement(
                sql: """
                    INSERT INTO \(table.rawValue) (\(names.joined(separator: ", ")))
                    VALUES (\(names.map { _ in "?" }.joined(separator: ", ")))
                    """)
            for row in rows { try statement.execute(arguments: StatementArguments(row.map(\.databaseValue))) }
        }
    }

    public func completeBodies(among messages: [MessageID]) async throws -> Set<MessageID> {
        let list = messages.map { String($0.rawValue) }.joined(separator: ", ")
        return try await read { database in
            let found = try Int64.fetchAll(
                database, sql: "SELECT id FROM message WHERE id IN (\(list)) AND \(RecordRow.hasBody)")
            return Set(found.compactMap(MessageID.init(rawValue:)))
        }
    }

    public func removeBodies(after message: MessageID?, through last: MessageID?, but kept: [MessageID]) async throws {
        let list = kept.map { String($0.rawValue) }.joined(separator: ", ")
        let (first, end) = (message?.rawValue ?? -1, last?.rawValue ?? .max)
        let files = try await write { database in
            try database.execute(
                sql: "DELETE FROM body WHERE message > ? AND message <= ? AND message NOT IN (\(list))",
                arguments: [first, end])
            let condition = "id > ? AND id <= ? AND spooled IS NOT NULL AND id NOT IN (\(list))"
            let files = try String.fetchAll(
                database, sql: "SELECT spooled FROM message WHERE \(condition)", arguments: [first, end])
            try database.execute(
                sql: "UPDATE message SET spooled = NULL WHERE \(condition)", arguments: [first, end])
            return files
        }
        spool.remove(files)
    }

    public func insert(_ bodies: [(message: MessageID, body: any StoredBody)]) async throws {
        var inline: [(message: MessageID, bytes: Data)] = []
        var spooled: [(message: MessageID, body: SpooledBody)] = []
        for (message, body) in bodies {
            if body.size <= SQLiteStore.copiedInline {
                inline.append((message, Data(try await body.read(at: 0, count: max(body.size, 1)))))
            } else {
                spooled.append((message, try await copy(body, of: message)))
            }
        }
        try await write { [inline, spooled] database in
            for (message, bytes) in inline {
                try database.execute(
                    sql: "INSERT OR REPLACE INTO body (message, bytes) VALUES (?, ?)",
                    arguments: [message.rawValue, bytes])
            }
            for (message, body) in spooled {
                try database.execute(
                    sql: "UPDATE message SET spooled = ? WHERE id = ?", arguments: [body.name, message.rawValue])
            }
        }
    }

    /// The largest body that is copied into the database, in octets. Larger bodies become files.
    private static let copiedInline = 128 << 10

    private func copy(_ body: any StoredBody, of message: MessageID) async throws -> SpooledBody {
        let name = message.description
        // An earlier copy may have left a part of this file.
        spool.removeNow([name])
        let file = try await spool.make(name)
        var offset = 0
        while offset < body.size {
            let piece = try await body.read(at: offset, count: SQLiteStore.copiedInline)
            guard !piece.isEmpty else { throw StoreError.bodyGone(message) }
            try await file.append(piece)
            offset += piece.count
        }
        return try await file.finish()
    }

    public func beginCopy(of repeatKey: [CopiedValue]) async throws {
        guard let locks, try !locks.isAnyTaken(InstanceLock.numbers) else { throw SQLiteStore.inUse }
        guard try locks.take(SQLiteStore.copyLock) else {
            throw StoreError.unavailable("another copy to the SQLite database is in progress")
        }
        // The other copy may have ended in the meantime, and the database may be in use under its final name.
        guard locks.isInPlace else {
            throw StoreError.unavailable("another copy to the SQLite database has just ended")
        }
        try await write { database in
            let row = try Row.fetchOne(database, sql: "SELECT bytes FROM repeat_key")
            let isSame = row.map { CopiedValue($0[0] as DatabaseValue, .octets) } == repeatKey.first
            let isEmpty = try CopiedTable.allCases.allSatisfy { table in
                try table == .repeatKey
                    || Bool.fetchOne(database, sql: "SELECT NOT EXISTS (SELECT 1 FROM \(table.rawValue))") == true
            }
            guard isEmpty || isSame else {
                throw StoreError.unavailable(
                    "the SQLite database to copy to already contains other data; name a file that does not exist")
            }
            try database.execute(
                sql: "UPDATE repeat_key SET bytes = ?, former_until = ?",
                arguments: StatementArguments(repeatKey.map(\.databaseValue)))
        }
    }

    public func finishCopy() async throws {
        try await write { database in
            // With these values, the next relay takes over the deliveries that were being sent.
            try database.execute(
                sql: """
                    UPDATE delivery SET lease_until = 0, holder = 0 WHERE state = 'sending';
                    UPDATE simulated_bodies SET ended_at = 0, delivery = 0, bytes = (
                        SELECT COALESCE(SUM(size), 0) FROM message WHERE lane = 'test'
                            AND (spooled IS NOT NULL OR EXISTS (SELECT 1 FROM body WHERE body.message = message.id)));
                    """)
        }
    }
}

extension SQLiteStore {
    /// Moves the whole log into the database, and empties the log. Blocks.
    ///
    /// - Throws: `StoreError` if another process is reading or writing.
    func emptyLog() throws {
        do {
            try pool.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        } catch {
            throw StoreError(error)
        }
    }
}

extension CopiedTable {
    /// The columns of the table's primary key, separated by commas.
    fileprivate var keyNames: String { columns.prefix(keyLength).map(\.name).joined(separator: ", ") }

    /// A condition that compares a row's primary key with one that is given in `count` parameters.
    fileprivate func condition(_ comparison: String, _ count: Int) -> String {
        "(\(keyNames)) \(comparison) (\(Array(repeating: "?", count: count).joined(separator: ", ")))"
    }
}

extension CopiedValue {
    fileprivate init(_ value: DatabaseValue, _ kind: CopiedTable.Column.Kind) {
        switch (value.storage, kind) {
        case (.null, _): self = .null
        case (.int64(let number), .real): self = .real(Double(number))
        case (.int64(let number), _): self = .integer(number)
        case (.double(let number), _): self = .real(number)
        // SQLite may store text in a column of octets, and octets in a column of text.
        case (.string(let text), .octets): self = .octets(Array(text.utf8))
        case (.string(let text), _): self = .text(text)
        case (.blob(let data), .text): self = .text(String(decoding: data, as: UTF8.self))
        case (.blob(let data), _): self = .octets([UInt8](data))
        }
    }

    fileprivate var databaseValue: DatabaseValue {
        switch self {
        case .null: .null
        case .integer(let number): number.databaseValue
        case .real(let number): number.databaseValue
        case .text(let text): text.databaseValue
        case .octets(let octets): Data(octets).databaseValue
        }
    }
}
