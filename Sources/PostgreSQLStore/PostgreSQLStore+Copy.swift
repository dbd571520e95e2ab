import RelayCore

/// The mark of a database that is being copied to.
enum UnfinishedCopy {
    static let isThere = "SELECT EXISTS (SELECT 1 FROM task WHERE name = 'copy')"
    static let explanation =
        "the database holds an unfinished copy; run 'hiveku-relay database copy' again to continue it"

    /// Throws if the mark does not belong to the copy with this number: another copy has begun, or has finished. Call
    /// it in the transaction that writes.
    static func check(_ number: Int64, in connection: Connection) throws {
        let owner = try connection.integer("SELECT node FROM task WHERE name = 'copy' FOR UPDATE")
        guard owner == number else {
            throw StoreError.unavailable("another copy to the PostgreSQL database has begun or is done")
        }
    }
}

extension PostgreSQLStore: CopyableStore {
    /// The time limit for one step, which may go through a large table, or add a batch of rows over a slow network.
    private static let copyPatience = Duration.seconds(600)

    /// A setting of the transaction that holds the tables. If it is missing, the hold was lost.
    private static let holdSetting = "hiveku_relay.copy"

    public func holdForCopy() async throws {
        try await records[0].run(within: PostgreSQLStore.copyPatience) { connection in
            do {
                try connection.execute("BEGIN")
                try connection.execute(
                    """
                    SELECT set_config('idle_in_transaction_session_timeout', '0', true),
                        set_config('lock_timeout', '10000', true), set_config('\(PostgreSQLStore.holdSetting)', 'held', true)
                    """)
                // A relay that starts now waits for the table node, and commands wait before they change anything.
                let tables = ["node"] + CopiedTable.allCases.map(\.rawValue) + ["key_activity", "body"]
                try connection.execute("LOCK TABLE \(tables.joined(separator: ", ")) IN SHARE MODE")
                try PostgreSQLStore.refuseWhileInUse(connection)
                if try connection.isTrue(UnfinishedCopy.isThere) {
                    throw StoreError.unavailable(UnfinishedCopy.explanation)
                }
            } catch {
                if !connection.isLost { _ = try? connection.execute("ROLLBACK") }
                throw error
            }
        }
    }

    public func checkHold() async throws {
        let isHeld = try await look {
            try $0.isTrue("SELECT coalesce(current_setting('\(PostgreSQLStore.holdSetting)', true), '') = 'held'")
        }
        guard isHeld else {
            throw StoreError.unavailable("the connection to the PostgreSQL database that is copied was lost")
        }
    }

    private static func refuseWhileInUse(_ connection: Connection) throws {
        let names = try connection.rows("SELECT name FROM node WHERE \(NodeRow.isAlive) ORDER BY name") {
            $0.text(0) ?? ""
        }
        guard names.isEmpty else {
            throw StoreError.unavailable(
                "relays are using the PostgreSQL database (\(names.joined(separator: ", "))); stop them first, and if they were killed, wait 15 seconds"
            )
        }
    }

    /// Writes to a copy that this store has begun.
    private func writeCopy(_ body: @escaping @Sendable (Connection) throws -> Void) async throws {
        let number = copyNumber
        try await records[0].run(within: PostgreSQLStore.copyPatience) { connection in
            try connection.transaction {
                try UnfinishedCopy.check(number, in: connection)
                try body(connection)
            }
        }
    }

    public func count(of table: CopiedTable) async throws -> Int {
        try await records[0].run(within: PostgreSQLStore.copyPatience) { connection in
            Int(try connection.integer("SELECT count(*) FROM \(table.source)") ?? 0)
        }
    }

    public func rows(
        of table: CopiedTable, after key: [CopiedValue]?, limit: Int
    ) async throws -> [[CopiedValue]] {
        let columns = table.columns
        let select = columns.map { $0.kind == .flag ? "\($0.name)::int::bigint" : $0.name }.joined(separator: ", ")
        let condition = key.map { table.condition(">", $0.count, from: 2) } ?? "true"
        return try await records[0].run(within: PostgreSQLStore.copyPatience) { connection in
            try connection.rows(
                """
                SELECT \(select) FROM \(table.source) WHERE \(condition) ORDER BY \(table.keyNames) LIMIT $1
                """, [limit] + (key ?? []).map(\.parameter)
            ) { row in columns.indices.map { CopiedValue(row, CInt($0), columns[$0].kind) } }
        }
    }

