import GRDB
import RelayCore
import Synchronization

/// The bodies of test keys' messages, whose total size is limited: the row of the table `simulated_bodies`.
enum SimulatedBodies {
    /// The most octets that a relay may have accepted but not counted yet. The total can exceed the limit by this much,
    /// and a relay that is killed leaves at most this much uncounted.
    static let mostUncounted = 1 << 20

    /// Adds octets to the total size, or subtracts them if `bytes` is negative. Returns the new total in octets.
    @discardableResult
    static func add(_ bytes: Int, in database: Database) throws -> Int {
        let statement = try DirectStatement(
            database, "UPDATE simulated_bodies SET bytes = MAX(0, bytes + ?) WHERE id = 1 RETURNING bytes")
        statement.bind(Int64(bytes), at: 1)
        return try statement.firstInteger().map { Int($0) } ?? 0
    }

    /// The time in milliseconds within which the end of a delivery is recorded.
    private static let settlingTime: Int64 = 5000

    struct Dropping {
        /// The names of bodies in the spool that must be deleted.
        var spooled: [String] = []
        /// Whether there is more to delete at once.
        var isUnfinished = false
    }

    /// Deletes the bodies of messages that ended first, until the total is at most `limit` octets. One call deletes a
    /// limited number.
    ///
    /// It goes through ended deliveries in the order in which they ended, by an index. It stores its position, so each
    /// delivery is examined once. A message keeps its body until all its deliveries have ended, and is found again when
    /// the last one ends. If the position is later than `now`, because the clock was ahead, the search starts again
    /// from the beginning.
    static func drop(downTo limit: Int, now: Timestamp, in database: Database) throws -> Dropping {
        var dropping = Dropping()
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM simulated_bodies WHERE id = 1") else {
            return dropping
        }
        var bytes: Int = row["bytes"]
        guard bytes > limit else { return dropping }
        var place: (endedAt: Int64, delivery: Int64) = (row["ended_at"], row["delivery"])
        if place.endedAt > now.milliseconds { place = (0, 0) }
        let ended = try Row.fetchAll(
            database, sql: next, arguments: [place.endedAt, place.delivery, SQLiteStore.pruneBatch])
        for delivery in ended where bytes > limit {
            place = (delivery["ended_at"], delivery["id"])
            guard delivery["lane"] == Lane.test.rawValue,
                let message = try Row.fetchOne(
                    database.cachedStatement(sql: droppable), arguments: [delivery["message"] as Int64])
            else { continue }
            let id: Int64 = message["id"]
            try database.cachedStatement(sql: "DELETE FROM body WHERE message = ?").execute(arguments: [id])
            if let name: String = message["spooled"] {
                try database.cachedStatement(sql: "UPDATE message SET spooled = NULL WHERE id = ?")
                    .execute(arguments: [id])
                dropping.spooled.append(name)
            }
            bytes -= message["size"]
        }
        dropping.isUnfinished = bytes > limit && ended.count == SQLiteStore.pruneBatch
        // A delivery that ended a moment ago may not be recorded yet. The position must not pass it.
        let settled = now.milliseconds - settlingTime
        if !dropping.isUnfinished, place.endedAt > settled { place = (settled, 0) }
        try database.execute(
            sql: "UPDATE simulated_bodies SET bytes = ?, ended_at = ?, delivery = ? WHERE id = 1",
            arguments: [max(0, bytes), place.endedAt, place.delivery])
        return dropping
    }

    /// The next ended deliveries after a position, in all states in which a test message keeps its body.
    private static let next = """
        SELECT id, message, lane, ended_at FROM (
            SELECT * FROM (SELECT id, message, lane, ended_at FROM delivery
                WHERE state = 'simulated' AND ended_at IS NOT NULL AND (ended_at, id) > (?1, ?2)
                ORDER BY ended_at, id LIMIT ?3)
            UNION ALL
            SELECT * FROM (SELECT id, message, lane, ended_at FROM delivery
                WHERE state = 'failed' AND ended_at IS NOT NULL AND (ended_at, id) > (?1, ?2)
                ORDER BY ended_at, id LIMIT ?3)
            UNION ALL
            SELECT * FROM (SELECT id, message, lane, ended_at FROM delivery
                WHERE state = 'suppressed' AND ended_at IS NOT NULL AND (ended_at, id) > (?1, ?2)
                ORDER BY ended_at, id LIMIT ?3)
            UNION ALL
            SELECT * FROM (SELECT id, message, lane, ended_at FROM delivery
                WHERE state = 'cancelled' AND ended_at IS NOT NULL AND (ended_at, id) > (?1, ?2)
                ORDER BY ended_at, id LIMIT ?3)
        ) ORDER BY ended_at, id LIMIT ?3
        """

    private static let droppable = """
        SELECT id, size, spooled FROM message
        WHERE id = ? AND \(RecordRow.hasBody)
            AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id AND ended_at IS NULL)
        """
}

extension SQLiteStore {
    /// Deletes a batch of simulated bodies if their total size is above the limit. Returns whether there is more to
    /// delete at once.
    func dropSimulated(now: Timestamp) async throws -> Bool {
        let limit = storage.simulatedSize
        let dropping: SimulatedBodies.Dropping = try await withCheckedThrowingContinuation { continuation in
            write(
                { [self] database in
                    let uncounted = uncountedBodies.load(ordering: .relaxed)
                    if uncounted > 0 { try SimulatedBodies.add(uncounted, in: database) }
                    return try SimulatedBodies.drop(downTo: limit, now: now, in: database)
                },
                completion: { [self] result in
                    if case .success = result { uncountedBodies.store(0, ordering: .relaxed) }
                    continuation.resume(with: result)
                })
        }
        spool.remove(dropping.spooled)
        return dropping.isUnfinished
    }

    /// Starts a task that deletes simulated bodies while their total size is above the limit, unless it is running
    /// already. ``prune(_:now:)`` also deletes them, but mail may arrive faster than that function is called.
    func dropSimulatedSoon() {
        let before = simulatedDropper.exchange(SimulatedDropper.called.rawValue, ordering: .acquiringAndReleasing)
        guard before == SimulatedDropper.idle.rawValue else { return }
        Task {
            var isDone = false
            while !isDone {
                simulatedDropper.store(SimulatedDropper.atWork.rawValue, ordering: .releasing)
                // A failure here is retried with the next batch, and ``prune(_:now:)`` reports it.
                while (try? await dropSimulated(now: SystemClock().now())) == true {}
                // If there was another call in the meantime, the task searches once more.
                isDone =
                    simulatedDropper.compareExchange(
                        expected: SimulatedDropper.atWork.rawValue, desired: SimulatedDropper.idle.rawValue,
                        ordering: .acquiringAndReleasing
                    ).exchanged
            }
        }
    }
}

enum SimulatedDropper: Int {
    case idle
    /// The task has searched, or is about to search.
    case atWork
    /// The task must search once more.
    case called
}
