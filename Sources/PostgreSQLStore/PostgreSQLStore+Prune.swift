import RelayCore
import Synchronization

extension PostgreSQLStore {
    public func prune(_ retention: Retention, now: Timestamp) async throws -> Bool {
        let node = membership?.place?.node ?? 0
        // Two relays at a time would be correct too, but one would wait for the other's locks and then find nothing.
        guard try await write({ try TaskLease.take(TaskLease.prune, for: node, in: $0) }) else { return false }
        let hasMoreMessages = try await write { try Pruning(retention, now: now).removeMessages(in: $0) }
        let hasMoreSimulated = try await dropSimulated(now: now)
        let hasMoreToForget = try await forget(now: now)
        let hasMoreLeftBehind = try await write { try Pruning.removeLeftBehind(in: $0) }
        let hasMoreStatistics = try await write { try StatisticRow.prune(now: now, in: $0) }
        let hasMoreCounts = try await write { try CountRows.merge(now: now, in: $0) }
        return hasMoreMessages || hasMoreSimulated || hasMoreToForget || hasMoreLeftBehind || hasMoreStatistics
            || hasMoreCounts
    }

    /// The deliveries of a state that are examined in one transaction.
    static let pruneBatch = 500

    /// Continues the search for rows of the table `repeat` that may be deleted, one piece of the table per call.
    /// Returns whether there is more to examine.
    ///
    /// The search goes in the order of the fingerprints, for which there is an index anyway. An index by age would cost
    /// one write per message.
    private func forget(now: Timestamp) async throws -> Bool {
        let start = forgetPosition.withLock { $0 }
        let last = try await write { try Pruning.forget(after: start, now: now, in: $0) }
        forgetPosition.withLock { $0 = last ?? [] }
        return last != nil
    }
}

/// Deletes a limited number of records that are no longer kept.
struct Pruning {
    private let cutoffs: [(state: DeliveryState, before: Timestamp)]

    init(_ retention: Retention, now: Timestamp) {
        cutoffs = [
            (.sent, now - retention.sent), (.simulated, now - retention.simulated),
            (.failed, now - retention.failed), (.cancelled, now - retention.failed),
            (.suppressed, now - retention.failed),
        ]
    }

    // MARK: Messages

    private struct Delivery {
        var id: Int64
        var message: Int64
        var state: DeliveryState?
        var endedAt: Timestamp?
    }

    /// Deletes messages with all their data. Returns whether there may be more.
    func removeMessages(in connection: Connection) throws -> Bool {
        let (candidates, isMore) = try candidates(in: connection)
        guard !candidates.isEmpty else { return false }
        // The deliveries are locked in one order, and checked in their present state: an operator may have queued some
        // of them again in the meantime.
        let deliveries = try connection.rows(
            "SELECT id, message, state, ended_at FROM delivery WHERE message = ANY ($1) ORDER BY id FOR UPDATE",
            [candidates]
        ) { row in
            Delivery(
                id: row.integer(0) ?? 0, message: row.integer(1) ?? 0, state: row.text(2).flatMap(DeliveryState.init),
                endedAt: row.timestamp(3))
        }
        let kept = Set(deliveries.filter { !mayGo($0) }.map(\.message))
        let going = deliveries.filter { !kept.contains($0.message) }
        try Pruning.remove(Set(going.map(\.message)).sorted(), deliveries: going.map(\.id), in: connection)
        return isMore
    }

    private func mayGo(_ delivery: Delivery) -> Bool {
        guard let endedAt = delivery.endedAt else { return false }
        return cutoffs.contains { $0.state == delivery.state && endedAt < $0.before }
    }

    /// Messages whose deliveries have all ended and are no longer kept.
    private func candidates(in connection: Connection) throws -> (messages: [Int64], isMore: Bool) {
        let kept = cutoffs.enumerated().map { index, cutoff in
            "(other.state = '\(cutoff.state.rawValue)' AND other.ended_at >= $\(index + 2))"
        }.joined(separator: " OR ")
        let parameters: [any ParameterValue] = [PostgreSQLStore.pruneBatch] + cutoffs.map(\.before)
        for (index, cutoff) in cutoffs.enumerated() {
            // A message is deleted as a whole, when its last delivery may be deleted.
            try connection.queue(
                """
                SELECT message FROM delivery
                WHERE state = '\(cutoff.state.rawValue)' AND ended_at IS NOT NULL AND ended_at < $\(index + 2)
                    AND NOT EXISTS (
                        SELECT 1 FROM delivery AS other WHERE other.message = delivery.message
                        AND (other.ended_at IS NULL OR \(kept)))
                ORDER BY ended_at, id LIMIT $1
                """, parameters)
        }
        let found = try connection.results().suffix(cutoffs.count)
        return (
            Set(found.flatMap { rows in rows.map { $0.integer(0) ?? 0 } }).sorted(),
            found.contains { $0.count == PostgreSQLStore.pruneBatch }
        )
    }

