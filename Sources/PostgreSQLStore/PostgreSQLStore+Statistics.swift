import RelayCore

extension PostgreSQLStore: StatisticsStore {
    public func statistics(_ filter: StatisticsFilter, now: Timestamp) async throws -> [NamedStatistics] {
        var conditions = ["statistic.kind = $1", "day > $2 - 30", "day <= $2"]
        var parameters: [any ParameterValue] = [filter.kind.rawValue, now.day.number, max(filter.limit, 0)]
        func parameter(_ value: any ParameterValue) -> String {
            parameters.append(value)
            return "$\(parameters.count)"
        }
        if let name = filter.name { conditions.append("statistic.name = \(parameter(name))") }
        if let key = filter.key { conditions.append("statistic.key = \(parameter(key.text))") }
        if let environment = filter.environment {
            conditions.append(
                "(SELECT environment FROM key WHERE key.id = statistic.key) = \(parameter(environment.rawValue))")
        }
        if let after = filter.after { conditions.append("statistic.name > \(parameter(after))") }
        let sums = [1, 7, 30].flatMap { days in
            StatisticRow.counts.map { "coalesce(sum(\($0)) FILTER (WHERE day > $2 - \(days)), 0)::bigint" }
        }
        let sql = """
            SELECT statistic.name, \(sums.joined(separator: ", ")) FROM statistic
            WHERE \(conditions.joined(separator: " AND ")) GROUP BY statistic.name ORDER BY statistic.name LIMIT $3
            """
        return try await look { [parameters] connection in
            try connection.rows(sql, parameters) { row in
                func number(_ column: CInt) -> Int { Int(row.integer(column) ?? 0) }
                func counts(_ first: CInt) -> RecipientCounts {
                    RecipientCounts(
                        sent: number(first), delivered: number(first + 1), bounced: number(first + 2),
                        complained: number(first + 3))
                }
                return NamedStatistics(
                    name: row.text(0) ?? "",
                    statistics: MessageStatistics(today: counts(1), days7: counts(5), days30: counts(9)))
            }
        }
    }
}

/// Reads and writes the table `statistic`. Each relay has its own rows.
enum StatisticRow {
    static let counts = ["sent", "delivered", "bounced", "complained"]

    /// Queues the statement that adds the counts of a transaction, in the order of the keys.
    ///
    /// A name without a row for the day gets one while there is room. Relays that add at the same time do not wait for
    /// each other, so there may be a few more names than ``StatisticsKind/mostNames``.
    ///
    /// - Parameter node: the node whose rows are changed; 0 for a tool.
    static func queueAdd(_ counter: StatisticsCounter, node: Int64, in connection: Connection) throws {
        let rows = counter.rows
        guard !rows.isEmpty else { return }
        let names = counts.joined(separator: ", ")
        try connection.queue(
            """
            WITH told AS (
                SELECT key, kind, day, name, \(names),
                    EXISTS (SELECT 1 FROM statistic WHERE statistic.key = given.key AND statistic.kind = given.kind
                        AND statistic.day = given.day AND statistic.name = given.name) AS is_known
                FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) AS given (key, kind, day, name, \(names))
            ),
            placed AS (
                SELECT key, kind, day, \(names), CASE WHEN is_known OR
                    row_number() OVER (PARTITION BY key, kind, day, is_known ORDER BY name COLLATE "C") + (
                        SELECT count(DISTINCT statistic.name) FROM statistic WHERE statistic.key = told.key
                            AND statistic.kind = told.kind AND statistic.day = told.day) <= $10
                    THEN name ELSE '' END AS name
                FROM told
            )
            INSERT INTO statistic (node, key, kind, day, name, \(names))
            SELECT $1, key, kind, day, name, \(counts.map { "sum(\($0))::bigint" }.joined(separator: ", "))
            FROM placed GROUP BY key, kind, day, name
            ORDER BY key COLLATE "C", kind COLLATE "C", day, name COLLATE "C"
            ON CONFLICT (key, kind, day, name, node)
            DO UPDATE SET \(CountRows.adding(counts, to: "statistic"))
            """,
            [
                node, rows.map(\.place.key.text), rows.map(\.place.kind.rawValue), rows.map(\.place.day.number),
                rows.map(\.place.name), rows.map(\.counts.sent), rows.map(\.counts.delivered),
                rows.map(\.counts.bounced), rows.map(\.counts.complained), StatisticsKind.mostNames,
            ])
    }

    /// Deletes a limited number of rows that are no longer kept. Returns whether there may be more.
    static func prune(now: Timestamp, in connection: Connection) throws -> Bool {
        let removed = try connection.execute(
            """
            DELETE FROM statistic USING (
                SELECT key, kind, day, name, node FROM statistic WHERE day <= $1 LIMIT $2
            ) AS gone
            WHERE (statistic.key, statistic.kind, statistic.day, statistic.name, statistic.node)
                = (gone.key, gone.kind, gone.day, gone.name, gone.node)
            """, [now.day.number - StatisticsKind.keptDays, PostgreSQLStore.pruneBatch])
        return removed == PostgreSQLStore.pruneBatch
    }
}