    public func messagesWithBody(after message: MessageID?, limit: Int) async throws -> [MessageID] {
        try await look { connection in
            try connection.rows(
                """
                SELECT body.message FROM body JOIN message ON message.id = body.message
                WHERE body.message > $1 AND part = 0 ORDER BY body.message LIMIT $2
                """, [message?.rawValue ?? -1, limit]
            ) { $0.integer(0).flatMap(MessageID.init(rawValue:)) }
        }.compactMap { $0 }
    }

    public func replace(
        _ rows: [[CopiedValue]], of table: CopiedTable, after key: [CopiedValue]?, through last: [CopiedValue]?
    ) async throws {
        try await writeCopy { connection in
            let bounds = ((key ?? []) + (last ?? [])).map(\.parameter)
            for (name, column) in table.holders {
                let conditions = [
                    key.map { table.condition(">", $0.count, from: 1, column) },
                    last.map { table.condition("<=", $0.count, from: 1 + (key?.count ?? 0), column) },
                ]
                let condition = (["true"] + conditions.compactMap { $0 }).joined(separator: " AND ")
                try connection.queue("DELETE FROM \(name) WHERE \(condition)", bounds)
            }
            if !rows.isEmpty { try PostgreSQLStore.insert(rows, into: table, in: connection) }
        }
    }

    private static func insert(_ rows: [[CopiedValue]], into table: CopiedTable, in connection: Connection) throws {
        let columns = table.columns
        let values = columns.indices.map { place in CopiedValue.array(rows.map { $0[place] }, columns[place].kind) }
        let names = columns.map(\.name).joined(separator: ", ")
        let told = columns.map { $0.kind == .flag ? "\($0.name) <> 0" : $0.name }
        let given = "unnest(\(columns.indices.map { "$\($0 + 1)" }.joined(separator: ", "))) AS told (\(names))"
        switch table {
        case .key:
            let rules = told.dropLast(3).joined(separator: ", ")
            try connection.queue(
                """
                INSERT INTO key (\(columns.dropLast(3).map(\.name).joined(separator: ", ")))
                SELECT \(rules) FROM \(given)
                """, values)
            try connection.queue(
                """
                INSERT INTO key_activity (key, last_used_at, rate_limit_hits, auth_failures)
                SELECT id, last_used_at, rate_limit_hits, auth_failures FROM \(given)
                """, values)
            try connection.queue(
                "INSERT INTO capped_key (key) SELECT id FROM \(given) WHERE per_day IS NOT NULL",
                values)
        case .usage, .statistic:
            try connection.queue(
                "INSERT INTO \(table.rawValue) (\(names), node) SELECT \(told.joined(separator: ", ")), 0 FROM \(given)",
                values)
        default:
            let overriding = table.numbersRows ? "OVERRIDING SYSTEM VALUE" : ""
            try connection.queue(
                """
                INSERT INTO \(table.rawValue) (\(names)) \(overriding)
                SELECT \(told.joined(separator: ", ")) FROM \(given)
                """, values)
        }
    }

    public func insert(_ bodies: [(message: MessageID, body: any StoredBody)]) async throws {
        var small: [(message: Int64, bytes: Bytes)] = []
        for (message, body) in bodies {
            if body.size <= BodyPart.size {
                small.append((message.rawValue, Bytes(try await body.read(at: 0, count: max(body.size, 1)))))
            } else {
                try await insertParts(of: body, message)
            }
        }
        guard !small.isEmpty else { return }
        try await writeCopy { [small] connection in
            try connection.queue(
                """
                INSERT INTO body (message, part, bytes)
                SELECT message, 0, bytes FROM unnest($1, $2) AS told (message, bytes)
                ON CONFLICT (message, part) DO UPDATE SET bytes = excluded.bytes
                """, [small.map(\.message), small.map(\.bytes)])
        }
    }

