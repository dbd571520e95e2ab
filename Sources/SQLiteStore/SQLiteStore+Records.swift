import CMemory
import Foundation
import GRDB
import RelayCore
import Synchronization

/// The fingerprint that was examined last in the search for fingerprints that may be forgotten.
final class ForgetCursor: Sendable {
    private let last = Mutex(beginning)

    /// A value before all fingerprints, which have 16 octets.
    static let beginning = Data([0])
    static let end = Data(repeating: 0xFF, count: 17)

    var position: Data {
        get { last.withLock { $0 } }
        set { last.withLock { $0 = newValue } }
    }
}

extension SQLiteStore: MessageRecords {
    public func messages(_ filter: MessageFilter, now: Timestamp) async throws -> [MessageRecord] {
        try await messagePage(filter, lookingAt: .max, now: now).messages
    }

    public func messagePage(
        _ filter: MessageFilter, lookingAt most: Int, now: Timestamp
    ) async throws -> MessagePage {
        let search = MessageSearch(filter, now: now)
        // Without this, glibc keeps the memory for a next search, which may never come.
        defer { if MessageWords.needsMuchMemory(filter.words) { cmemory_give_back() } }
        var found: [MessageRecord] = []
        var looked = 0
        var before: Int64? = search.start
        while let place = before, found.count < filter.limit {
            // Each page has its own transaction: a single one for all would keep the database's log from being
            // shortened.
            let wanted = filter.limit - found.count
            let (records, page) = try await read { database in
                let page = try search.page(before: place, in: database)
                var records: [MessageRecord] = []
                // The messages of a page are read in pieces, until enough of them match.
                for start in stride(from: 0, to: page.ids.count, by: SQLiteStore.recordsAtATime)
                where records.count <= wanted {
                    let ids = Array(page.ids[start..<min(start + SQLiteStore.recordsAtATime, page.ids.count)])
                    records += try RecordRow.records(ids, now: now, in: database).filter(search.isSatisfied(by:))
                }
                return (records, page)
            }
            found += records
            looked += page.looked
            before = page.next
            if looked >= most { break }
        }
        if found.count > filter.limit {
            found = Array(found.prefix(max(filter.limit, 0)))
            before = found.last?.id.rawValue
        }
        return MessagePage(messages: found, next: before.flatMap(MessageID.init(rawValue:)))
    }

    private static let recordsAtATime = 200

    public func queueStatus(now: Timestamp) async throws -> QueueStatus {
        try await read { database in
            let counts = try Row.fetchAll(
                database,
                sql: RecordRow.depths, arguments: [now.milliseconds])
            let depths = counts.compactMap { row -> QueueStatus.Depth? in
                guard let lane = Lane(rawValue: row["lane"]), let state = DeliveryState(rawValue: row["state"]),
                    row["deliveries"] > 0
                else { return nil }
                return QueueStatus.Depth(
                    lane: lane, state: state, deliveries: row["deliveries"], oldest: timestamp(row["oldest"]))
            }
            let scheduled = counts.compactMap { row -> QueueStatus.Scheduled? in
                guard let lane = Lane(rawValue: row["lane"]), let next = timestamp(row["next"]) else { return nil }
                return QueueStatus.Scheduled(lane: lane, deliveries: row["scheduled"], next: next)
            }
            let lanes = try Row.fetchAll(
                database, sql: "SELECT lane, held_because, since, rate FROM lane_status ORDER BY lane DESC"
            ).compactMap { row -> LaneStatus? in
                guard let lane = Lane(rawValue: row["lane"]) else { return nil }
                return LaneStatus(
                    lane: lane, heldBecause: row["held_because"], since: Timestamp(milliseconds: row["since"]),
                    rate: row["rate"])
            }
            var emailsToday: [Lane: Int] = [:]
            if let row = try Row.fetchOne(database, sql: RecordRow.emailsOfDay, arguments: [now.day.number]) {
                for (column, lane) in Lane.allCases.enumerated() { emailsToday[lane] = row[column] as Int? }
            }
            var feedback: [Lane: FeedbackCounts] = [:]
            for row in try Row.fetchAll(
                database,
                sql: RecordRow.feedback, arguments: [now.day.number])
            {
                guard let lane = Lane(rawValue: row["environment"]) else { continue }
                let counts = FeedbackCounts(
                    deliveries: row["deliveries"], bounces: row["bounces"], hardBounces: row["hard_bounces"],
                    complaints: row["complaints"])
                if counts != FeedbackCounts() { feedback[lane] = counts }
            }
            return QueueStatus(
                depths: depths, scheduled: scheduled, lanes: lanes, emailsToday: emailsToday, feedback: feedback,
                suppressions: try SuppressionRow.counts(in: database))
        }
    }

