import Foundation
import GRDB
import RelayCore
import Synchronization

/// The key that was served last in each lane. The next claim continues after it if there are more keys than one claim
/// can serve.
final class ClaimCursor: Sendable {
    private let last = Mutex<[Lane: String]>([:])

    func key(of lane: Lane) -> String { last.withLock { $0[lane] ?? "" } }
    func served(_ key: String, in lane: Lane) { last.withLock { $0[lane] = key } }
}

extension SQLiteStore: DeliveryQueue {
    public func claim(
        lane: Lane, limit: Int, recipients: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> DeliveryClaim {
        guard limit > 0 else { return DeliveryClaim([]) }
        let holder = instance
        let cursor = claimCursor
        let senderReports = senderReports
        // First checked without a lock, because an idle lane checks every second.
        guard try await nextDue(lane: lane).map({ $0 <= now }) ?? false else { return DeliveryClaim([]) }
        let (claim, unneeded) = try await write { database in
            var claim = DeliveryClaim([])
            var writer = try ClaimWriter(lane, reports: senderReports, now: now, in: database)
            // Due deliveries whose recipients are all suppressed must not delay the deliveries after them.
            for _ in 0..<QueueRow.roundsOfClaim where claim.deliveries.count < limit {
                let room = limit - claim.deliveries.count
                let keys = try QueueRow.dueKeys(lane, after: cursor.key(of: lane), limit: room, now: now, in: database)
                let counted = claim.deliveries.reduce(0) { $0 + $1.envelope.recipients.count }
                let candidates = QueueRow.upTo(
                    recipients - counted, try QueueRow.inTurn(keys, lane: lane, limit: room, now: now, in: database))
                let kept = try writer.claim(candidates, holder: holder, leaseUntil: leaseUntil)
                // The next claim continues after the key of the last delivery, even if not every key has had its turn.
                if let last = candidates.last { cursor.served(last.delivery.key.text, in: lane) }
                claim.deliveries += kept.deliveries
                claim.suppressed += kept.suppressed
                if kept.suppressed.isEmpty { break }
            }
            try writer.events.writeCounts()
            // A simulated send reads no body.
            if lane == .live { try QueueRow.addSmallBodies(to: &claim.deliveries, in: database) }
            return (claim, writer.unneeded)
        }
        spool.remove(unneeded)
        return claim
    }

    public func extendLease(_ deliveries: [DeliveryID], until: Timestamp) async throws {
        let holder = instance
        try await write { database in
            let statement = try database.cachedStatement(
                sql: "UPDATE delivery SET lease_until = ? WHERE id = ? AND state = 'sending' AND holder = ?")
            for delivery in deliveries {
                try statement.execute(arguments: [until.milliseconds, delivery.rawValue, holder])
            }
        }
    }

    public func settle(_ batch: [Settlement]) async throws {
        let holder = instance
        let senderReports = senderReports
        let unneeded = try await write { database in
            var unneeded: [String] = []
            // The time of the batch is that of its latest outcome.
            let now = batch.map(\.finishedAt).max() ?? Timestamp(milliseconds: 0)
            var writer = EventWriter(database, reports: senderReports, now: now)
            for settlement in batch {
                if let name = try QueueRow.settle(settlement, holder: holder, &writer, in: database) {
                    unneeded.append(name)
                }
            }
            try writer.writeCounts()
            return unneeded
        }
        spool.remove(unneeded)
    }

    public func reclaimAbandoned(lane: Lane, now: Timestamp) async throws -> Int {
        let lock = instanceLock
        let own = instance
        let holders = try await read { database in
            try Int64.fetchAll(database, sql: "SELECT DISTINCT holder FROM delivery WHERE state = 'sending'")
        }
        let gone = holders.filter { $0 != own && lock?.isHeld($0) == false }
        let expired = try await read { database in
            try Bool.fetchOne(
                database,
                sql: """
                    SELECT EXISTS (SELECT 1 FROM delivery
                        WHERE state = 'sending' AND \(QueueRow.hasExpired(lane, own: own)))
                    """, arguments: [now.milliseconds]) ?? false
        }
        guard expired || !gone.isEmpty else { return 0 }
        return try await write {
            try SQLiteStore.reclaim(gone, orWhere: QueueRow.hasExpired(lane, own: own), in: $0, now: now)
        }
    }

    /// Returns deliveries to the queue: those that `holders`, which are gone, were sending, and those for which the
    /// condition `other` is true. In this condition, ?1 is the current time. Returns how many deliveries there were.
    static func reclaim(
        _ holders: [Int64], orWhere other: String = "lease_until < ?1", in database: Database, now: Timestamp
    ) throws -> Int {
        let list = holders.map(String.init).joined(separator: ", ")
        let abandoned = try Row.fetchAll(
            database,
            sql: """
                SELECT id, lane, on_return, attempts, COALESCE(claimed_at, ?1) AS started_at FROM delivery
                WHERE state = 'sending' AND (\(other) OR holder IN (\(list)))
                """, arguments: [now.milliseconds])
        for row in abandoned {
            guard let lane = Lane(rawValue: row["lane"]) else {
                throw StoreError.corrupt("a delivery's row can't be read")
            }
            let change = DeliveryChange(
                abandonedIn: lane, onReturn: DeliveryRow.onReturn(row["on_return"]), at: now)
            let id = DeliveryID(rawValue: row["id"])
            try DeliveryRow.record(
                change.attempt, of: id, after: row["attempts"],
                from: Timestamp(milliseconds: row["started_at"]), to: now, in: database)
            try DeliveryRow.apply(change, to: id, in: database)
        }
        return abandoned.count
    }

    public func nextDue(lane: Lane) async throws -> Timestamp? {
        try await read { database in
            timestamp(try DirectStatement(database, QueueStatements.of(lane).nextDue).firstInteger())
        }
    }

    public func bringForward(lane: Lane, dueAfter latest: Timestamp, now: Timestamp) async throws -> Int {
        let isLate = try await read { database in
            try QueueRow.keys(lane, in: database).contains { key in
                try Bool.fetchOne(
                    database.cachedStatement(
                        sql: """
                            SELECT EXISTS (SELECT 1 FROM delivery
                                WHERE state = 'queued' AND lane = \(lane.literal) AND key = ? AND next_attempt_at > ?
                                AND scheduled_at IS NOT next_attempt_at)
                            """), arguments: [key, latest.milliseconds]) ?? false
            }
        }
        guard isLate else { return 0 }
        return try await write { database in
            try database.execute(
                sql: """
                    UPDATE delivery SET next_attempt_at = ?
                    WHERE state = 'queued' AND lane = \(lane.literal) AND next_attempt_at > ?
                        AND scheduled_at IS NOT next_attempt_at
                    """, arguments: [now.milliseconds, latest.milliseconds])
            return database.changesCount
        }
    }

    public func body(of message: MessageID) async throws -> any StoredBody {
        enum Place: Sendable {
            case unknown, gone, inline([UInt8]), spooled(String, Int)
        }
        let place = try await read { database -> Place in
            guard
                let row = try Row.fetchOne(
                    database.cachedStatement(sql: "SELECT spooled, size FROM message WHERE id = ?"),
                    arguments: [message.rawValue])
            else { return .unknown }
            if let name: String = row["spooled"] { return .spooled(name, row["size"]) }
            let body = try Row.fetchOne(
                database.cachedStatement(sql: "SELECT bytes FROM body WHERE message = ?"),
                arguments: [message.rawValue])
            return try body.map { .inline(try $0.withUnsafeData(named: "bytes") { [UInt8]($0 ?? Data()) }) } ?? .gone
        }
        switch place {
        case .unknown: throw StoreError.noSuchMessage(message)
        case .gone: throw StoreError.bodyGone(message)
        case .inline(let bytes): return MemoryBody(bytes: bytes)
        case .spooled(let name, let size): return try await spool.body(name, size: size)
        }
    }

    public func record(_ status: LaneStatus) async throws {
        try await write { database in
            try database.execute(
                sql: """
                    INSERT INTO lane_status (lane, held_because, since, rate) VALUES (?, ?, ?, ?)
                    ON CONFLICT (lane) DO UPDATE
                    SET held_because = excluded.held_because, since = excluded.since, rate = excluded.rate
                    """,
                arguments: [status.lane.rawValue, status.heldBecause, status.since.milliseconds, status.rate])
        }
    }
}

extension Lane {
    /// The lane as it is written in a statement over deliveries.
    ///
    /// It is never a parameter: a partial index has the lane in its condition. With a parameter SQLite would prepare
    /// the statement again at each binding, because another value could make the index usable.
    var literal: String { "'\(rawValue)'" }
}

/// The statements that a lane's worker runs all the time.
struct QueueStatements: Sendable {
    /// When the first delivery is due. Goes from key to key in the index, however many deliveries each key has.
    let nextDue: String
    /// The next key after ?1 that has queued deliveries.
    let nextKey: String
    /// Whether key ?1 has a delivery that is due at ?2.
    let isDue: String
    /// Deliveries of key ?1 that are due at ?2, oldest first: at most ?3 of them, after the first ?4.
    let inTurn: String

