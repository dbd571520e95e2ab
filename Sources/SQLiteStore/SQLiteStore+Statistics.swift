import GRDB
import RelayCore

extension SQLiteStore: StatisticsStore {
    public func statistics(_ filter: StatisticsFilter, now: Timestamp) async throws -> [NamedStatistics] {
        var conditions = ["statistic.kind = :kind", "day > :today - 30", "day <= :today"]
        var arguments: StatementArguments = [
            "kind": filter.kind.rawValue, "today": now.day.number, "limit": max(filter.limit, 0),
        ]
        if let name = filter.name {
            conditions.append("statistic.name = :name")
            arguments += ["name": name]
        }
        if let key = filter.key {
            conditions.append("statistic.key = :key")
            arguments += ["key": key.text]
        }
        if let environment = filter.environment {
            conditions.append("(SELECT environment FROM key WHERE key.id = statistic.key) = :environment")
            arguments += ["environment": environment.rawValue]
        }
        if let after = filter.after {
            conditions.append("statistic.name > :after")
            arguments += ["after": after]
        }
        let sums = StatisticRow.days.map { days in
            StatisticRow.counts.map { "SUM(CASE WHEN day > :today - \(days) THEN \($0) ELSE 0 END)" }
                .joined(separator: ", ")
        }
        let sql = """
            SELECT statistic.name, \(sums.joined(separator: ", ")) FROM statistic
            WHERE \(conditions.joined(separator: " AND ")) GROUP BY statistic.name ORDER BY statistic.name LIMIT :limit
            """
        return try await read { [arguments] database in
            try Row.fetchAll(database, sql: sql, arguments: arguments).map { row in
                func counts(_ first: Int) -> RecipientCounts {
                    RecipientCounts(
                        sent: row[first], delivered: row[first + 1], bounced: row[first + 2], complained: row[first + 3]
                    )
                }
                return NamedStatistics(
                    name: row[0],
                    statistics: MessageStatistics(today: counts(1), days7: counts(5), days30: counts(9)))
            }
        }
    }
}

/// Reads and writes the table `statistic`.
enum StatisticRow {
    static let counts = ["sent", "delivered", "bounced", "complained"]
    /// The periods that are reported, in days.
    static let days = [1, 7, 30]

    /// Adds the counts of a transaction.
    static func add(_ counter: StatisticsCounter, in database: Database) throws {
        let add = try DirectStatement(
            database,
            """
            UPDATE statistic SET \(counts.enumerated().map { "\($1) = \($1) + ?\($0 + 5)" }.joined(separator: ", "))
            WHERE key = ?1 AND kind = ?2 AND day = ?3 AND name = ?4
            """)
        for (place, counts) in counter.rows {
            bind(place, counts, to: add)
            try add.run()
            guard database.changesCount == 0 else { continue }
            try insert(hasRoom(place, in: database) ? place : place.others, counts, in: database)
        }
    }

    private static func hasRoom(_ place: StatisticsCounter.Place, in database: Database) throws -> Bool {
        let count = try DirectStatement(
            database, "SELECT COUNT(*) FROM statistic WHERE key = ? AND kind = ? AND day = ?")
        count.bind(place.key.text, at: 1)
        count.bind(place.kind.rawValue, at: 2)
        count.bind(place.day.number, at: 3)
        return try count.firstInteger() ?? 0 < Int64(StatisticsKind.mostNames)
    }

    private static func insert(
        _ place: StatisticsCounter.Place, _ counted: RecipientCounts, in database: Database
    ) throws {
        let insert = try DirectStatement(
            database,
            """
            INSERT INTO statistic (key, kind, day, name, \(counts.joined(separator: ", ")))
            VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, kind, day, name)
            DO UPDATE SET \(counts.map { "\($0) = \($0) + excluded.\($0)" }.joined(separator: ", "))
            """)
        bind(place, counted, to: insert)
        try insert.run()
    }

    private static func bind(
        _ place: StatisticsCounter.Place, _ counts: RecipientCounts, to statement: DirectStatement
    ) {
        statement.bind(place.key.text, at: 1)
        statement.bind(place.kind.rawValue, at: 2)
        statement.bind(place.day.number, at: 3)
        statement.bind(place.name, at: 4)
        statement.bind(Int64(counts.sent), at: 5)
        statement.bind(Int64(counts.delivered), at: 6)
        statement.bind(Int64(counts.bounced), at: 7)
        statement.bind(Int64(counts.complained), at: 8)
    }

    /// Deletes a limited number of rows that are no longer kept. Returns whether there may be more.
    static func prune(now: Timestamp, in database: Database) throws -> Bool {
        try database.cachedStatement(
            sql: """
                DELETE FROM statistic WHERE (key, kind, day, name) IN (
                    SELECT key, kind, day, name FROM statistic WHERE day <= ? LIMIT ?)
                """
        ).execute(arguments: [now.day.number - StatisticsKind.keptDays, SQLiteStore.pruneBatch])
        return database.changesCount == SQLiteStore.pruneBatch
    }
}