    private func insertParts(of body: any StoredBody, _ message: MessageID) async throws {
        var (offset, number) = (0, 0)
        while offset < body.size {
            var part: [UInt8] = []
            while part.count < BodyPart.size, offset + part.count < body.size {
                let piece = try await body.read(at: offset + part.count, count: BodyPart.size - part.count)
                guard !piece.isEmpty else { throw StoreError.bodyGone(message) }
                part += piece
            }
            try await writeCopy { [part, number] connection in
                try connection.queue(
                    """
                    INSERT INTO body (message, part, bytes) VALUES ($1, $2, $3)
                    ON CONFLICT (message, part) DO UPDATE SET bytes = excluded.bytes
                    """, [message.rawValue, number, Bytes(part)])
            }
            offset += part.count
            number += 1
        }
    }

    public func completeBodies(among messages: [MessageID]) async throws -> Set<MessageID> {
        let found = try await look { connection in
            try connection.rows(
                """
                SELECT id FROM message WHERE id = ANY ($1)
                    AND (SELECT sum(octet_length(bytes)) FROM body WHERE body.message = message.id) >= size
                """, [messages.map(\.rawValue)]
            ) { $0.integer(0).flatMap(MessageID.init(rawValue:)) }
        }
        return Set(found.compactMap { $0 })
    }

    public func removeBodies(after message: MessageID?, through last: MessageID?, but kept: [MessageID]) async throws {
        let (first, end) = (message?.rawValue ?? -1, last?.rawValue ?? .max)
        try await writeCopy { connection in
            try connection.queue(
                "DELETE FROM body WHERE message > $1 AND message <= $2 AND message <> ALL ($3)",
                [first, end, kept.map(\.rawValue)])
        }
    }

    public func beginCopy(of repeatKey: [CopiedValue]) async throws {
        let number = copyNumber
        try await write { connection in
            // A relay that joins takes the same lock, and checks for the mark after that.
            try connection.queue("LOCK TABLE node IN SHARE ROW EXCLUSIVE MODE")
            try PostgreSQLStore.refuseWhileInUse(connection)
            let isUnfinished = try connection.isTrue(UnfinishedCopy.isThere)
            let own = try connection.first("SELECT bytes FROM repeat_key") { CopiedValue($0, 0, .octets) }
            let isEmpty = try CopiedTable.allCases.allSatisfy { table in
                try table == .repeatKey || connection.isTrue("SELECT NOT EXISTS (SELECT 1 FROM \(table.rawValue))")
            }
            guard isEmpty || (isUnfinished && own == repeatKey.first) else {
                throw StoreError.unavailable(
                    isUnfinished
                        ? "the PostgreSQL database to copy to holds an unfinished copy of another relay's database; name an empty one"
                        : "the PostgreSQL database to copy to holds something else already; name an empty one")
            }
            try connection.queue(
                """
                INSERT INTO task (name, node, until) VALUES ('copy', $1, 0)
                ON CONFLICT (name) DO UPDATE SET node = excluded.node
                """, [number])
            try connection.queue(
                "UPDATE repeat_key SET bytes = $1, former_until = $2", repeatKey.map(\.parameter))
        }
    }

    public func finishCopy() async throws {
        try await writeCopy { connection in
            for table in CopiedTable.allCases where table.numbersRows {
                try connection.queue(
                    """
                    SELECT setval(pg_get_serial_sequence('\(table.rawValue)', 'id'),
                        greatest((SELECT max(id) FROM \(table.rawValue)), 1))
                    """)
            }
            // With these values, the next relay takes over the deliveries that were being sent.
            try connection.queue("UPDATE delivery SET lease_until = 0 WHERE state = 'sending'")
            try connection.queue(
                """
                UPDATE simulated_bodies SET ended_at = 0, delivery = 0, bytes = (
                    SELECT coalesce(sum(size), 0)::bigint FROM message WHERE lane = 'test'
                        AND EXISTS (SELECT 1 FROM body WHERE body.message = message.id))
                """)
            try connection.queue("DELETE FROM task WHERE name = 'copy'")
        }
    }
}