    public func prune(_ retention: Retention, now: Timestamp) async throws -> Bool {
        let (isMore, spooled) = try await write { database in
            let cutoffs: [(state: DeliveryState, before: Timestamp)] = [
                (.sent, now - retention.sent), (.simulated, now - retention.simulated),
                (.failed, now - retention.failed), (.cancelled, now - retention.failed),
                (.suppressed, now - retention.failed),
            ]
            let kept = cutoffs.map {
                "(other.state = '\($0.state.rawValue)' AND other.ended_at >= \($0.before.milliseconds))"
            }
            .joined(separator: " OR ")
            var messages = Set<Int64>()
            var isMore = false
            for cutoff in cutoffs {
                // A message is deleted as a whole, when its last delivery may be deleted.
                let ids = try Int64.fetchAll(
                    database,
                    sql: """
                        SELECT message FROM delivery
                        WHERE state = '\(cutoff.state.rawValue)' AND ended_at IS NOT NULL AND ended_at < ? AND NOT EXISTS (
                            SELECT 1 FROM delivery AS other WHERE other.message = delivery.message
                            AND (other.ended_at IS NULL OR \(kept)))
                        LIMIT ?
                        """, arguments: [cutoff.before.milliseconds, SQLiteStore.pruneBatch])
                // The rows are counted, and not the messages, because a message may have several of these deliveries.
                isMore = isMore || ids.count == SQLiteStore.pruneBatch
                messages.formUnion(ids)
            }
            guard !messages.isEmpty else { return (false, [String]()) }
            let list = messages.map(String.init).joined(separator: ",")
            let spooled = try String.fetchAll(
                database, sql: "SELECT spooled FROM message WHERE id IN (\(list)) AND spooled IS NOT NULL")
            let simulated = try Int.fetchOne(
                database,
                sql: """
                    SELECT SUM(size) FROM message WHERE id IN (\(list)) AND lane = 'test' AND \(RecordRow.hasBody)
                    """)
            if let simulated { try SimulatedBodies.add(-simulated, in: database) }
            try RecordRow.removeTags(of: list, in: database)
            try database.execute(
                sql: """
                    DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery WHERE message IN (\(list)));
                    DELETE FROM delivery WHERE message IN (\(list));
                    DELETE FROM body WHERE message IN (\(list));
                    DELETE FROM event WHERE message IN (\(list));
                    DELETE FROM undelivered WHERE message IN (\(list));
                    DELETE FROM message WHERE id IN (\(list));
                    """)
            try MessageWords.remove(list, in: database)
            return (isMore, spooled)
        }
        spool.remove(spooled)
        let hasMoreSimulated = try await dropSimulated(now: now)
        let hasMoreToForget = try await forget(now: now)
        let hasMoreStatistics = try await write { try StatisticRow.prune(now: now, in: $0) }
        return isMore || hasMoreSimulated || hasMoreToForget || hasMoreStatistics
    }

