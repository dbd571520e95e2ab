import GRDB
import RelayCore
import Synchronization

extension SQLiteStore: FeedbackStore {
    public func record(_ reports: [FeedbackReport], now: Timestamp) async throws -> FeedbackOutcome {
        let senderReports = senderReports
        return try await write { database in
            var outcome = FeedbackOutcome()
            var writer = EventWriter(database, reports: senderReports, now: now)
            let matcher = try FeedbackMatcher(database)
            for report in reports {
                if try !matcher.record(report, &outcome, &writer) {
                    try WaitingRow.insert(report, now: now, in: database)
                    outcome.waiting += 1
                }
            }
            if outcome.waiting > 0 { outcome.crowdedOut = try WaitingRow.bound(in: database) }
            try writer.writeCounts()
            outcome.suppressed = writer.suppressed
            return outcome
        }
    }

    public func matchWaiting(now: Timestamp) async throws -> FeedbackOutcome? {
        // First checked without a lock, because this runs every second.
        let hasAny = try await read { database in
            try Bool.fetchOne(
                database.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM waiting_event)")) ?? false
        }
        guard hasAny else { return nil }
        let senderReports = senderReports
        let cursor = waitingCursor
        return try await write { database in
            var outcome = FeedbackOutcome()
            var writer = EventWriter(database, reports: senderReports, now: now)
            let matcher = try FeedbackMatcher(database)
            for (id, report) in try WaitingRow.matched(cursor, in: database) {
                _ = try matcher.record(report, &outcome, &writer)
                try WaitingRow.remove(id, in: database)
            }
            outcome.expired = try WaitingRow.expire(
                before: now - Feedback.memory, limit: 10 * Feedback.batch, in: database)
            try writer.writeCounts()
            outcome.suppressed = writer.suppressed
            outcome.waiting = try WaitingRow.count(in: database)
            return outcome
        }
    }

    public func feedbackStatus() async throws -> FeedbackStatus {
        try await read { database in
            guard let row = try Row.fetchOne(database, sql: "SELECT * FROM feedback_status WHERE id = 1") else {
                throw StoreError.corrupt("the row of the table feedback_status is missing")
            }
            return FeedbackStatus(
                lastReportAt: timestamp(row["last_report_at"]), lastAnswerAt: timestamp(row["last_answer_at"]),
                failure: row["failure"], failingSince: timestamp(row["failing_since"]),
                waiting: try WaitingRow.count(in: database))
        }
    }

    public func record(_ status: FeedbackStatus) async throws {
        try await write { database in
            try database.execute(
                sql: """
                    UPDATE feedback_status SET last_report_at = COALESCE(?, last_report_at),
                        last_answer_at = COALESCE(?, last_answer_at), failure = ?, failing_since = ?
                    """,
                arguments: [
                    status.lastReportAt?.milliseconds, status.lastAnswerAt?.milliseconds, status.failure,
                    status.failingSince?.milliseconds,
                ])
        }
    }

    public func feedbackTimes() async throws -> (lastEvent: Timestamp?, lastSent: Timestamp?) {
        try await read { database in
            (
                timestamp(
                    try Int64.fetchOne(database, sql: "SELECT last_report_at FROM feedback_status WHERE id = 1")),
                // This reads only the newest entry of the index: the delivery that was sent last.
                timestamp(
                    try Int64.fetchOne(
                        database,
                        sql: """
                            SELECT ended_at FROM delivery INDEXED BY delivery_ended
                            WHERE state = 'sent' AND ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT 1
                            """))
            )
        }
    }
}

/// Where the check of the older waiting reports continues.
final class WaitingCursor: Sendable {
    private let place = Mutex<Int64>(0)

    /// Returns the first of the next `piece` row numbers to check. After `end`, the check begins again with the lowest
    /// possible number.
    func next(piece: Int64, below end: Int64) -> Int64 {
        place.withLock { place in
            let first = max(0, end - Int64(Feedback.mostWaiting))
            if place > end || place < first { place = first }
            defer { place += piece }
            return place
        }
    }
}

/// Finds the message that a report is about.
private struct FeedbackMatcher {
    private let database: Database
    private let find: DirectStatement

