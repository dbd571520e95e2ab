import RelayCore

/// Merges the rows of past days, so that there is one row for each day and each key or environment.
enum CountRows {
    private struct Table {
        var name: String
        var owner: String
        /// The columns that are added up.
        var sums: [String]
        /// The column of which the latest value is kept.
        var latest: String?
    }

    /// The columns of ``FeedbackCounts``.
    static let feedback = ["deliveries", "bounces", "hard_bounces", "complaints"]

    private static let tables = [
        Table(name: "usage", owner: "key", sums: ["emails", "messages"] + feedback, latest: "last_at"),
        Table(name: "feedback_by_day", owner: "environment", sums: feedback),
    ]

    /// The assignments of ON CONFLICT DO UPDATE that add the new values to those of an existing row.
    static func adding(_ columns: [String], to table: String) -> String {
        columns.map { "\($0) = \(table).\($0) + excluded.\($0)" }.joined(separator: ", ")
    }

    /// The days whose rows are merged, as numbers of days before today. The rows of today and yesterday still change
    /// often. Rows of older days stay unmerged if no relay ran in time; they are read correctly too.
    static let mergedDays: ClosedRange<Int64> = 2...9

    /// The rows that are merged in one transaction.
    static let mergeBatch = 500

    /// Merges a limited number of rows into those of node 0, slot 0. Returns whether there may be more.
    static func merge(now: Timestamp, in connection: Connection) throws -> Bool {
        var isMore = false
        for table in tables {
            let latest = table.latest.map { [$0] } ?? []
            let columns = (table.sums + latest).joined(separator: ", ")
            let merged = table.sums.map { "sum(\($0))::bigint" } + latest.map { "max(\($0))" }
            let added =
                [CountRows.adding(table.sums, to: table.name)]
                + latest.map { "\($0) = greatest(\(table.name).\($0), excluded.\($0))" }
            // Rows that are being changed are left for the next time.
            let moved = try connection.rows(
                """
                WITH moving AS (
                    SELECT \(table.owner), day, node, slot FROM \(table.name)
                    WHERE day >= $1 AND day <= $2 AND (node <> 0 OR slot <> 0)
                    ORDER BY \(table.owner), day, node, slot LIMIT $3 FOR UPDATE SKIP LOCKED
                ),
                moved AS (
                    DELETE FROM \(table.name) AS gone USING moving
                    WHERE (gone.\(table.owner), gone.day, gone.node, gone.slot)
                        = (moving.\(table.owner), moving.day, moving.node, moving.slot)
                    RETURNING gone.*
                ),
                kept AS (
                    INSERT INTO \(table.name) (\(table.owner), day, node, slot, \(columns))
                    SELECT \(table.owner), day, 0, 0, \(merged.joined(separator: ", "))
                    FROM moved GROUP BY \(table.owner), day ORDER BY \(table.owner), day
                    ON CONFLICT (\(table.owner), day, node, slot) DO UPDATE SET \(added.joined(separator: ", "))
                )
                SELECT count(*) FROM moved
                """,
                [now.day.number - mergedDays.upperBound, now.day.number - mergedDays.lowerBound, mergeBatch]
            ) { $0.integer(0) ?? 0 }
            if moved.first == Int64(mergeBatch) { isMore = true }
        }
        return isMore
    }
}