    /// Continues the search for rows of the table `repeat` that may be deleted, one piece of the table per call.
    /// Returns whether there is more to examine.
    ///
    /// The search goes in the order of the fingerprints, because neighbouring rows are on one page. In the order of the
    /// messages, each deleted row would be on a different page.
    private func forget(now: Timestamp) async throws -> Bool {
        let oldest = now - Fingerprint.memory
        let start = forgetCursor.position
        let last = try await write { database in
            let last = try Data.fetchOne(
                database,
                sql: "SELECT fingerprint FROM repeat WHERE fingerprint > ? ORDER BY fingerprint LIMIT 1 OFFSET ?",
                arguments: [start, SQLiteStore.forgetBatch - 1])
            // A message's id shows its age, so the message itself is usually not read. It is read only if the id is
            // ahead of the clock, which may have been set back.
            try database.execute(
                sql: """
                    DELETE FROM repeat WHERE fingerprint > ?1 AND fingerprint <= ?2 AND (
                        accepted_at IS NULL AND (message < ?3 OR message > ?4 AND NOT EXISTS (
                            SELECT 1 FROM message WHERE id = repeat.message AND accepted_at >= ?5))
                        OR accepted_at < ?5)
                    """,
                arguments: [
                    start, last ?? ForgetCursor.end, MessageID.first(at: oldest),
                    MessageID.first(at: now + Fingerprint.memory), oldest.milliseconds,
                ])
            return last
        }
        forgetCursor.position = last ?? ForgetCursor.beginning
        return last != nil
    }

    /// The rows that are examined in one transaction.
    static let forgetBatch = 5000

    static let pruneBatch = 500
}

enum RecordRow {
    /// The number of deliveries that have not ended, by lane and state. This runs every few seconds, so each state is
    /// counted in its own partial index, and the ended deliveries, which are the most, are not read. Deliveries are
    /// numbered in the order of acceptance, so of those that were never scheduled, the first one is the oldest. The age
    /// of a scheduled delivery counts from its scheduled time. Deliveries that wait for their scheduled time at ?1 are
    /// counted separately.
    static let depths = """
        SELECT depth.lane, depth.state, deliveries, scheduled, depth.next,
            MIN(COALESCE(message.accepted_at, due), COALESCE(due, message.accepted_at)) AS oldest
        FROM (
            SELECT lane, 'queued' AS state, COUNT(*) FILTER (WHERE NOT waits) AS deliveries,
                MIN(id) FILTER (WHERE scheduled_at IS NULL) AS first,
                MIN(scheduled_at) FILTER (WHERE NOT waits) AS due,
                COUNT(*) FILTER (WHERE waits) AS scheduled, MIN(scheduled_at) FILTER (WHERE waits) AS next
            FROM (
                SELECT lane, id, scheduled_at,
                    scheduled_at IS NOT NULL AND scheduled_at > ?1 AND scheduled_at = next_attempt_at AS waits
                FROM delivery WHERE state = 'queued'
            ) GROUP BY lane
            UNION ALL
            SELECT lane, 'sending', COUNT(*), MIN(id) FILTER (WHERE scheduled_at IS NULL), MIN(scheduled_at), 0, NULL
            FROM delivery WHERE state = 'sending' GROUP BY lane
            UNION ALL
            SELECT lane, 'held', COUNT(*), MIN(id), NULL, 0, NULL FROM delivery INDEXED BY delivery_held
            WHERE state = 'held' GROUP BY lane
        ) AS depth
        LEFT JOIN delivery ON delivery.id = first LEFT JOIN message ON message.id = delivery.message
        ORDER BY depth.lane DESC, depth.state
        """

    /// The emails of the day ?1, in one column for each environment. Only keys that were used on that day are read.
    /// Grouping by a sort is avoided, because it would use memory for each key.
    static let emailsOfDay = """
        SELECT \(Lane.allCases.map { "SUM(emails) FILTER (WHERE environment = '\($0.rawValue)')" }.joined(separator: ", "))
        FROM usage INDEXED BY usage_by_day CROSS JOIN key ON key.id = usage.key
        WHERE day = ?1
        """

    /// The feedback counts by environment, for the 30 days that end with the day ?1.
    static let feedback = """
        SELECT environment, SUM(deliveries) AS deliveries, SUM(bounces) AS bounces,
            SUM(hard_bounces) AS hard_bounces, SUM(complaints) AS complaints
        FROM feedback_by_day WHERE day > ?1 - 30 AND day <= ?1 GROUP BY environment
        """

