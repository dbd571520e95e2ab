import RelayCore
import Synchronization

/// The place of this relay among those on the store: a row that it renews every two seconds.
///
/// A relay that has not renewed its row for 15 s, by the server's clock, may be declared dead by any other relay. The
/// deliveries that it was sending then go to others. A relay stops sending ten seconds after the start of its last
/// successful renewal, and therefore before any other relay begins to send its deliveries.
final class Membership: Sendable {
    /// Other relays may declare a relay dead after this time without a renewal, by the server's clock.
    static let expiry = Duration.seconds(15)
    /// A relay no longer relies on its claims after this time without a renewal, by its monotonic clock.
    static let caution = Duration.seconds(10)

    /// A relay's place.
    struct Place: Sendable, Hashable {
        /// Never assigned twice.
        var node: Int64
        /// A part of message ids. No other living relay has it.
        var number: Int64
    }

    private struct State {
        var place: Place?
        /// When the last successful renewal was started.
        var renewedAt = MonotonicTime.distantPast
        /// The number of living relays at the last renewal.
        var living = 1
        /// The number of living relays that joined before this one.
        var elders = 0
        /// Whether every other living relay divides the rate by at least as many relays as this one counts.
        var isCounted = false
        /// Whether this relay has left. A renewal after that must not join again.
        var hasLeft = false
    }

    private let name: String
    private let version: String
    private let clock: ServerClock
    private let state = Mutex(State())

    init(name: String, version: String, clock: ServerClock) {
        self.name = name
        self.version = version
        self.clock = clock
    }

    var place: Place? { state.withLock { $0.place } }

    /// Whether no other relay can have taken what this relay has claimed in its present place.
    var ownsClaims: Bool { ownsClaims(of: nil) }

    /// Whether no other relay can have taken what this relay has claimed as `node`. False for claims that this relay
    /// made in an earlier place.
    func ownsClaims(of node: Int64?) -> Bool {
        let now = clock.monotonicNow()
        return state.withLock { state in
            guard let place = state.place, node == nil || node == place.node else { return false }
            return now.seconds(since: state.renewedAt) < Membership.caution.inSeconds
        }
    }

    /// This relay's part of a rate that all relays share. It is none until all other relays leave room for it.
    ///
    /// Relays divide the rate in the order in which they joined. A relay that joins is the last one, so it changes no
    /// other relay's position. If a relay leaves, the later relays only move forward. So a relay that has not yet
    /// learnt of such a change uses no more than its part.
    var share: RateShare {
        state.withLock {
            $0.place != nil && $0.isCounted ? RateShare(place: $0.elders, count: max($0.living, 1)) : .none
        }
    }

    /// Takes a place for the first time, or renews the present one. Throws ``StoreError/instanceLost`` once if the
    /// place was lost; the next call takes another one.
    func renew(in connection: Connection) throws {
        let began = clock.monotonicNow()
        let offset = Int64((clock.machineOffset ?? .zero).inSeconds * 1000)
        let (known, living, hasLeft) = state.withLock { ($0.place, $0.living, $0.hasLeft) }
        guard !hasLeft else { return }
        guard let place = known else { return try join(in: connection) }
        try connection.queue("BEGIN")
        _ = connection.takeWarnings()
        // The renewal waits for the standby like every other commit: if a server is cut off from its standby, a new
        // server may already be in use, whose relays do not see this renewal.
        try connection.queue("SELECT set_config('lock_timeout', '3000', true)")
        try connection.queue(
            "UPDATE node SET seen_at = \(NodeRow.now), divides_by = $2, clock_offset = $3 WHERE id = $1 AND NOT is_dead",
            [place.node, living, offset])
        try connection.queue(
            """
            SELECT count(*), coalesce(min(divides_by) FILTER (WHERE id <> $1), 0), \(NodeRow.now),
                count(*) FILTER (WHERE id < $1)
            FROM node WHERE \(NodeRow.isAlive)
            """, [place.node])
        try connection.queue("COMMIT")
        let results: [QueryResult]
        do {
            results = try connection.results()
        } catch {
            // COMMIT was not run. The next renewal must not find a failed transaction.
            if !connection.isLost { _ = try? connection.run("ROLLBACK") }
            throw error
        }
        let ended = clock.monotonicNow()
        guard connection.takeWarnings().isEmpty else {
            throw CommitInDoubt(why: "the wait for the standby was cancelled")
        }
        guard results.count == 5, let row = results[3].first, let count = row.integer(0), let least = row.integer(1),
            let time = row.timestamp(2), let elders = row.integer(3)
        else { throw StoreError.corrupt("the table node can't be read") }
        clock.take(time, askedAt: began, answeredAt: ended)
        let isKept = results[2].affected == 1
        state.withLock { state in
            guard isKept else {
                state.place = nil
                state.isCounted = false
                return
            }
            state.renewedAt = began
            // A relay that joins counts itself from its first renewal on. The other relays count it once they have seen
            // it in their own renewals.
            state.isCounted = count == 1 || least >= count
            state.living = Int(count)
            state.elders = Int(elders)
        }
        if !isKept { throw StoreError.instanceLost }
    }

