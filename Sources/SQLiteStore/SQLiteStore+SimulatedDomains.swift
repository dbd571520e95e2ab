import Foundation
import GRDB
import RelayCore

extension SQLiteStore: SimulatedDomainStore {
    public func insert(_ domain: SimulatedDomain) async throws -> SimulatedDomainInsertion {
        try await write { database in
            if try SimulatedDomainRow.find(domain.name, in: database) != nil { return .exists }
            let number = try Int.fetchOne(database, sql: "SELECT COUNT(*) FROM simulated_domain") ?? 0
            guard number < SimulatedDomain.most else { return .tooMany }
            try database.execute(
                sql: """
                    INSERT INTO simulated_domain (name, created_at, created_by, token_seed, verified_at)
                    VALUES (?, ?, ?, ?, ?)
                    """,
                arguments: [
                    domain.name, domain.createdAt.milliseconds, domain.createdBy?.text, Data(domain.tokenSeed),
                    domain.verifiedAt?.milliseconds,
                ])
            return .inserted
        }
    }

    public func simulatedDomains(after name: String?, limit: Int) async throws -> [SimulatedDomain] {
        try await read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM simulated_domain WHERE name > ? ORDER BY name LIMIT ?",
                arguments: [name ?? "", max(limit, 0)]
            ).map(SimulatedDomainRow.domain)
        }
    }

    public func simulatedDomain(_ name: String) async throws -> SimulatedDomain? {
        try await read { try SimulatedDomainRow.find(name, in: $0) }
    }

    public func verifySimulatedDomain(_ name: String, now: Timestamp) async throws -> SimulatedDomain? {
        try await write { database in
            try database.execute(
                sql: "UPDATE simulated_domain SET verified_at = ? WHERE name = ? AND verified_at IS NULL",
                arguments: [now.milliseconds, name])
            return try SimulatedDomainRow.find(name, in: database)
        }
    }
}

/// Reads and writes the table `simulated_domain`.
private enum SimulatedDomainRow {
    static func find(_ name: String, in database: Database) throws -> SimulatedDomain? {
        try Row.fetchOne(database, sql: "SELECT * FROM simulated_domain WHERE name = ?", arguments: [name]).map(domain)
    }

    static func domain(_ row: Row) -> SimulatedDomain {
        SimulatedDomain(
            name: row["name"], createdAt: Timestamp(milliseconds: row["created_at"]),
            createdBy: (row["created_by"] as String?).flatMap { KeyID($0) },
            tokenSeed: bytes(row["token_seed"]) ?? [], verifiedAt: timestamp(row["verified_at"]))
    }
}
