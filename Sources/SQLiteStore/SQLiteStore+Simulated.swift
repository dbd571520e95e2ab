import GRDB
import RelayCore
import Synchronization

/// The bodies of test keys' messages, which are bounded in all: the row of the table `simulated_bodies`.
enum SimulatedBodies {
    /// Octets that a relay may have accepted without having counted them. So much more than the limit can be there; and a relay
    /// that is killed leaves so much uncounted at most.
    static let mostUncounted = 1 << 20

    /// Returns what they take together by now, in octets.
    @discardableResult
    static func add(_ bytes: Int, in database: Database) throws -> Int {
        let statement = try DirectStatement(
            database, "UPDATE simulated_bodies SET bytes = MAX(0, bytes + ?) WHERE id = 1 RETURNING bytes")
        statement.bind(Int64(bytes), at: 1)
        return try statement.firstInteger().map { Int($0) } ?? 0
    }

    /// Milliseconds within which an end is on record.
    private static let settlingTime: Int64 = 5000

    struct Dropping {
        /// In the spool, to be removed.
        var spooled: [String] = []
        /// Whether there is more to be dropped at once.
        var isUnfinished = false
    }

    /// Drops the bodies that ended first, until all take no more than `limit` octets together, a bounded number at a time.
    ///
    /// What has ended is gone through in its order, by the index over it, and each delivery is looked at once: the place is
    /// kept. A message of which something has not ended keeps its body, and is met again when that ends. After a clock that
    /// was ahead, the place is ahead of what ends now; then it all begins again.
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
        // What ended a moment ago may not be on record yet: it must not come to lie behind the place.
        let settled = now.milliseconds - settlingTime
        if !dropping.isUnfinished, place.endedAt > settled { place = (settled, 0) }
        try database.execute(
            sql: "UPDATE simulated_bodies SET bytes = ?, ended_at = ?, delivery = ? WHERE id = 1",
            arguments: [max(0, bytes), place.endedAt, place.delivery])
        return dropping
    }

    /// The next that have ended, from a place on: of all states in which a test message keeps its body.
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
    /// Drops what is too much of simulated bodies, a batch. Returns whether more is to be dropped at once.
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

    /// Begins to drop what is too much, unless that is under way: mail may come faster than ``prune(_:now:)`` is called.
    func dropSimulatedSoon() {
        let before = simulatedDropper.exchange(SimulatedDropper.called.rawValue, ordering: .acquiringAndReleasing)
        guard before == SimulatedDropper.idle.rawValue else { return }
        Task {
            var isDone = false
            while !isDone {
                simulatedDropper.store(SimulatedDropper.atWork.rawValue, ordering: .releasing)
                // What fails here is tried again with the next batch, and reported by who prunes.
                while (try? await dropSimulated(now: SystemClock().now())) == true {}
                // Unless somebody called meanwhile.
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
    /// Has looked, or is about to.
    case atWork
    /// Must look once more.
    case called
}
