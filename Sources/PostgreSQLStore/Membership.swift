import RelayCore
import Synchronization

/// The place of this relay among those on the store: a row that it renews every two seconds.
///
/// Who does not renew for 15 s, by the server's clock, may be declared dead by any other, and what it had under way goes to others then. A
/// relay stops sending ten seconds after the last renewal that it knows to have begun, so before anybody else begins.
final class Membership: Sendable {
    /// After so long without a renewal others may declare a relay dead, by the server's clock.
    static let expiry = Duration.seconds(15)
    /// After so long without a renewal a relay does not count on its claims any more, by its monotonic clock.
    static let caution = Duration.seconds(10)

    /// A relay's place.
    struct Place: Sendable, Hashable {
        /// Never given twice.
        var node: Int64
        /// Part of message ids; no other living relay has it.
        var number: Int64
    }

    private struct State {
        var place: Place?
        /// When the last renewal that succeeded was begun.
        var renewedAt = MonotonicTime.distantPast
        /// Relays that are alive, as of the last renewal.
        var living = 1
        /// Those of them that joined before this one.
        var elders = 0
        /// Whether every other living relay divides by as many.
        var isCounted = false
        /// A renewal that is still to come must not join again.
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

    /// Whether nobody else can have taken what this relay has claimed in its present place.
    var ownsClaims: Bool { ownsClaims(of: nil) }

    /// Whether nobody else can have taken what this relay has claimed as `node`. Not what it claimed before it lost its place and took
    /// another one.
    func ownsClaims(of node: Int64?) -> Bool {
        let now = clock.monotonicNow()
        return state.withLock { state in
            guard let place = state.place, node == nil || node == place.node else { return false }
            return now.seconds(since: state.renewedAt) < Membership.caution.inSeconds
        }
    }

    /// This relay's part of a rate that all relays divide: none until all others leave it one.
    ///
    /// Relays divide in the order in which they joined. One that joins is the last, so it changes nobody's place; one that goes can only
    /// bring those behind it forward. So a relay that has not heard of either takes no more than its part.
    var share: RateShare {
        state.withLock {
            $0.place != nil && $0.isCounted ? RateShare(place: $0.elders, count: max($0.living, 1)) : .none
        }
    }

    /// Takes a place for the first time, or renews the one that it has. Throws ``StoreError/instanceLost`` once where that was lost;
    /// the next call takes another.
    func renew(in connection: Connection) throws {
        let began = clock.monotonicNow()
        let offset = Int64((clock.machineOffset ?? .zero).inSeconds * 1000)
        let (known, living, hasLeft) = state.withLock { ($0.place, $0.living, $0.hasLeft) }
        guard !hasLeft else { return }
        guard let place = known else { return try join(in: connection) }
        try connection.queue("BEGIN")
        _ = connection.takeWarnings()
        // It waits for the standby as all others do: where a server is cut off from it, a new one may be at work already, whose relays do
        // not see this renewal.
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
            // COMMIT was not run: the next renewal must not find a transaction that has failed.
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
            // A relay that joins counts itself from its first renewal on; the others must have seen it by theirs.
            state.isCounted = count == 1 || least >= count
            state.living = Int(count)
            state.elders = Int(elders)
        }
        if !isKept { throw StoreError.instanceLost }
    }

    private func join(in connection: Connection) throws {
        let began = clock.monotonicNow()
        let joined = try connection.transaction {
            // One after the other, so that no two take one number.
            try connection.queue("LOCK TABLE node IN SHARE ROW EXCLUSIVE MODE")
            if try connection.isTrue(UnfinishedCopy.isThere) {
                throw StoreError.unavailable(UnfinishedCopy.explanation)
            }
            let number = try connection.integer(NodeRow.freeNumber)
            guard let number else {
                throw StoreError.unavailable("all 1,023 numbers of relays are taken in this database")
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

    /// Leaves: others need not wait until the place has run out.
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

/// The table `node`.
enum NodeRow {
    /// The server's time, in milliseconds.
    static let now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

    /// Whether a row is of a relay that has renewed it in time.
    static let isAlive = "NOT is_dead AND seen_at > \(now) - \(milliseconds(Membership.expiry))"

    /// The number that follows the newest relay's, or the next one that is free: a number is used again as late as can be, as ids are
    /// made with it.
    static let freeNumber = """
        SELECT n FROM (
            SELECT (coalesce((SELECT number FROM node ORDER BY id DESC LIMIT 1), 0) + i) % 1023 + 1 AS n, i
            FROM generate_series(0, 1022) AS i
        ) AS candidate
        WHERE NOT EXISTS (SELECT 1 FROM node WHERE number = n AND NOT is_dead) ORDER BY i LIMIT 1
        """

    static func milliseconds(_ duration: Duration) -> Int64 { Int64(duration.inSeconds * 1000) }

    /// Declares those dead that have not renewed in time, and forgets those that have been dead for an hour and hold nothing.
    static func bury(in connection: Connection) throws {
        try connection.transaction {
            try connection.queue("UPDATE node SET is_dead = true WHERE NOT is_dead AND NOT (\(isAlive))")
            try connection.queue(
                """
                DELETE FROM node WHERE is_dead AND seen_at < \(now) - 3600000
                    AND NOT EXISTS (SELECT 1 FROM delivery WHERE state = 'sending' AND holder = node.id)
                """)
        }
    }
}
