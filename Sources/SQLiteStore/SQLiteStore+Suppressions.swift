import GRDB
import RelayCore

extension SQLiteStore: SuppressionStore {
    public func suppressions(_ filter: SuppressionFilter) async throws -> [Suppression] {
        var conditions = ["1"]
        var arguments: StatementArguments = ["limit": filter.limit]
        if let environment = filter.environment {
            conditions.append("environment = :environment")
            arguments += ["environment": environment.rawValue]
        }
        if let reason = filter.reason {
            conditions.append("reason = :reason")
            arguments += ["reason": reason.rawValue]
        }
        if let search = filter.search {
            conditions.append("instr(match_key, :search) > 0")
            arguments += ["search": Suppression.matchKey(search)]
        }
        if let after = filter.after {
            conditions.append("(environment, match_key) > (:afterEnvironment, :afterKey)")
            arguments += ["afterEnvironment": after.environment.rawValue, "afterKey": after.matchKey]
        }
        let sql = """
            SELECT \(SuppressionRow.columns) FROM suppression WHERE \(conditions.joined(separator: " AND "))
            ORDER BY environment, match_key LIMIT :limit
            """
        return try await read { [arguments] database in
            try Row.fetchAll(database, sql: sql, arguments: arguments).map(SuppressionRow.suppression)
        }
    }

    public func suppression(of address: String, in environment: Environment) async throws -> Suppression? {
        try await read { try SuppressionRow.find(address, environment, in: $0) }
    }

    public func add(_ suppressions: [Suppression]) async throws -> Int {
        try await write { database in
            try suppressions.reduce(0) { try $0 + (SuppressionRow.add($1, in: database) ? 1 : 0) }
        }
    }

    public func removeSuppression(
        of address: String, in environment: Environment, evenComplaint: Bool
    ) async throws -> SuppressionRemoval {
        try await write { database in
            guard let found = try SuppressionRow.find(address, environment, in: database) else { return .notListed }
            guard evenComplaint || found.reason != .complaint else { return .isComplaint }
            try database.execute(
                sql: "DELETE FROM suppression WHERE environment = ? AND match_key = ?",
                arguments: [environment.rawValue, Suppression.matchKey(address)])
            return .removed(found)
        }
    }

}

/// Reads and writes the table `suppression`.
enum SuppressionRow {
    static let columns = "environment, address, reason, created_at, message, note"

    static func suppression(_ row: Row) throws -> Suppression {
        guard let environment = Environment(rawValue: row["environment"]),
            let reason = SuppressionReason(rawValue: row["reason"])
        else { throw StoreError.corrupt("a suppression's row can't be read") }
        return Suppression(
            environment: environment, address: row["address"], reason: reason,
            createdAt: Timestamp(milliseconds: row["created_at"]),
            message: (row["message"] as Int64?).flatMap(MessageID.init(rawValue:)), note: row["note"])
    }

    static func find(_ address: String, _ environment: Environment, in database: Database) throws -> Suppression? {
        try Row.fetchOne(
            database.cachedStatement(
                sql: "SELECT \(columns) FROM suppression WHERE environment = ? AND match_key = ?"),
            arguments: [environment.rawValue, Suppression.matchKey(address)]
        ).map(suppression)
    }

    /// Adds an entry to the list. Returns whether its address is new there. An existing entry gets the stronger of the
    /// two reasons.
    static func add(_ entry: Suppression, in database: Database) throws -> Bool {
        let before = try find(entry.address, entry.environment, in: database)
        if let before {
            let reason = Suppression.weightier(before.reason, entry.reason)
            guard reason != before.reason else { return false }
            try database.cachedStatement(
                sql: """
                    UPDATE suppression SET reason = ?, message = ?, note = ? WHERE environment = ? AND match_key = ?
                    """
            ).execute(
                arguments: [
                    reason.rawValue, entry.message?.rawValue, entry.note, entry.environment.rawValue,
                    Suppression.matchKey(entry.address),
                ])
            return false
        }
        try database.cachedStatement(
            sql: """
                INSERT INTO suppression (environment, match_key, address, reason, created_at, message, note)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(
            arguments: [
                entry.environment.rawValue, Suppression.matchKey(entry.address), entry.address, entry.reason.rawValue,
                entry.createdAt.milliseconds, entry.message?.rawValue, entry.note,
            ])
        return true
    }

    /// The number of entries by environment and reason.
    static func counts(in database: Database) throws -> [Environment: [SuppressionReason: Int]] {
        var counts: [Environment: [SuppressionReason: Int]] = [:]
        // The query goes through the list and counts each reason in its own column. Grouping by a sort is avoided,
        // because it would use memory for each entry.
        let columns = SuppressionReason.allCases.map { "COUNT(*) FILTER (WHERE reason = '\($0.rawValue)')" }
        for environment in Environment.allCases {
            guard
                let row = try Row.fetchOne(
                    database,
                    sql: "SELECT \(columns.joined(separator: ", ")) FROM suppression WHERE environment = ?",
                    arguments: [environment.rawValue])
            else { continue }
            for (column, reason) in SuppressionReason.allCases.enumerated() {
                let number: Int = row[column]
                if number > 0 { counts[environment, default: [:]][reason] = number }
            }
        }
        return counts
    }

    static func hasAny(_ environment: Environment, in database: Database) throws -> Bool {
        try Bool.fetchOne(
            database.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM suppression WHERE environment = ?)"),
            arguments: [environment.rawValue]) ?? false
    }
}
