import GRDB
import RelayCore

extension SQLiteStore: KeyStore {
    public func insertKey(_ key: StoredKey) async throws {
        try await write { database in
            try database.cachedStatement(
                sql: """
                    INSERT INTO key (id, name, environment, scopes, per_second, burst, per_day, domains, networks,
                        detects_repeats, created_at, expires_at, revoked_at, digest, previous_digest, previous_until)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(
                arguments: [
                    key.key.id.text, key.key.name, key.key.environment.rawValue, KeyRow.scopes(key.key),
                    key.key.limits.perSecond, key.key.limits.burst, key.key.limits.perDay, KeyRow.domains(key.key),
                    KeyRow.networks(key.key), key.key.detectsRepeats, key.key.createdAt.milliseconds,
                    key.key.expiresAt?.milliseconds,
                    key.key.revokedAt?.milliseconds, key.digest.data, key.previous?.digest.data,
                    key.previous?.until.milliseconds,
                ])
        }
    }

    public func storedKey(_ id: KeyID, completion: @escaping @Sendable (Result<StoredKey?, any Error>) -> Void) {
        // One statement is a snapshot of its own and needs no transaction around it.
        lookUps.asyncUnsafeRead { database in
            completion(
                Result {
                    try Row.fetchOne(database.get().cachedStatement(sql: KeyRow.lookUp), arguments: [id.text])
                        .map(KeyRow.storedKey)
                }.mapError { StoreError($0) as any Error })
        }
    }

    public func keyRecord(_ id: KeyID, now: Timestamp) async throws -> KeyRecord? {
        try await read { database in
            try KeyRow.records(database, where: "id = ?", [id.text], now: now).first
        }
    }

    public func keyRecords(includingRevoked: Bool, now: Timestamp) async throws -> [KeyRecord] {
        try await read { database in
            try KeyRow.records(database, where: includingRevoked ? "1" : "revoked_at IS NULL", [], now: now)
        }
    }

    public func updateKey(_ key: Key) async throws {
        try await write { database in
            try database.cachedStatement(
                sql: """
                    UPDATE key SET name = ?, scopes = ?, per_second = ?, burst = ?, per_day = ?, domains = ?,
                        networks = ?, detects_repeats = ?, expires_at = ? WHERE id = ?
                    """
            ).execute(
                arguments: [
                    key.name, KeyRow.scopes(key), key.limits.perSecond, key.limits.burst, key.limits.perDay,
                    KeyRow.domains(key), KeyRow.networks(key), key.detectsRepeats, key.expiresAt?.milliseconds,
                    key.id.text,
                ])
            guard database.changesCount == 1 else { throw StoreError.noSuchKey(key.id) }
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
            // What is under way ends as it ends; should it come back, it is treated as what is queued now.
            try database.execute(
                sql: "UPDATE delivery SET on_return = ? WHERE key = ? AND state = 'sending'",
                arguments: [queued == .deliver ? nil : queued.rawValue, id.text])
            switch queued {
            case .deliver: break
            case .hold:
                try database.execute(
                    sql: "UPDATE delivery SET state = 'held', reason = ? WHERE key = ? AND state = 'queued'",
                    arguments: [heldBecauseRevoked, id.text])
            case .drop:
                try database.execute(
                    sql: """
                        UPDATE delivery SET state = 'failed', reason = ?, ended_at = ?
                        WHERE key = ? AND state IN ('queued', 'held')
                        """,
                    arguments: [droppedReason, now.milliseconds, id.text])
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

    public func currentKeys(_ ids: [KeyID], now: Timestamp) async throws -> [KeyID: (key: Key, emailsToday: Int)] {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: """
                    SELECT \(KeyRow.columns),
                        COALESCE((SELECT emails FROM usage WHERE usage.key = key.id AND day = ?), 0) AS today
                    FROM key WHERE id = ?
                    """)
            var found: [KeyID: (key: Key, emailsToday: Int)] = [:]
            for id in ids {
                guard let row = try Row.fetchOne(statement, arguments: [now.day.number, id.text]) else { continue }
                found[id] = (try KeyRow.key(row), row["today"])
            }
            return found
        }
    }

    public func changeCounter() async throws -> Int64 {
        try await withCheckedThrowingContinuation { continuation in
            // On the writing connection, which does not count its own changes.
            pool.asyncWriteWithoutTransaction { database in
                continuation.resume(
                    with: Result { try Int64.fetchOne(database, sql: "PRAGMA data_version") ?? 0 }
                        .mapError { StoreError($0) as any Error })
            }
        }
    }
}

/// The reason on record of a delivery that waits because its key was revoked.
let heldBecauseRevoked =
    "held: its key was revoked with --queued hold; 'messages release' sends it, 'messages drop' gives it up"

/// A row of the table `key`, to and from the domain's type.
enum KeyRow {
    static let columns = """
        id, name, environment, scopes, per_second, burst, per_day, domains, networks, detects_repeats, created_at, expires_at,
        revoked_at
        """

    static let lookUp = "SELECT \(columns), digest, previous_digest, previous_until FROM key WHERE id = ?"

    static func scopes(_ key: Key) -> String { key.scopes.map(\.rawValue).sorted().joined(separator: " ") }
    static func domains(_ key: Key) -> String { key.domains.map(\.description).joined(separator: " ") }
    static func networks(_ key: Key) -> String { key.networks.map(\.description).joined(separator: " ") }

    static func key(_ row: Row) throws -> Key {
        let idText: String = row["id"]
        let environmentText: String = row["environment"]
        guard let id = KeyID(idText), let environment = Environment(rawValue: environmentText) else {
            throw StoreError.corrupt("a key's row can't be read")
        }
        let scopes: String = row["scopes"]
        let domains: String = row["domains"]
        let networks: String = row["networks"]
        var key = Key(
            id: id, name: row["name"], environment: environment,
            scopes: Set(scopes.split(separator: " ").compactMap { Scope(rawValue: String($0)) }),
            limits: SendingLimits(perSecond: row["per_second"], burst: row["burst"], perDay: row["per_day"]),
            domains: domains.split(separator: " ").map { DomainPattern(normalised: String($0)) },
            // A network that can't be read must not open the key to all: the row is refused.
            networks: try networks.split(separator: " ").map { text in
                do {
                    return try NetworkBlock(String(text))
                } catch {
                    throw StoreError.corrupt("a network of key \(idText) can't be read")
                }
            },
            createdAt: Timestamp(milliseconds: row["created_at"]), expiresAt: timestamp(row["expires_at"]),
            revokedAt: timestamp(row["revoked_at"]))
        key.detectsRepeats = row["detects_repeats"]
        return key
    }

    static func storedKey(_ row: Row) throws -> StoredKey {
        guard let digest = KeyDigest(data: row["digest"]) else {
            throw StoreError.corrupt("a key's digest has not 32 bytes")
        }
        let previousData: [UInt8]? = bytes(row["previous_digest"])
        var previous: (digest: KeyDigest, until: Timestamp)?
        if let previousData, let digest = KeyDigest(bytes: previousData), let until = timestamp(row["previous_until"]) {
            previous = (digest, until)
        }
        return StoredKey(key: try key(row), digest: digest, previous: previous)
    }

    /// Keys with their usage, by creation.
    static func records(
        _ database: Database, where condition: String, _ arguments: StatementArguments, now: Timestamp
    ) throws -> [KeyRecord] {
        let today = now.day.number
        let rows = try Row.fetchCursor(
            database,
            sql: """
                SELECT \(columns), last_used_at, emails_total, rate_limit_hits, auth_failures,
                    COALESCE((SELECT SUM(emails) FROM usage WHERE usage.key = key.id AND day > ? AND day <= ?), 0) AS days30,
                    COALESCE((SELECT emails FROM usage WHERE usage.key = key.id AND day = ?), 0) AS today
                FROM key WHERE \(condition) ORDER BY created_at, id
                """, arguments: [today - 30, today, today] + arguments)
        var records: [KeyRecord] = []
        while let row = try rows.next() {
            records.append(
                KeyRecord(
                    key: try key(row),
                    usage: KeyUsage(
                        lastUsedAt: timestamp(row["last_used_at"]), emailsTotal: row["emails_total"],
                        emails30Days: row["days30"], emailsToday: row["today"],
                        rateLimitHits: row["rate_limit_hits"], authFailures: row["auth_failures"])))
        }
        return records
    }
}

func timestamp(_ milliseconds: Int64?) -> Timestamp? { milliseconds.map { Timestamp(milliseconds: $0) } }