    init(_ database: Database) throws {
        self.database = database
        find = try DirectStatement(
            database,
            """
            SELECT message, recipients FROM delivery
            WHERE lane = 'live' AND ses_message_id IS NOT NULL AND ses_message_id = ?
            """)
    }

    /// Records a report. Returns false if its message is not known.
    func record(
        _ report: FeedbackReport, _ outcome: inout FeedbackOutcome, _ writer: inout EventWriter
    ) throws -> Bool {
        find.bind(report.sesMessageID, at: 1)
        guard
            let (id, recipients) = try find.first({ row in
                (row.integer(0).flatMap(MessageID.init(rawValue:)), RecipientList.recipients(row.text(1) ?? ""))
            }), let id, let message = try MessageFacts(id, in: database)
        else { return false }
        guard let recipient = report.recipient(among: recipients) else {
            outcome.unknownRecipients += 1
            return true
        }
        if try writer.add(report.event, of: recipient, message, sesMessageID: report.sesMessageID) {
            outcome.recorded[report.event.kind, default: 0] += 1
        } else {
            outcome.repeated += 1
        }
        return true
    }
}

/// Reads and writes the table `waiting_event`.
private enum WaitingRow {
    static func insert(_ report: FeedbackReport, now: Timestamp, in database: Database) throws {
        let statement = try DirectStatement(
            database,
            """
            INSERT INTO waiting_event (ses_message_id, received_at, recipient, \(EventRow.columns))
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        var event = report.event
        event.detail = event.detail.bounded
        statement.bind(report.sesMessageID, at: 1)
        statement.bind(now.milliseconds, at: 2)
        statement.bind(report.recipient, at: 3)
        EventRow.bind(event, to: statement, from: 4)
        try statement.run()
    }

    /// Deletes the oldest rows if there are too many, and returns how many were deleted. Rows are numbered in the order
    /// in which they arrived, so a limit on the span of the numbers limits how many rows there are.
    static func bound(in database: Database) throws -> Int {
        try database.cachedStatement(
            sql: "DELETE FROM waiting_event WHERE id <= (SELECT MAX(id) FROM waiting_event) - ?"
        ).execute(arguments: [Feedback.mostWaiting])
        return database.changesCount
    }

    /// The reports whose message is known by now, among the newest reports and one range of the older ones. An account
    /// may have other senders, and reports about their mail wait in vain.
    static func matched(
        _ cursor: WaitingCursor, in database: Database
    ) throws -> [(id: Int64, report: FeedbackReport)] {
        let piece = Int64(Feedback.batch)
        let newest = try Int64.fetchOne(database, sql: "SELECT MAX(id) FROM waiting_event") ?? 0
        let start = cursor.next(piece: piece, below: newest - piece)
        let statement = try DirectStatement(
            database,
            """
            SELECT id, waiting_event.ses_message_id, recipient, \(EventRow.columns) FROM waiting_event
            WHERE (id > ?1 OR id BETWEEN ?2 AND ?3) AND EXISTS (SELECT 1 FROM delivery
                WHERE lane = 'live' AND ses_message_id IS NOT NULL
                AND ses_message_id = waiting_event.ses_message_id)
            ORDER BY id
            """)
        statement.bind(newest - piece, at: 1)
        statement.bind(start, at: 2)
        statement.bind(start + piece, at: 3)
        return try statement.rows { row in
            (
                row.integer(0) ?? 0,
                FeedbackReport(
                    sesMessageID: row.text(1) ?? "", recipient: row.text(2) ?? "",
                    event: try EventRow.event(row, from: 3))
            )
        }
    }

    static func remove(_ id: Int64, in database: Database) throws {
        try database.cachedStatement(sql: "DELETE FROM waiting_event WHERE id = ?").execute(arguments: [id])
    }

    static func expire(before oldest: Timestamp, limit: Int, in database: Database) throws -> Int {
        try database.cachedStatement(
            sql: """
                DELETE FROM waiting_event
                WHERE id IN (SELECT id FROM waiting_event ORDER BY id LIMIT ?) AND received_at < ?
                """
        ).execute(arguments: [limit, oldest.milliseconds])
        return database.changesCount
    }

    static func count(in database: Database) throws -> Int {
        try Int.fetchOne(database.cachedStatement(sql: "SELECT COUNT(*) FROM waiting_event")) ?? 0
    }
}
