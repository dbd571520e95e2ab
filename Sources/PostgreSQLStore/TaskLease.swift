import RelayCore

/// Work that one relay at a time does for all: a row of the table `task`, which says which relay has it until when, by
/// the server's clock.
enum TaskLease {
    static let prune = "prune"

    /// For how long the lease is taken or renewed.
    private static let duration = Duration.seconds(60)

    /// Takes or renews the lease. Returns false if another living relay has it. Runs in its own transaction, so that
    /// others need not wait.
    ///
    /// - Parameter node: 0 for tools, whose lease excludes no other process.
    static func take(_ name: String, for node: Int64, in connection: Connection) throws -> Bool {
        let until = "\(NodeRow.now) + \(NodeRow.milliseconds(duration))"
        return try connection.isTrue(
            """
            INSERT INTO task AS held (name, node, until) VALUES ($1, $2, \(until))
            ON CONFLICT (name) DO UPDATE SET node = excluded.node, until = excluded.until
            WHERE held.node = excluded.node OR held.until < \(NodeRow.now)
                OR NOT EXISTS (SELECT 1 FROM node WHERE id = held.node AND \(NodeRow.isAlive))
            RETURNING true
            """, [name, node])
    }
}