    private func join(in connection: Connection) throws {
        let began = clock.monotonicNow()
        let joined = try connection.transaction {
            // Relays join one after the other, so that no two of them get the same number.
            try connection.queue("LOCK TABLE node IN SHARE ROW EXCLUSIVE MODE")
            if try connection.isTrue(UnfinishedCopy.isThere) {
                throw StoreError.unavailable(UnfinishedCopy.explanation)
            }
            let number = try connection.integer(NodeRow.freeNumber)
            guard let number else {
                throw StoreError.unavailable("all 1,023 numbers for relays are in use in this database")
            }
            return try connection.first(
                """
                INSERT INTO node (number, name, version, started_at, seen_at, clock_offset, divides_by)
                VALUES ($1, $2, $3, \(NodeRow.now), \(NodeRow.now), $4,
                    1 + (SELECT count(*) FROM node WHERE \(NodeRow.isAlive)))
                RETURNING id, number, divides_by
                """, [number, name, version, Int64((clock.machineOffset ?? .zero).inSeconds * 1000)]
            ) { row in
                (
                    place: Place(node: row.integer(0) ?? 0, number: row.integer(1) ?? 0),
                    living: Int(row.integer(2) ?? 1)
                )
            }
        }
        guard let (place, living) = joined else { throw StoreError.corrupt("the table node gives no row back") }
        state.withLock { state in
            state.place = place
            state.renewedAt = began
            state.isCounted = false
            state.living = living
        }
        try renew(in: connection)
    }

    /// Leaves the store, so that other relays need not wait until the place has expired.
    func leave(in connection: Connection) throws {
        let left = state.withLock { state in
            state.hasLeft = true
            defer { state.place = nil }
            return state.place
        }
        guard let place = left else { return }
        try connection.transaction {
            try connection.queue("UPDATE node SET is_dead = true WHERE id = $1", [place.node])
        }
    }
}

/// Reads and writes the table `node`.
enum NodeRow {
    /// The server's time, in milliseconds.
    static let now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

    /// Whether a row belongs to a relay that has renewed it in time.
    static let isAlive = "NOT is_dead AND seen_at > \(now) - \(milliseconds(Membership.expiry))"

    /// Whether a row belongs to a relay that has claimed deliveries.
    static let holdsDeliveries =
        "EXISTS (SELECT 1 FROM delivery WHERE state = 'sending' AND holder = node.id)"

    /// The number after that of the newest relay, or the next free one. Numbers are reused as late as possible, because
    /// message ids are made with them.
    static let freeNumber = """
        SELECT n FROM (
            SELECT (coalesce((SELECT number FROM node ORDER BY id DESC LIMIT 1), 0) + i) % 1023 + 1 AS n, i
            FROM generate_series(0, 1022) AS i
        ) AS candidate
        WHERE NOT EXISTS (SELECT 1 FROM node WHERE number = n AND NOT is_dead) ORDER BY i LIMIT 1
        """

    static func milliseconds(_ duration: Duration) -> Int64 { Int64(duration.inSeconds * 1000) }

    /// Declares relays dead that have not renewed their place in time. Deletes the rows of dead relays that were last
    /// seen more than an hour ago and hold no deliveries.
    static func bury(in connection: Connection) throws {
        try connection.transaction {
            try connection.queue("UPDATE node SET is_dead = true WHERE NOT is_dead AND NOT (\(isAlive))")
            try connection.queue(
                """
                DELETE FROM node WHERE is_dead AND seen_at < \(now) - 3600000
                    AND NOT \(holdsDeliveries)
                """)
        }
    }
}