    private static func remove(_ messages: [Int64], deliveries: [Int64], in connection: Connection) throws {
        guard !messages.isEmpty else { return }
        try WordsRow.lock(in: connection)
        let tests = try connection.rows(
            "SELECT id FROM message WHERE id = ANY ($1) AND lane = 'test'", [messages]
        ) { $0.integer(0) ?? 0 }
        if !tests.isEmpty {
            // While this row is locked, no other process deletes a simulated body, so that the count stays correct.
            try connection.queue("SELECT 1 FROM simulated_bodies FOR UPDATE")
            let simulated = try connection.integer(
                "SELECT sum(size)::bigint FROM message WHERE id = ANY ($1) AND \(RecordRow.hasBody)", [tests])
            if let simulated { try SimulatedBodies.add(-Int(simulated), in: connection) }
        }
        try connection.queue(
            """
            DELETE FROM tag USING (
                SELECT id, key, unnest(string_to_array(tags, E'\\n')) AS tag FROM message
                WHERE id = ANY ($1) AND tags IS NOT NULL
            ) AS gone
            WHERE tag.key = gone.key AND tag.tag = gone.tag AND tag.message = gone.id
            """, [messages])
        try connection.queue("DELETE FROM attempt WHERE delivery = ANY ($1)", [deliveries])
        try connection.queue("DELETE FROM delivery WHERE id = ANY ($1)", [deliveries])
        for table in ["body", "event", "undelivered", "message_words"] {
            try connection.queue("DELETE FROM \(table) WHERE message = ANY ($1)", [messages])
        }
        try connection.queue("DELETE FROM message WHERE id = ANY ($1)", [messages])
    }

    // MARK: Repeats

    /// The rows of the table repeat that are examined in one transaction.
    static let forgetBatch = 5000

    /// Examines the next rows of the table `repeat`, and deletes those that are too old. Returns the last examined
    /// fingerprint; nil if the end of the table was reached.
    static func forget(after start: [UInt8], now: Timestamp, in connection: Connection) throws -> [UInt8]? {
        let oldest = now - Fingerprint.memory
        let last =
            try connection.first(
                "SELECT fingerprint FROM repeat WHERE fingerprint > $1 ORDER BY fingerprint LIMIT 1 OFFSET $2",
                [Bytes(start), forgetBatch - 1]
            ) { $0.bytes(0) } ?? nil
        // A message's id shows its age, so the message itself is usually not read. It is read only if the id is ahead
        // of the clock, which may have been set back. If another transaction reuses a row in the meantime, the server
        // checks the row again, and it stays.
        try connection.queue(
            """
            DELETE FROM repeat WHERE fingerprint > $1 AND fingerprint <= $2 AND (
                accepted_at IS NULL AND (message < $3 OR message > $4 AND NOT EXISTS (
                    SELECT 1 FROM message WHERE id = repeat.message AND accepted_at >= $5))
                OR accepted_at < $5)
            """,
            [
                Bytes(start), Bytes(last ?? endOfFingerprints), MessageID.first(at: oldest),
                MessageID.first(at: now + Fingerprint.memory), oldest,
            ])
        return last
    }

    /// A value after all fingerprints, which have 16 octets.
    private static let endOfFingerprints = [UInt8](repeating: 0xFF, count: 17)

    // MARK: Nodes

    /// The bodies of stopped relays that are examined in one transaction. Each may have 25 MB.
    private static let bodiesAtATime = 20

    /// Deletes what dead relays have left: incomplete bodies, and the status of their lanes. Returns whether there may
    /// be more.
    ///
    /// A dead relay never returns under its node id, and accepts nothing. So if a body's row is locked, a relay that
    /// renewed its place in time is accepting the body, or another process is deleting it. Such a body is skipped.
    static func removeLeftBehind(in connection: Connection) throws -> Bool {
        let staged = try connection.rows(
            """
            SELECT message FROM staged_body
            WHERE NOT EXISTS (SELECT 1 FROM node WHERE node.id = staged_body.node AND NOT is_dead)
            ORDER BY message LIMIT $1 FOR UPDATE SKIP LOCKED
            """, [bodiesAtATime]
        ) { $0.integer(0) ?? 0 }
        if !staged.isEmpty {
            try connection.queue(
                """
                DELETE FROM body WHERE message = ANY ($1)
                    AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = body.message)
                """, [staged])
            try connection.queue("DELETE FROM staged_body WHERE message = ANY ($1)", [staged])
        }
        try connection.queue(
            """
            DELETE FROM lane_status WHERE node <> 0
                AND NOT EXISTS (SELECT 1 FROM node WHERE node.id = lane_status.node AND NOT is_dead)
            """)
        return staged.count == bodiesAtATime
    }
}
