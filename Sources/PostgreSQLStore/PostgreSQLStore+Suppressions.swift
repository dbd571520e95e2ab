import RelayCore

extension PostgreSQLStore: SuppressionStore {
    public func suppressions(_ filter: SuppressionFilter) async throws -> [Suppression] {
        var conditions = ["true"]
        var parameters: [any ParameterValue] = [max(filter.limit, 0)]
        func parameter(_ value: any ParameterValue) -> String {
            parameters.append(value)
            return "$\(parameters.count)"
        }
        if let environment = filter.environment {
            conditions.append("environment = \(parameter(environment.rawValue))")
        }
        if let reason = filter.reason { conditions.append("reason = \(parameter(reason.rawValue))") }
        if let search = filter.search {
            // Not LIKE, in which some characters have a special meaning.
            conditions.append("strpos(match_key, \(parameter(Suppression.matchKey(search)))) > 0")
        }
        if let after = filter.after {
            conditions.append(
                "(environment, match_key) > (\(parameter(after.environment.rawValue)), \(parameter(after.matchKey)))")
        }
        let sql = """
            SELECT \(SuppressionRow.columns) FROM suppression WHERE \(conditions.joined(separator: " AND "))
            ORDER BY environment, match_key LIMIT $1
            """
        return try await look { [parameters] in try $0.rows(sql, parameters, SuppressionRow.suppression) }
    }

    public func suppression(of address: String, in environment: Environment) async throws -> Suppression? {
        try await look { try SuppressionRow.find([address], environment, in: $0)[address] }
    }

    public func add(_ suppressions: [Suppression]) async throws -> Int {
        try await write { try SuppressionRow.add(suppressions, in: $0) }
    }

    public func removeSuppression(
        of address: String, in environment: Environment, evenComplaint: Bool
    ) async throws -> SuppressionRemoval {
        let key: [any ParameterValue] = [environment.rawValue, Suppression.matchKey(address)]
        return try await write { connection in
            // The entry is locked: another relay may receive a complaint at this moment.
            let found = try connection.first(
                """
                SELECT \(SuppressionRow.columns) FROM suppression WHERE environment = $1 AND match_key = $2 FOR UPDATE
                """, key, SuppressionRow.suppression)
            guard let found else { return .notListed }
            guard evenComplaint || found.reason != .complaint else { return .isComplaint }
            try connection.queue("DELETE FROM suppression WHERE environment = $1 AND match_key = $2", key)
            return .removed(found)
        }
    }
}

/// Entries of the list of suppressions, by address.
struct ListedAddresses {
    /// By octets, as the database compares them: Swift treats some different texts as equal.
    private var entries: [[UInt8]: Suppression] = [:]

    init(_ entries: [(matchKey: String, entry: Suppression)]) {
        for (matchKey, entry) in entries { self.entries[Array(matchKey.utf8)] = entry }
    }

    var isEmpty: Bool { entries.isEmpty }

    /// The entry for an address. Upper and lower case make no difference.
    subscript(address: String) -> Suppression? { entries[Array(Suppression.matchKey(address).utf8)] }
}

/// Reads and writes the table `suppression`.
enum SuppressionRow {
    static let columns = "environment, address, reason, created_at, message, note"

    static func suppression(_ row: ResultRow) throws -> Suppression {
        guard let environment = row.text(0).flatMap(Environment.init), let address = row.text(1),
            let reason = row.text(2).flatMap(SuppressionReason.init), let createdAt = row.timestamp(3)
        else { throw StoreError.corrupt("a suppression's row can't be read") }
        return Suppression(
            environment: environment, address: address, reason: reason, createdAt: createdAt,
            message: row.integer(4).flatMap(MessageID.init(rawValue:)), note: row.text(5))
    }

    /// The entries for addresses, if there are any.
    static func find(
        _ addresses: [String], _ environment: Environment, in connection: Connection
    ) throws -> ListedAddresses {
        guard !addresses.isEmpty else { return ListedAddresses([]) }
        return ListedAddresses(
            try connection.rows(
                "SELECT \(columns), match_key FROM suppression WHERE environment = $1 AND match_key = ANY ($2)",
                [environment.rawValue, addresses.map(Suppression.matchKey)]
            ) { row in (row.text(6) ?? "", try suppression(row)) })
    }

    /// Adds entries to the list. Returns how many addresses are new there. An existing entry gets the stronger of the
    /// two reasons.
    static func add(_ suppressions: [Suppression], in connection: Connection) throws -> Int {
        guard !suppressions.isEmpty else { return 0 }
        let entries = merged(suppressions)
        let parameters: [any ParameterValue] = [
            entries.map(\.environment.rawValue), entries.map { Suppression.matchKey($0.address) },
            entries.map(\.address), entries.map(\.reason.rawValue), entries.map(\.createdAt),
            entries.map { $0.message?.rawValue }, entries.map(\.note),
        ]
        // In one order, so that two relays do not wait for each other.
        let insert = """
            INSERT INTO suppression AS listed (environment, match_key, address, reason, created_at, message, note)
            SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)
                AS told (environment, match_key, address, reason, created_at, message, note)
            ORDER BY environment COLLATE "C", match_key COLLATE "C"
            """
        let new = try connection.execute(insert + " ON CONFLICT (environment, match_key) DO NOTHING", parameters)
        guard new < entries.count else { return new }
        try connection.queue(
            insert + """
                 ON CONFLICT (environment, match_key) DO UPDATE
                SET reason = excluded.reason, message = excluded.message, note = excluded.note
                WHERE array_position($8, excluded.reason) > array_position($8, listed.reason)
                """, parameters + [byWeight.map(\.rawValue)])
        return new
    }

    /// The reasons in order of strength, the strongest last.
    private static let byWeight = SuppressionReason.allCases.sorted { one, other in
        one != other && Suppression.weightier(one, other) == other
    }

    /// One entry for each address: the result of adding the given entries one after the other.
    private static func merged(_ suppressions: [Suppression]) -> [Suppression] {
        struct Key: Hashable {
            var environment: Environment
            var address: [UInt8]
        }
        var merged: [Suppression] = []
        var places: [Key: Int] = [:]
        for entry in suppressions {
            let key = Key(environment: entry.environment, address: Array(Suppression.matchKey(entry.address).utf8))
            guard let place = places[key] else {
                places[key] = merged.count
                merged.append(entry)
                continue
            }
            let reason = Suppression.weightier(merged[place].reason, entry.reason)
            guard reason != merged[place].reason else { continue }
            (merged[place].reason, merged[place].message, merged[place].note) = (reason, entry.message, entry.note)
        }
        return merged
    }

    /// The number of entries by environment and reason.
    static func counts(in connection: Connection) throws -> [Environment: [SuppressionReason: Int]] {
        var counts: [Environment: [SuppressionReason: Int]] = [:]
        for case (let environment?, let reason?, let count) in try connection.rows(
            "SELECT environment, reason, count(*) FROM suppression GROUP BY environment, reason", [],
            { row in
                (
                    row.text(0).flatMap(Environment.init), row.text(1).flatMap(SuppressionReason.init),
                    Int(row.integer(2) ?? 0)
                )
            })
        {
            counts[environment, default: [:]][reason] = count
        }
        return counts
    }

    static func hasAny(_ environment: Environment, in connection: Connection) throws -> Bool {
        try connection.isTrue(
            "SELECT EXISTS (SELECT 1 FROM suppression WHERE environment = $1)", [environment.rawValue])
    }
}
