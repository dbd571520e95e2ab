import GRDB
import RelayCore

extension SQLiteStore: KeyStore {
    public func insertKey(_ key: StoredKey) async throws {
        try await write { database in
            try database.cachedStatement(
                sql: """
                    INSERT INTO key (id, name, environment, scopes, per_second, burst, per_day, domains, networks,
                        detects_repeats, created_at, expires_at, revoked_at, digest, previous_digest, previous_until,
                        webhooks_for_all)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(
                arguments: [
                    key.key.id.text, key.key.name, key.key.environment.rawValue, KeyRow.scopes(key.key),
                    key.key.limits.perSecond, key.key.limits.burst, key.key.limits.perDay, KeyRow.domains(key.key),
                    KeyRow.networks(key.key), key.key.detectsRepeats, key.key.createdAt.milliseconds,
                    key.key.expiresAt?.milliseconds,
                    key.key.revokedAt?.milliseconds, key.digest.data, key.previous?.digest.data,
                    key.previous?.until.milliseconds, key.key.webhooksForAll,
                ])
        }
    }

    public func storedKey(_ id: KeyID, completion: @escaping @Sendable (Result<StoredKey?, any Error>) -> Void) {
        // A single statement has its own snapshot and needs no transaction.
        lookUps.asyncUnsafeRead { database in
            completion(
                Result {
                    try KeyRow.storedKey(id, in: database.get())
                }.mapError { StoreError($0) as any Error })
        }
    }

    public func keyRecord(_ id: KeyID, now: Timestamp) async throws -> KeyRecord? {
        try await read { database in
            try KeyRow.records(database, where: "id = ?2", id.text, now: now).first
        }
    }

    public func keyRecords(includingRevoked: Bool, now: Timestamp) async throws -> [KeyRecord] {
        try await read { database in
            try KeyRow.records(database, where: includingRevoked ? "1" : "revoked_at IS NULL", now: now)
        }
    }

    public func keyRecords(_ filter: KeyFilter, now: Timestamp) async throws -> [KeyRecord] {
        let search = KeySearch(filter)
        return try await read { database in
            try String.fetchAll(database.cachedStatement(sql: search.sql), arguments: search.arguments).flatMap { id in
                try KeyRow.records(database, where: "id = ?2", id, now: now)
            }
        }
    }

    public func use(of keys: [KeyID], days: Int, now: Timestamp) async throws -> [KeyID: [KeyDay]] {
        try await read { database in
            let statement = try DirectStatement(database, KeySearch.use)
            var found: [KeyID: [KeyDay]] = [:]
            for key in keys {
                statement.bind(key.text, at: 1)
                statement.bind(now.day.number, at: 2)
                statement.bind(Int64(days), at: 3)
                let used = try statement.rows { row in
                    func count(_ column: CInt) -> Int { Int(row.integer(column) ?? 0) }
                    return KeyDay(
                        day: UTCDay(number: row.integer(0) ?? 0), emails: count(1),
                        feedback: FeedbackCounts(
                            deliveries: count(2), bounces: count(3), hardBounces: count(4), complaints: count(5)))
                }
                if !used.isEmpty { found[key] = used }
            }
            return found
        }
    }

    public func updateKey(_ id: KeyID, _ change: @escaping @Sendable (inout Key) -> Void) async throws {
        try await write { database in
            // The key is read within the transaction, so that two processes that change it at the same time do not undo
            // each other's changes.
            guard var key = try KeyRow.storedKey(id, in: database)?.key else { throw StoreError.noSuchKey(id) }
            change(&key)
            try database.cachedStatement(
                sql: """
                    UPDATE key SET name = ?, scopes = ?, per_second = ?, burst = ?, per_day = ?, domains = ?,
                        networks = ?, detects_repeats = ?, expires_at = ?, webhooks_for_all = ? WHERE id = ?
                    """
            ).execute(
                arguments: [
                    key.name, KeyRow.scopes(key), key.limits.perSecond, key.limits.burst, key.limits.perDay,
                    KeyRow.domains(key), KeyRow.networks(key), key.detectsRepeats, key.expiresAt?.milliseconds,
                    key.webhooksForAll, id.text,
                ])
        }
    }

    public func rotateKey(_ id: KeyID, digest: KeyDigest, previousUntil: Timestamp) async throws {
        try await write { database in
            try database.execute(
                sql: "UPDATE key SET previous_digest = digest, previous_until = ?, digest = ? WHERE id = ?",
                arguments: [previousUntil.milliseconds, digest.data, id.text])
            guard database.changesCount == 1 else { throw StoreError.noSuchKey(id) }
        }
    }

    public func revokeKey(_ id: KeyID, queued: QueuedDisposition, now: Timestamp) async throws {
        try await write { database in
            try database.execute(
                sql: "UPDATE key SET revoked_at = COALESCE(revoked_at, ?) WHERE id = ?",
                arguments: [now.milliseconds, id.text])
            guard database.changesCount == 1 else { throw StoreError.noSuchKey(id) }
            // A delivery that is being sent is not interrupted. If it returns to the queue later, it is treated as the
            // queued deliveries are treated now.
            try database.execute(
                sql: "UPDATE delivery SET on_return = ? WHERE key = ? AND state = 'sending'",
                arguments: [queued == .deliver ? nil : queued.rawValue, id.text])
            // No webhook is told about deliveries that are dropped here: the key's own webhooks no longer receive
            // anything, and other webhooks would receive a flood of calls.
            if let change = DeliveryChange(revoked: queued, at: now) {
                try DeliveryRow.apply(change, toThoseOf: id, in: queued.states, database)
            }
        }
    }

    public func record(_ activity: [KeyID: KeyActivity]) async throws {
        try await write { database in
            let statement = try database.cachedStatement(
                sql: """
                    UPDATE key SET last_used_at = NULLIF(MAX(COALESCE(last_used_at, 0), COALESCE(?1, 0)), 0),
                        rate_limit_hits = rate_limit_hits + ?2, auth_failures = auth_failures + ?3
                    WHERE id = ?4
                    """)
            for (id, delta) in activity {
                try statement.execute(
                    arguments: [
                        delta.lastUsedAt?.milliseconds, delta.rateLimitHits, delta.authFailures, id.text,
                    ])
            }
        }
    }

    public func currentKeys(_ ids: [KeyID]) async throws -> [KeyID: StoredKey] {
        try await read { database in
            var found: [KeyID: StoredKey] = [:]
            for id in ids { found[id] = try KeyRow.storedKey(id, in: database) }
            return found
        }
    }

    public func changeCounter() async throws -> Int64 {
        try await withCheckedThrowingContinuation { continuation in
            // Read on the writing connection: `data_version` does not count a connection's own changes.
            pool.asyncWriteWithoutTransaction { database in
                continuation.resume(
                    with: Result { try Int64.fetchOne(database, sql: "PRAGMA data_version") ?? 0 }
                        .mapError { StoreError($0) as any Error })
            }
        }
    }
}

/// Converts between a row of the table `key` and the domain's type.
enum KeyRow {
    static let columns = """
        id, name, environment, scopes, per_second, burst, per_day, domains, networks, detects_repeats, created_at, expires_at,
        revoked_at, webhooks_for_all
        """

    /// The number of the first column after `columns` in a query.
    private static let next: CInt = 14

    private static let secrets = "digest, previous_digest, previous_until"

    private static let lookUp = "SELECT \(columns), \(secrets) FROM key WHERE id = ?"

    static let lookUpWithEmailsToday = """
        SELECT \(columns), \(secrets), COALESCE((SELECT emails FROM usage WHERE usage.key = key.id AND day = ?), 0)
        FROM key WHERE id = ?
        """

    static func scopes(_ key: Key) -> String { key.scopes.map(\.rawValue).sorted().joined(separator: " ") }
    static func domains(_ key: Key) -> String { key.domains.map(\.description).joined(separator: " ") }
    static func networks(_ key: Key) -> String { key.networks.map(\.description).joined(separator: " ") }

    static func key(_ row: DirectRow) throws -> Key {
        guard let idText = row.text(0), let id = KeyID(idText), let name = row.text(1),
            let environment = row.text(2).flatMap(Environment.init), let scopes = row.text(3),
            let perSecond = row.real(4), let domains = row.text(7), let networks = row.text(8),
            let createdAt = timestamp(row.integer(10))
        else { throw StoreError.corrupt("a key's row can't be read") }
        var key = Key(
            id: id, name: name, environment: environment, scopes: Set(words(scopes).compactMap(Scope.init)),
            limits: SendingLimits(
                perSecond: perSecond, burst: row.integer(5).map(Int.init), perDay: row.integer(6).map(Int.init)),
            domains: words(domains).map(DomainPattern.init(normalised:)),
            // A network that can't be read must not open the key to all clients: the row is refused.
            networks: try words(networks).map { text in
                do {
                    return try NetworkBlock(text)
                } catch {
                    throw StoreError.corrupt("a network of key \(idText) can't be read")
                }
            },
            createdAt: createdAt, expiresAt: timestamp(row.integer(11)), revokedAt: timestamp(row.integer(12)))
        key.detectsRepeats = row.integer(9) != 0
        key.webhooksForAll = row.integer(13) == 1
        return key
    }

    private static func words(_ list: String) -> [String] { list.utf8.split(separator: 0x20).compactMap(String.init) }

    static func storedKey(_ id: KeyID, in database: Database) throws -> StoredKey? {
        let statement = try DirectStatement(database, lookUp)
        statement.bind(id.text, at: 1)
        return try statement.first(storedKey)
    }

    private static func storedKey(_ row: DirectRow) throws -> StoredKey {
        guard let digest = row.bytes(next).flatMap(KeyDigest.init(bytes:)) else {
            throw StoreError.corrupt("a key's digest does not have 32 bytes")
        }
        var previous: (digest: KeyDigest, until: Timestamp)?
        if let digest = row.bytes(next + 1).flatMap(KeyDigest.init(bytes:)),
            let until = timestamp(row.integer(next + 2))
        {
            previous = (digest, until)
        }
        return StoredKey(key: try key(row), digest: digest, previous: previous)
    }

    /// - Parameter statement: ``lookUpWithEmailsToday``.
    static func withEmailsToday(
        _ id: KeyID, _ now: Timestamp, _ statement: DirectStatement
    ) throws -> KeyStanding? {
        statement.bind(now.day.number, at: 1)
        statement.bind(id.text, at: 2)
        return try statement.first {
            KeyStanding(stored: try storedKey($0), emailsToday: Int($0.integer(next + 3) ?? 0))
        }
    }

    /// Keys with their usage, in the order of their creation. If the condition has a parameter ?2, `id` is its value.
    static func records(
        _ database: Database, where condition: String, _ id: String? = nil, now: Timestamp
    ) throws -> [KeyRecord] {
        let statement = try DirectStatement(
            database,
            """
            SELECT \(columns), rate_limit_hits, auth_failures, last_used_at,
                (SELECT MAX(last_at) FROM usage WHERE usage.key = key.id),
                (SELECT SUM(emails) FROM usage WHERE usage.key = key.id),
                (SELECT SUM(emails) FROM usage WHERE usage.key = key.id AND day > ?1 - 30 AND day <= ?1),
                (SELECT emails FROM usage WHERE usage.key = key.id AND day = ?1),
                \(["deliveries", "bounces", "hard_bounces", "complaints"].map(sumOf30Days).joined(separator: ", "))
            FROM key WHERE \(condition) ORDER BY created_at, id
            """)
        statement.bind(now.day.number, at: 1)
        if let id { statement.bind(id, at: 2) }
        return try statement.rows { row in
            func count(_ column: CInt) -> Int { Int(row.integer(next + column) ?? 0) }
            // The last use is the later one of authenticating and sending.
            let uses = [row.integer(next + 2), row.integer(next + 3)].compactMap(timestamp)
            return KeyRecord(
                key: try key(row),
                usage: KeyUsage(
                    lastUsedAt: uses.max(), emailsTotal: count(4), emails30Days: count(5), emailsToday: count(6),
                    rateLimitHits: count(0), authFailures: count(1),
                    feedback: FeedbackCounts(
                        deliveries: count(7), bounces: count(8), hardBounces: count(9), complaints: count(10))))
        }
    }

    private static func sumOf30Days(_ column: String) -> String {
        "(SELECT SUM(\(column)) FROM usage WHERE usage.key = key.id AND day > ?1 - 30 AND day <= ?1)"
    }
}

func timestamp(_ milliseconds: Int64?) -> Timestamp? { milliseconds.map { Timestamp(milliseconds: $0) } }
