import RelayCore

/// Converts between a row of the table `key` and the domain's type.
enum KeyRow {
    static let columns = """
        key.id, key.name, key.environment, key.scopes, key.per_second, key.burst, key.per_day, key.domains, key.networks,
        key.detects_repeats, key.created_at, key.expires_at, key.revoked_at, key.webhooks_for_all
        """

    /// The number of the first column after `columns` in a query.
    static let next: CInt = 14

    static let secrets = "key.digest, key.previous_digest, key.previous_until"

    /// The number of columns of secrets.
    static let secretsCount: CInt = 3

    static func scopes(_ key: Key) -> String { key.scopes.map(\.rawValue).sorted().joined(separator: " ") }
    static func domains(_ key: Key) -> String { key.domains.map(\.description).joined(separator: " ") }
    static func networks(_ key: Key) -> String { key.networks.map(\.description).joined(separator: " ") }

    static func key(_ row: ResultRow) throws -> Key {
        guard let idText = row.text(0), let id = KeyID(idText), let name = row.text(1),
            let environment = row.text(2).flatMap(Environment.init), let scopes = row.text(3),
            let perSecond = row.real(4), let domains = row.text(7), let networks = row.text(8),
            let createdAt = row.timestamp(10)
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
            createdAt: createdAt, expiresAt: row.timestamp(11), revokedAt: row.timestamp(12))
        key.detectsRepeats = row.boolean(9) ?? true
        key.webhooksForAll = row.boolean(13) ?? false
        return key
    }

    private static func words(_ list: String) -> [String] { list.utf8.split(separator: 0x20).compactMap(String.init) }

    /// Reads a row of ``columns`` and ``secrets``.
    static func storedKey(_ row: ResultRow) throws -> StoredKey {
        guard let digest = row.bytes(next).flatMap(KeyDigest.init(bytes:)) else {
            throw StoreError.corrupt("a key's digest does not have 32 bytes")
        }
        var previous: (digest: KeyDigest, until: Timestamp)?
        if let digest = row.bytes(next + 1).flatMap(KeyDigest.init(bytes:)), let until = row.timestamp(next + 2) {
            previous = (digest, until)
        }
        return StoredKey(key: try key(row), digest: digest, previous: previous)
    }

    static func storedKey(_ id: KeyID, in connection: Connection) throws -> StoredKey? {
        try connection.first("SELECT \(columns), \(secrets) FROM key WHERE id = $1", [id.text], storedKey)
    }

    static func storedKeys(_ ids: [KeyID], in connection: Connection) throws -> [KeyID: StoredKey] {
        let keys = try connection.rows(
            "SELECT \(columns), \(secrets) FROM key WHERE id = ANY ($1)", [ids.map(\.text)], storedKey)
        return Dictionary(keys.map { ($0.key.id, $0) }) { first, _ in first }
    }

    /// Keys with their usage, in the order of their creation.
    ///
    /// - Parameter condition: a condition over the table `key`; its parameters are numbered from 2.
    static func records(
        _ connection: Connection, where condition: String, _ parameters: [any ParameterValue] = [], now: Timestamp
    ) throws -> [KeyRecord] {
        let recent = "usage.day > $1 - 30 AND usage.day <= $1"
        func sum(_ column: String, _ condition: String = "true") -> String {
            "coalesce(sum(\(column)) FILTER (WHERE \(condition)), 0)::bigint"
        }
        return try connection.rows(
            """
            SELECT \(columns), coalesce(rate_limit_hits, 0), coalesce(auth_failures, 0), last_used_at, used.*
            FROM key LEFT JOIN key_activity ON key_activity.key = key.id
            CROSS JOIN LATERAL (
                SELECT max(last_at), \(sum("emails")), \(sum("emails", recent)), \(sum("emails", "usage.day = $1")),
                    \(sum("deliveries", recent)), \(sum("bounces", recent)), \(sum("hard_bounces", recent)),
                    \(sum("complaints", recent))
                FROM usage WHERE usage.key = key.id
            ) AS used
            WHERE \(condition) ORDER BY key.created_at, key.id
            """, [now.day.number] + parameters
        ) { row in
            func count(_ column: CInt) -> Int { Int(row.integer(next + column) ?? 0) }
            // The last use is the later one of authenticating and sending.
            let uses = [row.timestamp(next + 2), row.timestamp(next + 3)].compactMap { $0 }
            return KeyRecord(
                key: try key(row),
                usage: KeyUsage(
                    lastUsedAt: uses.max(), emailsTotal: count(4), emails30Days: count(5), emailsToday: count(6),
                    rateLimitHits: count(0), authFailures: count(1),
                    feedback: FeedbackCounts(
                        deliveries: count(7), bounces: count(8), hardBounces: count(9), complaints: count(10))))
        }
    }

    /// Tells all relays that keys have changed. It must be the last statement of its transaction: the row's lock is
    /// held until the transaction ends.
    static func noteChange(in connection: Connection) throws {
        try connection.queue("UPDATE key_change SET counter = counter + 1")
    }

    /// Updates the list of keys that have a daily cap.
    static func noteCap(of key: Key, in connection: Connection) throws {
        if key.limits.perDay != nil {
            try connection.queue("INSERT INTO capped_key (key) VALUES ($1) ON CONFLICT DO NOTHING", [key.id.text])
        } else {
            try connection.queue("DELETE FROM capped_key WHERE key = $1", [key.id.text])
        }
    }
}
