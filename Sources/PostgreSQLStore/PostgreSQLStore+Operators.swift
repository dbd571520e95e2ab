import RelayCore

extension PostgreSQLStore: OperatorSessionStore {
    public func insertLogin(_ login: OperatorDigest, until: Timestamp, now: Timestamp) async throws {
        try await write { connection in
            for table in ["operator_login", "operator_session"] {
                try connection.queue("DELETE FROM \(table) WHERE ends_at <= $1", [now])
            }
            try connection.queue(
                """
                INSERT INTO operator_login (digest, ends_at) VALUES ($1, $2)
                ON CONFLICT (digest) DO UPDATE SET ends_at = excluded.ends_at
                """, [login.octets, until])
        }
    }

    public func beginSession(
        _ session: OperatorDigest, until: Timestamp, redeeming login: OperatorDigest, now: Timestamp
    ) async throws -> Bool {
        // First checked without a write: a visitor who guesses links must not cause writes.
        let isThere = try await look { connection in
            try connection.isTrue(
                "SELECT EXISTS (SELECT 1 FROM operator_login WHERE digest = $1 AND ends_at > $2)", [login.octets, now])
        }
        guard isThere else { return false }
        return try await write { connection in
            // If two requests use the same link, the second waits here for the first, and then finds no row.
            let redeemed = try connection.execute(
                "DELETE FROM operator_login WHERE digest = $1 AND ends_at > $2", [login.octets, now])
            guard redeemed == 1 else { return false }
            try connection.queue(
                "INSERT INTO operator_session (digest, ends_at) VALUES ($1, $2)", [session.octets, until])
            return true
        }
    }

    public func session(_ session: OperatorDigest, now: Timestamp) async throws -> Timestamp? {
        try await look { connection in
            try connection.integer(
                "SELECT ends_at FROM operator_session WHERE digest = $1 AND ends_at > $2", [session.octets, now]
            ).map { Timestamp(milliseconds: $0) }
        }
    }

    public func endSession(_ session: OperatorDigest) async throws {
        try await write { try $0.queue("DELETE FROM operator_session WHERE digest = $1", [session.octets]) }
    }

    public func endSessions(now: Timestamp) async throws -> Int {
        try await write { connection in
            // Links are deleted first: the statement waits for a request that is using a link at this moment, and the
            // next statement then sees the session of that request.
            try connection.queue("DELETE FROM operator_login")
            return Int(
                try connection.integer(
                    """
                    WITH ended AS (DELETE FROM operator_session RETURNING ends_at)
                    SELECT count(*) FROM ended WHERE ends_at > $1
                    """, [now]) ?? 0)
        }
    }
}

extension OperatorDigest {
    fileprivate var octets: Bytes { Bytes(bytes) }
}