    private static let live = QueueStatements(.live)
    private static let test = QueueStatements(.test)

    static func of(_ lane: Lane) -> QueueStatements {
        switch lane {
        case .live: live
        case .test: test
        }
    }

    private init(_ lane: Lane) {
        let queued = "delivery.state = 'queued' AND delivery.lane = \(lane.literal)"
        nextDue = """
            WITH RECURSIVE queued (key) AS (
                SELECT MIN(key) FROM delivery WHERE \(queued)
                UNION ALL
                SELECT (SELECT MIN(key) FROM delivery WHERE \(queued) AND delivery.key > queued.key)
                FROM queued WHERE queued.key IS NOT NULL
            )
            SELECT MIN((SELECT MIN(next_attempt_at) FROM delivery WHERE \(queued) AND delivery.key = queued.key))
            FROM queued WHERE queued.key IS NOT NULL
            """
        nextKey = "SELECT MIN(key) FROM delivery WHERE \(queued) AND key > ?1"
        isDue = "SELECT EXISTS (SELECT 1 FROM delivery WHERE \(queued) AND key = ?1 AND next_attempt_at <= ?2)"
        inTurn = """
            SELECT delivery.id, delivery.message, delivery.key, recipients, attempts, pauses, maybe_duplicate,
                queued_since, suppressed, message.reverse_path, message.size
            FROM delivery JOIN message ON message.id = delivery.message
            WHERE \(queued) AND delivery.key = ?1 AND next_attempt_at <= ?2
            ORDER BY next_attempt_at, delivery.id LIMIT ?3 OFFSET ?4
            """
    }
}

extension DirectStatement {
    /// The result of ``QueueStatements/nextKey``.
    fileprivate func key(after other: String) throws -> String? {
        bind(other, at: 1)
        return try first { $0.text(0) } ?? nil
    }
}

/// Reads and writes the table `delivery` for the worker.
enum QueueRow {
    /// All keys with queued deliveries, in order. Goes from key to key in the index, however many deliveries each key
    /// has.
    static func keys(_ lane: Lane, in database: Database) throws -> [String] {
        let next = try DirectStatement(database, QueueStatements.of(lane).nextKey)
        var found: [String] = []
        while let key = try next.key(after: found.last ?? "") { found.append(key) }
        return found
    }

