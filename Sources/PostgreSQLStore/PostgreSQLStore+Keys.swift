import RelayCore

extension PostgreSQLStore: KeyStore {
    public func insertKey(_ key: StoredKey) async throws {
        try await write { connection in
            let rules = key.key
            try connection.execute(
                """
                INSERT INTO key (id, name, environment, scopes, per_second, burst, per_day, domains, networks,
                    detects_repeats, created_at, expires_at, revoked_at, digest, previous_digest, previous_until,
                    webhooks_for_all)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
                """,
                [
                    rules.id.text, rules.name, rules.environment.rawValue, KeyRow.scopes(rules),
                    rules.limits.perSecond, rules.limits.burst, rules.limits.perDay, KeyRow.domains(rules),
                    KeyRow.networks(rules), rules.detectsRepeats, rules.createdAt, rules.expiresAt, rules.revokedAt,
                    Bytes(key.digest.bytes), key.previous.map { Bytes($0.digest.bytes) }, key.previous?.until,
                    rules.webhooksForAll,
                ])
            try KeyRow.noteCap(of: rules, in: connection)
            try KeyRow.noteChange(in: connection)
        }
    }

    public func storedKey(_ id: KeyID, completion: @escaping @Sendable (Result<StoredKey?, any Error>) -> Void) {
        lookUps.run(within: .seconds(5)) { connection in
            try KeyRow.storedKey(id, in: connection)
        } completion: { result in
            completion(result.mapError { StoreError($0) as any Error })
        }
    }

    public func keyRecord(_ id: KeyID, now: Timestamp) async throws -> KeyRecord? {
        try await look { try KeyRow.records($0, where: "key.id = $2", [id.text], now: now).first }
    }

    public func keyRecords(includingRevoked: Bool, now: Timestamp) async throws -> [KeyRecord] {
        try await look { connection in
            try KeyRow.records(connection, where: includingRevoked ? "true" : "revoked_at IS NULL", now: now)
        }
    }

    public func keyRecords(_ filter: KeyFilter, now: Timestamp) async throws -> [KeyRecord] {
        let search = KeySearch(filter)
        return try await read { connection in
            let ids = try connection.rows(search.sql, search.parameters) { $0.text(0) ?? "" }
            let records = try KeyRow.records(connection, where: "key.id = ANY ($2)", [ids], now: now)
            let byID = Dictionary(records.map { ($0.key.id.text, $0) }) { first, _ in first }
            return ids.compactMap { byID[$0] }
        }
    }

    public func use(of keys: [KeyID], days: Int, now: Timestamp) async throws -> [KeyID: [KeyDay]] {
        let used = try await look { connection in
            try connection.rows(
                """
                SELECT key, day, sum(emails)::bigint, sum(deliveries)::bigint, sum(bounces)::bigint,
                    sum(hard_bounces)::bigint, sum(complaints)::bigint
                FROM usage WHERE key = ANY ($1) AND day > $2 - $3 AND day <= $2
                GROUP BY key, day ORDER BY key, day
                """, [keys.map(\.text), now.day.number, days]
            ) { row in
                func count(_ column: CInt) -> Int { Int(row.integer(column) ?? 0) }
                return (
                    row.text(0).flatMap { KeyID($0) },
                    KeyDay(
                        day: UTCDay(number: row.integer(1) ?? 0), emails: count(2),
                        feedback: FeedbackCounts(
                            deliveries: count(3), bounces: count(4), hardBounces: count(5), complaints: count(6)))
                )
            }
        }
        var found: [KeyID: [KeyDay]] = [:]
        for case (let key?, let day) in used { found[key, default: []].append(day) }
        return found
    }

    public func updateKey(_ id: KeyID, _ change: @escaping @Sendable (inout Key) -> Void) async throws {
        try await write { connection in
            // The key is locked before it is read, so that two processes that change the key at the same time do not
            // undo each other's changes.
            try connection.queue("SELECT 1 FROM key WHERE id = $1 FOR NO KEY UPDATE", [id.text])
            guard var key = try KeyRow.storedKey(id, in: connection)?.key else { throw StoreError.noSuchKey(id) }
            change(&key)
            try connection.execute(
                """
                UPDATE key SET name = $1, scopes = $2, per_second = $3, burst = $4, per_day = $5, domains = $6,
                    networks = $7, detects_repeats = $8, expires_at = $9, webhooks_for_all = $10 WHERE id = $11
                """,
                [
                    key.name, KeyRow.scopes(key), key.limits.perSecond, key.limits.burst, key.limits.perDay,
                    KeyRow.domains(key), KeyRow.networks(key), key.detectsRepeats, key.expiresAt, key.webhooksForAll,
                    id.text,
                ])
            try KeyRow.noteCap(of: key, in: connection)
            try KeyRow.noteChange(in: connection)
        }
    }

