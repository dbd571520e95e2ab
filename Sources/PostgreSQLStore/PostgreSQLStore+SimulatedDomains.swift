import RelayCore

extension PostgreSQLStore: SimulatedDomainStore {
    public func insert(_ domain: SimulatedDomain) async throws -> SimulatedDomainInsertion {
        try await write { connection in
            // Another transaction that adds a domain waits, so that the count stays correct.
            try connection.queue("LOCK TABLE simulated_domain IN SHARE ROW EXCLUSIVE MODE")
            if try SimulatedDomainRow.find(domain.name, in: connection) != nil { return .exists }
            let number = try connection.integer("SELECT count(*) FROM simulated_domain") ?? 0
            guard number < SimulatedDomain.most else { return .tooMany }
            try connection.queue(
                "INSERT INTO simulated_domain (\(SimulatedDomainRow.columns)) VALUES ($1, $2, $3, $4, $5)",
                [
                    domain.name, domain.createdAt, domain.createdBy?.text, Bytes(domain.tokenSeed), domain.verifiedAt,
                ])
            return .inserted
        }
    }

    public func simulatedDomains(after name: String?, limit: Int) async throws -> [SimulatedDomain] {
        try await look { connection in
            try connection.rows(
                "SELECT \(SimulatedDomainRow.columns) FROM simulated_domain WHERE name > $1 ORDER BY name LIMIT $2",
                [name ?? "", max(limit, 0)], SimulatedDomainRow.domain)
        }
    }

    public func simulatedDomain(_ name: String) async throws -> SimulatedDomain? {
        try await look { try SimulatedDomainRow.find(name, in: $0) }
    }

    public func verifySimulatedDomain(_ name: String, now: Timestamp) async throws -> SimulatedDomain? {
        try await write { connection in
            try connection.queue(
                "UPDATE simulated_domain SET verified_at = $1 WHERE name = $2 AND verified_at IS NULL", [now, name])
            return try SimulatedDomainRow.find(name, in: connection)
        }
    }
}

/// Reads and writes the table `simulated_domain`.
private enum SimulatedDomainRow {
    static let columns = "name, created_at, created_by, token_seed, verified_at"

    static func find(_ name: String, in connection: Connection) throws -> SimulatedDomain? {
        try connection.first("SELECT \(columns) FROM simulated_domain WHERE name = $1", [name], domain)
    }

    static func domain(_ row: ResultRow) throws -> SimulatedDomain {
        guard let name = row.text(0), let createdAt = row.timestamp(1), let seed = row.bytes(3) else {
            throw StoreError.corrupt("a simulated domain's row can't be read")
        }
        return SimulatedDomain(
            name: name, createdAt: createdAt, createdBy: row.text(2).flatMap { KeyID($0) }, tokenSeed: seed,
            verifiedAt: row.timestamp(4))
    }
}