    /// At most `limit` keys with due deliveries: those after `cursor` first, then from the beginning.
    static func dueKeys(
        _ lane: Lane, after cursor: String, limit: Int, now: Timestamp, in database: Database
    ) throws -> [String] {
        let next = try DirectStatement(database, QueueStatements.of(lane).nextKey)
        let due = try DirectStatement(database, QueueStatements.of(lane).isDue)
        due.bind(now.milliseconds, at: 2)
        var found: [String] = []
        var wrapped = false
        var key = cursor
        while found.count < limit {
            guard let candidate = try next.key(after: key) else {
                if wrapped { break }
                wrapped = true
                key = ""
                continue
            }
            if wrapped, candidate > cursor { break }
            key = candidate
            due.bind(key, at: 1)
            if try due.firstInteger() == 1 { found.append(key) }
        }
        return found
    }

    /// The condition on deliveries whose lease has expired, so that they may be reclaimed. This process's deliveries in
    /// other lanes are excluded, because their leases may be about to be extended.
    static func hasExpired(_ lane: Lane, own: Int64) -> String {
        "(lease_until < ?1 AND (holder <> \(own) OR lane = \(lane.literal)))"
    }

    /// The first of `candidates`, up to the one with which they have this many recipients together.
    static func upTo(_ recipients: Int, _ candidates: [Candidate]) -> [Candidate] {
        var counted = 0
        return Array(
            candidates.prefix { candidate in
                defer { counted += candidate.delivery.envelope.recipients.count }
                return counted < recipients
            })
    }

