import Foundation
import GRDB
import RelayCore
import Synchronization

/// The last fingerprint that was looked at on the way through those that may be forgotten.
final class ForgetCursor: Sendable {
    private let last = Mutex(beginning)

    /// Before and behind all fingerprints, which have 16 octets.
    static let beginning = Data([0])
    static let end = Data(repeating: 0xFF, count: 17)

    var position: Data {
        get { last.withLock { $0 } }
        set { last.withLock { $0 = newValue } }
    }
}

extension SQLiteStore: MessageRecords {
    public func messages(_ filter: MessageFilter) async throws -> [MessageRecord] {
        try await read { database in
            var found: [MessageRecord] = []
            try RecordRow.forEachPage(filter, in: database) { page in
                found += page
                return found.count < filter.limit
            }
            return Array(found.prefix(filter.limit))
        }
    }

    public func queueStatus(now: Timestamp) async throws -> QueueStatus {
        try await read { database in
            let depths = try Row.fetchAll(
                database,
                sql: RecordRow.depths
            ).compactMap { row -> QueueStatus.Depth? in
                guard let lane = Lane(rawValue: row["lane"]), let state = DeliveryState(rawValue: row["state"]) else {
                    return nil
                }
                return QueueStatus.Depth(
                    lane: lane, state: state, deliveries: row["deliveries"], oldest: timestamp(row["oldest"]))
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
            for row in try Row.fetchAll(
                database,
                sql: """
                    SELECT environment, SUM(emails) AS emails FROM key JOIN usage ON usage.key = key.id
                    WHERE day = ? GROUP BY environment
                    """, arguments: [now.day.number])
            {
                if let lane = Lane(rawValue: row["environment"]) { emailsToday[lane] = row["emails"] }
            }
            return QueueStatus(depths: depths, lanes: lanes, emailsToday: emailsToday)
        }
    }

    public func prune(_ retention: Retention, now: Timestamp) async throws -> Bool {
        let (isMore, spooled) = try await write { database in
            let cutoffs: [(state: DeliveryState, before: Timestamp)] = [
                (.sent, now - retention.sent), (.simulated, now - retention.simulated),
                (.failed, now - retention.failed),
            ]
            let kept = cutoffs.map {
                "(other.state = '\($0.state.rawValue)' AND other.ended_at >= \($0.before.milliseconds))"
            }
            .joined(separator: " OR ")
            var messages = Set<Int64>()
            var isMore = false
            for cutoff in cutoffs {
                // A message goes as a whole, when the last of its deliveries may go.
                let ids = try Int64.fetchAll(
                    database,
                    sql: """
                        SELECT message FROM delivery
                        WHERE state = ? AND ended_at IS NOT NULL AND ended_at < ? AND NOT EXISTS (
                            SELECT 1 FROM delivery AS other WHERE other.message = delivery.message
                            AND (other.ended_at IS NULL OR \(kept)))
                        LIMIT ?
                        """, arguments: [cutoff.state.rawValue, cutoff.before.milliseconds, SQLiteStore.pruneBatch])
                // Of one message there may be several.
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
            try database.execute(
                sql: """
                    DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery WHERE message IN (\(list)));
                    DELETE FROM delivery WHERE message IN (\(list));
                    DELETE FROM body WHERE message IN (\(list));
                    DELETE FROM message WHERE id IN (\(list));
                    """)
            return (isMore, spooled)
        }
        spool.remove(spooled)
        let hasMoreSimulated = try await dropSimulated(now: now)
        let hasMoreToForget = try await forget(now: now)
        return isMore || hasMoreSimulated || hasMoreToForget
    }

    /// Goes on through the table repeat, a piece a call. Returns whether it has not come to its end.
    ///
    /// In the order of the fingerprints, in which neighbours lie on one page: in that of the messages each one that goes would be a
    /// page of its own.
    private func forget(now: Timestamp) async throws -> Bool {
        let oldest = now - Fingerprint.memory
        let start = forgetCursor.position
        let last = try await write { database in
            let last = try Data.fetchOne(
                database,
                sql: "SELECT fingerprint FROM repeat WHERE fingerprint > ? ORDER BY fingerprint LIMIT 1 OFFSET ?",
                arguments: [start, SQLiteStore.forgetBatch - 1])
            // Ids tell the age of a message without looking at it, unless they are ahead of the clock, which may have been put back.
            try database.execute(
                sql: """
                    DELETE FROM repeat WHERE fingerprint > ? AND fingerprint <= ? AND (message < ? OR message > ? AND NOT EXISTS (
                        SELECT 1 FROM message WHERE id = repeat.message AND accepted_at >= ?))
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

    /// Rows that are looked at in one transaction.
    static let forgetBatch = 5000

    static let pruneBatch = 500
}

enum RecordRow {
    static let pageSize = 500

    /// What has not ended, by lane and state. Asked every few seconds, so each state is counted in its own partial index: what
    /// has ended, which is most, is not looked at. Deliveries are numbered in the order of acceptance.
    static let depths = """
        SELECT depth.lane, depth.state, deliveries, message.accepted_at AS oldest
        FROM (
            SELECT lane, 'queued' AS state, COUNT(*) AS deliveries, MIN(id) AS first
            FROM delivery WHERE state = 'queued' GROUP BY lane
            UNION ALL SELECT lane, 'sending', COUNT(*), MIN(id) FROM delivery WHERE state = 'sending' GROUP BY lane
            UNION ALL SELECT lane, 'held', COUNT(*), MIN(id) FROM delivery WHERE state = 'held' GROUP BY lane
        ) AS depth
        LEFT JOIN delivery ON delivery.id = first LEFT JOIN message ON message.id = delivery.message
        ORDER BY depth.lane DESC, depth.state
        """

    /// Calls `body` with messages that satisfy the filter, newest first, until it returns false.
    static func forEachPage(
        _ filter: MessageFilter, in database: Database, _ body: ([MessageRecord]) throws -> Bool
    ) throws {
        let (conditions, arguments) = conditions(filter)
        let sql = """
            SELECT id, key, lane, client, reverse_path, subject, size, accepted_at,
                \(hasBody) AS has_body
            FROM message WHERE \(conditions) ORDER BY id DESC LIMIT \(pageSize)
            """
        var before = Int64.max
        while true {
            let rows = try Row.fetchAll(
                database.cachedStatement(sql: sql), arguments: StatementArguments([before]) + arguments)
            guard let last = rows.last else { return }
            before = last["id"]
            var page = try records(rows, in: database)
            if let state = filter.state { page.removeAll { $0.state != state } }
            guard try body(page), rows.count == pageSize else { return }
        }
    }

    /// Of a message whose bytes are still kept.
    static let hasBody =
        "(spooled IS NOT NULL OR EXISTS (SELECT 1 FROM body WHERE body.message = message.id))"

    /// What a row of the table message must satisfy; its first argument is the id that it comes before.
    static func conditions(_ filter: MessageFilter) -> (sql: String, arguments: StatementArguments) {
        var conditions = ["id < ?"]
        var arguments: StatementArguments = []
        if let ids = filter.ids {
            conditions.append("id IN (\(ids.map { String($0.rawValue) }.joined(separator: ",")))")
        }
        if let key = filter.key {
            conditions.append("key = ?")
            arguments += [key.text]
        }
        if let subject = filter.subject {
            conditions.append("subject = ?")
            arguments += [subject]
        }
        if let since = filter.since {
            conditions.append("accepted_at >= ?")
            arguments += [since.milliseconds]
        }
        if let state = filter.state {
            // What must be there for the message to have this state; the exact one is told from all its deliveries below.
            let needed: DeliveryState? = state == .partlyFailed ? nil : DeliveryState(rawValue: state.rawValue)
            if let needed {
                conditions.append(
                    "EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id AND state = '\(needed.rawValue)')"
                )
            }
        }
        return (conditions.joined(separator: " AND "), arguments)
    }

    private static func records(_ rows: [Row], in database: Database) throws -> [MessageRecord] {
        let list = rows.map { String($0["id"] as Int64) }.joined(separator: ",")
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
        for row in try Row.fetchAll(
            database, sql: "SELECT * FROM delivery WHERE message IN (\(list)) ORDER BY id")
        {
            guard let state = DeliveryState(rawValue: row["state"]) else {
                throw StoreError.corrupt("a delivery's row can't be read")
            }
            let recipients: String = row["recipients"]
            deliveries[row["message"], default: []].append(
                MessageRecord.Delivery(
                    recipients: RecipientList.recipients(recipients), state: state, attempts: row["attempts"],
                    nextAttemptAt: state == .queued ? Timestamp(milliseconds: row["next_attempt_at"]) : nil,
                    sesMessageID: row["ses_message_id"], reason: row["reason"],
                    maybeDuplicate: row["maybe_duplicate"], history: history[row["id"]] ?? []))
        }
        return try rows.map { row in
            guard let id = MessageID(rawValue: row["id"]), let key = KeyID(row["key"]),
                let environment = Environment(rawValue: row["lane"])
            else { throw StoreError.corrupt("a message's row can't be read") }
            return MessageRecord(
                id: id, key: key, environment: environment, client: bytes(row["client"]).flatMap(IPAddress.init),
                reversePath: row["reverse_path"], subject: row["subject"], size: row["size"],
                acceptedAt: Timestamp(milliseconds: row["accepted_at"]), hasBody: row["has_body"],
                deliveries: deliveries[id.rawValue] ?? [])
        }
    }
}
