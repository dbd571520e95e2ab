import RelayCore
import Synchronization

/// The rows to which a process adds what it counts for a day.
///
/// Each addition leaves a dead version of the row, which stays for as long as any transaction on the server is open,
/// and each further addition to the row passes all of them. So a process starts another row, the next slot, after some
/// additions. Readers sum up the rows.
struct CountSlots {
    /// What is counted: the id of a key or the name of an environment, and the day.
    struct Place: Hashable {
        var whose: String
        var day: Int64
    }

    private struct Entry {
        var slot: Int64 = 0
        var additions = 0
    }

    private var entries: [Place: Entry] = [:]

    /// The additions to a row before the next one is used.
    static let additionsPerSlot = 250
    /// The most places that are remembered. A place that was forgotten starts with its first slot again, which is
    /// correct, but makes that row's additions slower.
    static let mostPlaces = 10_000

    /// The slot for the next addition.
    mutating func next(_ place: Place) -> Int64 {
        if entries.count >= CountSlots.mostPlaces, entries[place] == nil { entries = [:] }
        var entry = entries[place, default: Entry()]
        if entry.additions == CountSlots.additionsPerSlot { entry = Entry(slot: entry.slot + 1) }
        entry.additions += 1
        entries[place] = entry
        return entry.slot
    }
}

/// The slots of a process, which its connections share.
final class SharedCountSlots: Sendable {
    private let usage = Mutex(CountSlots())
    private let feedback = Mutex(CountSlots())

    /// The slots of the next additions to the table `usage`.
    func usage(_ places: [CountSlots.Place]) -> [Int64] {
        usage.withLock { slots in places.map { slots.next($0) } }
    }

    /// The slots of the next additions to the table `feedback_by_day`.
    func feedback(_ places: [CountSlots.Place]) -> [Int64] {
        feedback.withLock { slots in places.map { slots.next($0) } }
    }
}

/// Merges the rows of past days, so that there is one for each key or environment and day.
enum CountRows {
    private struct Table {
        var name: String
        var owner: String
        /// The columns that are added up.
        var sums: [String]
        /// The column of which the latest value is kept.
        var latest: String?
    }

    private static let feedback = ["deliveries", "bounces", "hard_bounces", "complaints"]

    private static let tables = [
        Table(name: "usage", owner: "key", sums: ["emails", "messages"] + feedback, latest: "last_at"),
        Table(name: "feedback_by_day", owner: "environment", sums: feedback),
    ]

    /// Days that are merged, counted back from today. Today and yesterday still change often. Rows of an earlier day
    /// stay as they are if no relay ran since: they are read correctly too.
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
                table.sums.map { "\($0) = \(table.name).\($0) + excluded.\($0)" }
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