    /// One delivery of each key in turn, each key's oldest first, until there are `limit`.
    static func inTurn(
        _ keys: [String], lane: Lane, limit: Int, now: Timestamp, in database: Database
    ) throws -> [Candidate] {
        let statement = try DirectStatement(database, QueueStatements.of(lane).inTurn)
        statement.bind(now.milliseconds, at: 2)
        var queues = Array(repeating: [Candidate](), count: keys.count)
        var open = Array(keys.indices)
        var rest = limit
        // First each key gets an equal share. What some keys do not use is divided equally among the others, until
        // nothing is left.
        while rest > 0, !open.isEmpty {
            let share = max(1, rest / open.count)
            open = try open.filter { index in
                guard rest > 0 else { return true }
                statement.bind(keys[index], at: 1)
                statement.bind(Int64(share), at: 3)
                statement.bind(Int64(queues[index].count), at: 4)
                let more = try statement.rows { try Candidate(row: $0, lane) }
                queues[index] += more
                rest -= more.count
                return more.count == share
            }
        }
        var taken: [Candidate] = []
        var round = 0
        while taken.count < limit {
            let before = taken.count
            for queue in queues where round < queue.count && taken.count < limit { taken.append(queue[round]) }
            if taken.count == before { break }
            round += 1
        }
        return taken
    }

    /// A due delivery, and how many of its recipients were suppressed before this claim.
    struct Candidate {
        var delivery: ClaimedDelivery
        var suppressed: Int

        /// Reads a row of ``QueueStatements/inTurn``.
        fileprivate init(row: DirectRow, _ lane: Lane) throws {
            guard let id = row.integer(0), let message = row.integer(1).flatMap(MessageID.init(rawValue:)),
                let key = row.text(2).flatMap(KeyID.init), let recipients = row.text(3), let attempts = row.integer(4),
                let pauses = row.integer(5), let maybeDuplicate = row.integer(6), let queuedSince = row.integer(7),
                let suppressed = row.integer(8), let size = row.integer(10)
            else { throw StoreError.corrupt("a delivery's row can't be read") }
            delivery = ClaimedDelivery(
                id: DeliveryID(rawValue: id), message: message, key: key, lane: lane,
                envelope: Envelope(reversePath: row.text(9), recipients: RecipientList.recipients(recipients)),
                size: Int(size), queuedSince: Timestamp(milliseconds: queuedSince), attempts: Int(attempts),
                pauses: Int(pauses), maybeDuplicate: maybeDuplicate != 0)
            self.suppressed = Int(suppressed)
        }
    }