    /// The condition on a message whose bytes are still stored.
    static let hasBody =
        "(spooled IS NOT NULL OR EXISTS (SELECT 1 FROM body WHERE body.message = message.id))"

    /// Deletes the tag rows of messages whose own rows still exist. `list`: the messages' ids, separated by commas.
    static func removeTags(of list: String, in database: Database) throws {
        let remove = try DirectStatement(database, "DELETE FROM tag WHERE key = ? AND tag = ? AND message = ?")
        for row in try Row.fetchAll(
            database, sql: "SELECT id, key, tags FROM message WHERE id IN (\(list)) AND tags IS NOT NULL")
        {
            for tag in TagList.tags(row["tags"]) {
                remove.bind(row["key"] as String, at: 1)
                remove.bind(tag, at: 2)
                remove.bind(row["id"] as Int64, at: 3)
                try remove.run()
            }
        }
    }

    /// The messages of `ids` that exist, newest first.
    static func records(_ ids: [Int64], now: Timestamp, in database: Database) throws -> [MessageRecord] {
        guard !ids.isEmpty else { return [] }
        let list = ids.map(String.init).joined(separator: ",")
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT id, key, lane, client, reverse_path, subject, size, accepted_at, tags, template,
                    \(hasBody) AS has_body
                FROM message WHERE id IN (\(list)) ORDER BY id DESC
                """)
        var history: [Int64: [MessageRecord.Attempt]] = [:]
        for row in try Row.fetchAll(
            database,
            sql: """
                SELECT delivery, started_at, finished_at, outcome, reason FROM attempt
                WHERE delivery IN (SELECT id FROM delivery WHERE message IN (\(list))) ORDER BY delivery, number
                """)
        {
            history[row["delivery"], default: []].append(
                MessageRecord.Attempt(
                    startedAt: Timestamp(milliseconds: row["started_at"]),
                    finishedAt: Timestamp(milliseconds: row["finished_at"]), outcome: row["outcome"],
                    reason: row["reason"]))
        }
        var deliveries: [Int64: [MessageRecord.Delivery]] = [:]
        var scheduled: [Int64: Timestamp] = [:]
        for row in try Row.fetchAll(
            database, sql: "SELECT * FROM delivery WHERE message IN (\(list)) ORDER BY id")
        {
            guard let state = DeliveryState(rawValue: row["state"]) else {
                throw StoreError.corrupt("a delivery's row can't be read")
            }
            let recipients: String = row["recipients"]
            scheduled[row["message"]] = timestamp(row["scheduled_at"])
            deliveries[row["message"], default: []].append(
                MessageRecord.Delivery(
                    recipients: RecipientList.recipients(recipients), state: state, attempts: row["attempts"],
                    nextAttemptAt: state == .queued ? Timestamp(milliseconds: row["next_attempt_at"]) : nil,
                    sesMessageID: row["ses_message_id"], reason: row["reason"],
                    maybeDuplicate: row["maybe_duplicate"], endedAt: timestamp(row["ended_at"]),
                    history: history[row["id"]] ?? []))
        }
        let reported = try EventRow.reported(of: list, in: database)
        return try rows.map { row in
            guard let id = MessageID(rawValue: row["id"]), let key = KeyID(row["key"]),
                let environment = Environment(rawValue: row["lane"])
            else { throw StoreError.corrupt("a message's row can't be read") }
            return MessageRecord(
                id: id, key: key, environment: environment, client: bytes(row["client"]).flatMap(IPAddress.init),
                reversePath: row["reverse_path"], subject: row["subject"], size: row["size"],
                acceptedAt: Timestamp(milliseconds: row["accepted_at"]), hasBody: row["has_body"],
                tags: TagList.tags(row["tags"]), scheduledAt: scheduled[id.rawValue],
                template: (row["template"] as String?).flatMap { TemplateReference($0) },
                deliveries: deliveries[id.rawValue] ?? [], reported: reported[id.rawValue] ?? [], now: now)
        }
    }
}