extension CopiedTable {
    fileprivate var keyNames: String { columns.prefix(keyLength).map(\.name).joined(separator: ", ") }

    /// Compares a row's key with one that is given in parameters, numbered from `first`. `column`: the name of the
    /// key's column, if it differs from the table's.
    fileprivate func condition(_ comparison: String, _ count: Int, from first: Int, _ column: String? = nil) -> String {
        "(\(column ?? keyNames)) \(comparison) (\((first..<first + count).map { "$\($0)" }.joined(separator: ", ")))"
    }

    /// The tables in this database that contain the rows of the copied table, and the name of the key's column where it
    /// differs from the copied table's.
    fileprivate var holders: [(table: String, key: String?)] {
        self == .key ? [("key", nil), ("key_activity", "key"), ("capped_key", "key")] : [(rawValue, nil)]
    }

    /// Whether the database numbers the rows of the table.
    fileprivate var numbersRows: Bool {
        switch self {
        case .delivery, .waitingEvent, .webhookCall: true
        default: false
        }
    }

    /// What a SELECT reads the rows from. If each relay has its own rows, they are added up.
    fileprivate var source: String {
        switch self {
        case .key:
            """
            (SELECT key.*, last_used_at, coalesce(rate_limit_hits, 0) AS rate_limit_hits,
                coalesce(auth_failures, 0) AS auth_failures
            FROM key LEFT JOIN key_activity ON key_activity.key = key.id) AS told
            """
        case .usage:
            """
            (SELECT key, day, max(last_at) AS last_at, sum(emails)::bigint AS emails, sum(messages)::bigint AS messages,
                sum(deliveries)::bigint AS deliveries, sum(bounces)::bigint AS bounces,
                sum(hard_bounces)::bigint AS hard_bounces, sum(complaints)::bigint AS complaints
            FROM usage GROUP BY key, day) AS told
            """
        case .statistic:
            """
            (SELECT key, kind, day, name, sum(sent)::bigint AS sent, sum(delivered)::bigint AS delivered,
                sum(bounced)::bigint AS bounced, sum(complained)::bigint AS complained
            FROM statistic GROUP BY key, kind, day, name) AS told
            """
        case .feedbackByDay:
            """
            (SELECT environment, day, sum(deliveries)::bigint AS deliveries, sum(bounces)::bigint AS bounces,
                sum(hard_bounces)::bigint AS hard_bounces, sum(complaints)::bigint AS complaints
            FROM feedback_by_day GROUP BY environment, day) AS told
            """
        default: rawValue
        }
    }
}

extension CopiedValue {
    fileprivate init(_ row: ResultRow, _ column: CInt, _ kind: CopiedTable.Column.Kind) {
        let value: CopiedValue? =
            switch kind {
            case .integer, .flag: row.integer(column).map { .integer($0) }
            case .real: row.real(column).map { .real($0) }
            case .text: row.text(column).map { .text($0) }
            case .octets: row.bytes(column).map { .octets($0) }
            }
        self = value ?? .null
    }

    /// The value as a parameter of a key, in which only ``CopiedTable/repeatKey``'s time can be null.
    fileprivate var parameter: any ParameterValue {
        switch self {
        case .null: nil as Int64?
        case .integer(let number): number
        case .real(let number): number
        case .text(let text): text
        case .octets(let octets): Bytes(octets)
        }
    }

    /// The values of one column in several rows, as an array.
    fileprivate static func array(_ values: [CopiedValue], _ kind: CopiedTable.Column.Kind) -> any ParameterValue {
        switch kind {
        case .integer, .flag:
            values.map { value -> Int64? in if case .integer(let number) = value { number } else { nil } }
        case .real:
            values.map { value -> Double? in
                switch value {
                case .real(let number): number
                case .integer(let number): Double(number)
                default: nil
                }
            }
        case .text: values.map { value -> String? in if case .text(let text) = value { text } else { nil } }
        case .octets:
            values.map { value -> Bytes? in if case .octets(let octets) = value { Bytes(octets) } else { nil } }
        }
    }
}