    /// The most searches of one claim. It searches again only if some of the deliveries that it found ended as
    /// suppressed.
    static let roundsOfClaim = 8

    /// Adds the bodies of small messages to claimed deliveries. Most messages are small, and reading a body with its
    /// claim costs a tenth of a separate read. Larger bodies would make the claim long, and claimed messages are held
    /// in memory.
    static func addSmallBodies(to deliveries: inout [ClaimedDelivery], in database: Database) throws {
        let statement = try DirectStatement(database, "SELECT bytes FROM body WHERE message = ?")
        for index in deliveries.indices where deliveries[index].size <= largestBodyClaimed {
            statement.bind(deliveries[index].message.rawValue, at: 1)
            deliveries[index].body = try statement.firstBytes()
        }
    }

    /// The largest body that is read with a claim, in octets.
    private static let largestBodyClaimed = 16 * 1024

    /// Records the end of an attempt. Returns the name of a spooled body that is no longer needed; nil if there is
    /// none.
    static func settle(
        _ settlement: Settlement, holder: Int64, _ events: inout EventWriter, in database: Database
    ) throws -> String? {
        let statement = try DirectStatement(
            database, "SELECT message, state, holder, on_return, attempts, counted FROM delivery WHERE id = ?")
        statement.bind(settlement.delivery.rawValue, at: 1)
        let found = try statement.first { row in
            (
                message: row.integer(0), state: row.text(1).flatMap(DeliveryState.init), holder: row.integer(2),
                onReturn: DeliveryRow.onReturn(row.text(3)), attempts: row.integer(4), isCounted: row.integer(5) == 1
            )
        }
        guard let found else { return nil }
        guard let message = found.message, let state = found.state, let attempts = found.attempts else {
            throw StoreError.corrupt("a delivery's row can't be read")
        }
        let standing = DeliveryChange.Standing(
            state: state, isHeldByReporter: found.holder == holder, onReturn: found.onReturn)
        guard let change = DeliveryChange(settling: settlement, of: standing) else { return nil }
        try DeliveryRow.record(
            change.attempt, of: settlement.delivery, after: Int(attempts), from: settlement.startedAt,
            to: settlement.finishedAt, in: database)
        try DeliveryRow.apply(change, to: settlement.delivery, in: database)
        try DeliveryRow.tell(
            change, of: settlement.delivery, at: settlement.finishedAt, isCounted: found.isCounted,
            reported: settlement.events, &events, in: database)
        return change.state == .sent ? try dropBody(of: message, in: database) : nil
    }

    /// Deletes a message's bytes if all its deliveries are sent or suppressed and no report to its sender will quote
    /// the bytes. Returns the name of the file if the body is in the spool, and otherwise nil.
    static func dropBody(of message: Int64, in database: Database) throws -> String? {
        let rest = try DirectStatement(
            database,
            """
            SELECT EXISTS (SELECT 1 FROM delivery WHERE message = ?1 AND state <> 'sent' AND state <> 'suppressed')
                OR EXISTS (SELECT 1 FROM undelivered WHERE message = ?1)
            """)
        rest.bind(message, at: 1)
        guard try rest.firstInteger() == 0 else { return nil }
        let drop = try DirectStatement(database, "DELETE FROM body WHERE message = ?")
        drop.bind(message, at: 1)
        try drop.run()
        let spooled = try DirectStatement(database, "SELECT spooled FROM message WHERE id = ?")
        spooled.bind(message, at: 1)
        let name = try spooled.first { $0.text(0) } ?? nil
        if name != nil {
            let forget = try DirectStatement(database, "UPDATE message SET spooled = NULL WHERE id = ?")
            forget.bind(message, at: 1)
            try forget.run()
        }
        return name
    }
}
