import RelayCore
import Synchronization

/// The bodies of test keys' messages, whose total size is limited: the row of the table `simulated_bodies`.
enum SimulatedBodies {
    /// The most octets that a relay may have accepted but not counted yet. The total can exceed the limit by this much
    /// for each relay, and a relay that is killed leaves at most this much uncounted.
    static let mostUncounted = 1 << 20

    /// Adds octets to the total size, or subtracts them if `bytes` is negative. Returns the new total in octets. The
    /// row stays locked until the transaction ends.
    @discardableResult
    static func add(_ bytes: Int, in connection: Connection) throws -> Int {
        Int(
            try connection.integer(
                "UPDATE simulated_bodies SET bytes = greatest(0, bytes + $1) RETURNING bytes", [bytes]) ?? 0)
    }

    /// The time in milliseconds within which the end of a delivery is recorded: as long as a transaction may take.
    private static let settlingTime: Int64 = 20_000

    /// Deletes the bodies of messages that ended first, until the total is at most `limit` octets. One call deletes a
    /// limited number. Returns whether there is more to delete at once.
    ///
    /// It goes through ended deliveries in the order in which they ended, by an index. It stores its position, so each
    /// delivery is examined once. A message keeps its body until all its deliveries have ended, and is found again when
    /// the last one ends. If the position is later than `now`, because the clock was ahead, the search starts again
    /// from the beginning. Several relays do this one after the other, because the row is locked.
    static func drop(downTo limit: Int, now: Timestamp, in connection: Connection) throws -> Bool {
        let row = try connection.first("SELECT bytes, ended_at, delivery FROM simulated_bodies FOR UPDATE") { row in
            (bytes: Int(row.integer(0) ?? 0), place: (endedAt: row.integer(1) ?? 0, delivery: row.integer(2) ?? 0))
        }
        guard var (bytes, place) = row, bytes > limit else { return false }
        if place.endedAt > now.milliseconds { place = (0, 0) }
        let ended = try ended(after: place, in: connection)
        var sizes = try droppable(Set(ended.filter { $0.lane == .test }.map(\.message)), in: connection)
        var dropped: [Int64] = []
        for delivery in ended where bytes > limit {
            place = (delivery.endedAt, delivery.id)
            guard let size = sizes.removeValue(forKey: delivery.message) else { continue }
            dropped.append(delivery.message)
            bytes -= size
        }
        try connection.queue("DELETE FROM body WHERE message = ANY ($1)", [dropped])
        let isUnfinished = bytes > limit && ended.count == PostgreSQLStore.pruneBatch
        // A delivery that ended a moment ago may not be recorded yet. The position must not pass it.
        let settled = now.milliseconds - settlingTime
        if !isUnfinished, place.endedAt > settled { place = (settled, 0) }
        try connection.queue(
            "UPDATE simulated_bodies SET bytes = $1, ended_at = $2, delivery = $3",
            [max(0, bytes), place.endedAt, place.delivery])
        return isUnfinished
    }

    private struct Ended {
        var id: Int64
        var message: Int64
        var lane: Lane?
        var endedAt: Int64
    }

    /// The next ended deliveries after a position, in all states in which a test message keeps its body.
    private static func ended(
        after place: (endedAt: Int64, delivery: Int64), in connection: Connection
    ) throws -> [Ended] {
        try connection.rows(next, [place.endedAt, place.delivery, PostgreSQLStore.pruneBatch]) { row in
            Ended(
                id: row.integer(0) ?? 0, message: row.integer(1) ?? 0, lane: row.text(2).flatMap(Lane.init(rawValue:)),
                endedAt: row.integer(3) ?? 0)
        }
    }

    private static let next =
        [DeliveryState.simulated, .failed, .suppressed, .cancelled].map { state in
            """
            (SELECT id, message, lane, ended_at FROM delivery
                WHERE state = '\(state.rawValue)' AND ended_at IS NOT NULL AND (ended_at, id) > ($1, $2)
                ORDER BY ended_at, id LIMIT $3)
            """
        }.joined(separator: " UNION ALL ") + " ORDER BY ended_at, id LIMIT $3"

    /// The sizes of bodies that may be deleted, by message.
    private static func droppable(_ messages: Set<Int64>, in connection: Connection) throws -> [Int64: Int] {
        guard !messages.isEmpty else { return [:] }
        let sizes = try connection.rows(
            """
            SELECT id, size FROM message
            WHERE id = ANY ($1) AND \(RecordRow.hasBody)
                AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id AND ended_at IS NULL)
            """, [messages.sorted()]
        ) { ($0.integer(0) ?? 0, Int($0.integer(1) ?? 0)) }
        return Dictionary(sizes) { first, _ in first }
    }
}

extension PostgreSQLStore {
    /// Deletes a batch of simulated bodies if their total size is above the limit. Returns whether there is more to
    /// delete at once.
    func dropSimulated(now: Timestamp) async throws -> Bool {
        let limit = storage.simulatedSize
        let uncounted = uncountedBodies.exchange(0, ordering: .relaxed)
        do {
            return try await write { connection in
                if uncounted > 0 { try SimulatedBodies.add(uncounted, in: connection) }
                return try SimulatedBodies.drop(downTo: limit, now: now, in: connection)
            }
        } catch {
            uncountedBodies.wrappingAdd(uncounted, ordering: .relaxed)
            throw error
        }
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
                while (try? await dropSimulated(now: serverClock.now())) == true {}
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
