import RelayCore

extension PostgreSQLStore: RelayStore {
    /// The server's clock.
    public var clock: (any RelayClock)? { serverClock }

    /// The relays that are alive, and two kinds of ended relays: those that still hold deliveries, and those that ended
    /// within the last 10 minutes and were not started again since.
    public func nodes(now: Timestamp) async throws -> [NodeRecord] {
        try await look { connection in
            try connection.rows(
                """
                SELECT name, number, started_at, seen_at, \(NodeRow.isAlive), version, clock_offset FROM node
                WHERE \(NodeRow.isAlive) OR \(NodeRow.holdsDeliveries)
                    OR seen_at > \(NodeRow.now) - 600000 AND NOT EXISTS (
                        SELECT 1 FROM node AS later WHERE later.name = node.name AND later.id > node.id
                            AND later.started_at >= node.seen_at)
                ORDER BY name, id
                """
            ) { row in
                NodeRecord(
                    name: row.text(0) ?? "", number: row.integer(1) ?? 0,
                    startedAt: row.timestamp(2) ?? now, lastSeenAt: row.timestamp(3) ?? now,
                    isLive: row.boolean(4) ?? false, version: row.text(5) ?? "",
                    clockOffset: row.integer(6).map { .milliseconds($0) })
            }
        }
    }
}