    public func rotateKey(_ id: KeyID, digest: KeyDigest, previousUntil: Timestamp) async throws {
        try await write { connection in
            let changed = try connection.execute(
                "UPDATE key SET previous_digest = digest, previous_until = $1, digest = $2 WHERE id = $3",
                [previousUntil, Bytes(digest.bytes), id.text])
            guard changed == 1 else { throw StoreError.noSuchKey(id) }
            try KeyRow.noteChange(in: connection)
        }
    }

    public func revokeKey(_ id: KeyID, queued: QueuedDisposition, now: Timestamp) async throws {
        try await write { connection in
            // Waits for all transactions that are accepting mail of the key, and blocks new ones.
            let changed = try connection.execute(
                "UPDATE key SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2", [now, id.text])
            guard changed == 1 else { throw StoreError.noSuchKey(id) }
            // A delivery that is being sent is not interrupted. If it returns to the queue later, it is treated as the
            // queued deliveries are treated now.
            try connection.execute(
                "UPDATE delivery SET on_return = $1 WHERE key = $2 AND lane IN ('live', 'test') AND state = 'sending'",
                [queued == .deliver ? nil : queued.rawValue as String?, id.text])
            // No webhook is told about deliveries that are dropped here: the key's own webhooks no longer receive
            // anything, and other webhooks would receive a flood of calls.
            if let change = DeliveryChange(revoked: queued, at: now) {
                try DeliveryRow.apply(change, toThoseOf: id, in: queued.states, connection)
            }
            try KeyRow.noteChange(in: connection)
        }
    }

    public func record(_ activity: [KeyID: KeyActivity]) async throws {
        // In one order, so that two relays do not wait for each other.
        let entries = activity.sorted { $0.key.text < $1.key.text }
        try await write { connection in
            try connection.queue(
                """
                INSERT INTO key_activity (key, last_used_at, rate_limit_hits, auth_failures)
                SELECT told.* FROM unnest($1, $2, $3, $4) AS told (key, last_used_at, rate_limit_hits, auth_failures)
                WHERE EXISTS (SELECT 1 FROM key WHERE key.id = told.key) ORDER BY told.key
                ON CONFLICT (key) DO UPDATE SET
                    last_used_at = greatest(key_activity.last_used_at, excluded.last_used_at),
                    rate_limit_hits = key_activity.rate_limit_hits + excluded.rate_limit_hits,
                    auth_failures = key_activity.auth_failures + excluded.auth_failures
                """,
                [
                    entries.map(\.key.text), entries.map(\.value.lastUsedAt), entries.map(\.value.rateLimitHits),
                    entries.map(\.value.authFailures),
                ])
        }
    }

    public func currentKeys(_ ids: [KeyID]) async throws -> [KeyID: StoredKey] {
        try await look { try KeyRow.storedKeys(ids, in: $0) }
    }

    public func changeCounter() async throws -> Int64 {
        try await look(on: lookUps) { try $0.integer("SELECT counter FROM key_change") ?? 0 }
    }
}

/// The ids of one page of the list of keys, newest first.
struct KeySearch {
    let sql: String
    let parameters: [any ParameterValue]

    init(_ filter: KeyFilter) {
        var conditions = ["true"]
        var parameters: [any ParameterValue] = [max(filter.limit, 0)]
        func parameter(_ value: any ParameterValue) -> String {
            parameters.append(value)
            return "$\(parameters.count)"
        }
        if !filter.includesRevoked { conditions.append("revoked_at IS NULL") }
        if let environment = filter.environment {
            conditions.append("environment = \(parameter(environment.rawValue))")
        }
        if let text = filter.text {
            // Not LIKE, in which some characters have a special meaning. Only ASCII letters match in upper and lower
            // case, as with SQLite.
            let place = parameter(text)
            conditions.append("(strpos(lower(name), lower(\(place))) > 0 OR strpos(lower(id), lower(\(place))) = 1)")
        }
        if let after = filter.after {
            conditions.append("(created_at, id) < (\(parameter(after.createdAt)), \(parameter(after.id.text)))")
        }
        sql = """
            SELECT id FROM key WHERE \(conditions.joined(separator: " AND "))
            ORDER BY created_at DESC, id DESC LIMIT $1
            """
        self.parameters = parameters
    }
}
