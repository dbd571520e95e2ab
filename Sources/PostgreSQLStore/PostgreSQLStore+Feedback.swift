import RelayCore
import Synchronization

extension PostgreSQLStore: FeedbackStore {
    public func record(_ reports: [FeedbackReport], now: Timestamp) async throws -> FeedbackOutcome {
        let (senderReports, node) = (senderReports, try ownNode())
        return try await write { [slots] connection in
            var outcome = FeedbackOutcome()
            var writer = EventWriter(reports: senderReports, node: node, slots: slots, now: now)
            let unmatched = try FeedbackMatcher.add(reports, &outcome, to: &writer, in: connection)
            outcome.waiting = unmatched.count
            // Another relay may be recording SES's response at this moment. Then the next check of waiting reports
            // finds the message.
            outcome.crowdedOut = try WaitingRow.insert(unmatched, now: now, in: connection)
            outcome.take(try writer.write(in: connection))
            return outcome
        }
    }

    public func matchWaiting(now: Timestamp) async throws -> FeedbackOutcome? {
        // First checked without a lock, because this runs every second.
        guard try await look({ try $0.isTrue("SELECT EXISTS (SELECT 1 FROM waiting_event)") }) else { return nil }
        let (senderReports, node, cursor) = (senderReports, try ownNode(), waitingCursor)
        return try await write { [slots] connection in
            var outcome = FeedbackOutcome()
            var writer = EventWriter(reports: senderReports, node: node, slots: slots, now: now)
            let matched = try WaitingRow.matched(cursor, in: connection)
            _ = try FeedbackMatcher.add(matched.map(\.report), &outcome, to: &writer, in: connection)
            let ends = try WaitingRow.remove(
                matched.map(\.id), before: now - Feedback.memory, limit: 10 * Feedback.batch, in: connection)
            (outcome.expired, outcome.waiting) = (ends.expired, ends.left)
            outcome.take(try writer.write(in: connection))
            return outcome
        }
    }

    public func feedbackStatus() async throws -> FeedbackStatus {
        try await look { connection in
            let status = try connection.first(
                """
                SELECT last_report_at, last_answer_at, failure, failing_since, (SELECT count(*) FROM waiting_event)
                FROM feedback_status
                """
            ) { row in
                FeedbackStatus(
                    lastReportAt: row.timestamp(0), lastAnswerAt: row.timestamp(1), failure: row.text(2),
                    failingSince: row.timestamp(3), waiting: Int(row.integer(4) ?? 0))
            }
            guard let status else { throw StoreError.corrupt("the row of the table feedback_status is missing") }
            return status
        }
    }

    public func record(_ status: FeedbackStatus) async throws {
        // Each relay reads the queue, so the values that a relay wrote last need not be the latest.
        try await write { connection in
            try connection.queue(
                """
                UPDATE feedback_status SET last_report_at = greatest(last_report_at, $1),
                    last_answer_at = greatest(last_answer_at, $2), failure = $3, failing_since = $4
                """, [status.lastReportAt, status.lastAnswerAt, status.failure, status.failingSince])
        }
    }

    public func feedbackTimes() async throws -> (lastEvent: Timestamp?, lastSent: Timestamp?) {
        let times = try await look { connection in
            try connection.first(
                """
                SELECT (SELECT last_report_at FROM feedback_status), (
                    SELECT ended_at FROM delivery WHERE state = 'sent' AND ended_at IS NOT NULL
                    ORDER BY ended_at DESC LIMIT 1)
                """
            ) { (lastEvent: $0.timestamp(0), lastSent: $0.timestamp(1)) }
        }
        return times ?? (nil, nil)
    }
}

extension FeedbackOutcome {
    fileprivate mutating func take(_ written: EventWriter.Written) {
        for event in written.events {
            if event.isNew { recorded[event.kind, default: 0] += 1 } else { repeated += 1 }
        }
        suppressed = written.suppressed
    }
}

/// Where the check of the older waiting reports continues. Each relay has its own cursor, so they usually check
/// different ranges.
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

/// Finds the messages that reports are about.
///
/// The messages' rows are not locked, because a lock would write to each row. If a message is pruned at that very
/// moment, weeks after it was sent, its event remains as a row that is never read.
private enum FeedbackMatcher {
    /// Adds the events of reports whose message is known. Returns the other reports.
    static func add(
        _ reports: [FeedbackReport], _ outcome: inout FeedbackOutcome, to writer: inout EventWriter,
        in connection: Connection
    ) throws -> [FeedbackReport] {
        guard !reports.isEmpty else { return [] }
        let found = try connection.rows(
            """
            SELECT ses_message_id, recipients, \(MessageFacts.columns)
            FROM delivery JOIN message ON message.id = delivery.message
            WHERE delivery.lane = 'live' AND ses_message_id IS NOT NULL AND ses_message_id = ANY ($1)
            ORDER BY delivery.id
            """, [Array(Set(reports.map(\.sesMessageID)))]
        ) { row in
            (
                row.text(0) ?? "",
                (recipients: RecipientList.recipients(row.text(1) ?? ""), message: try MessageFacts(row, from: 2))
            )
        }
        let deliveries = Dictionary(found) { first, _ in first }
        var unmatched: [FeedbackReport] = []
        for report in reports {
            guard let delivery = deliveries[report.sesMessageID] else {
                unmatched.append(report)
                continue
            }
            guard let recipient = report.recipient(among: delivery.recipients) else {
                outcome.unknownRecipients += 1
                continue
            }
            writer.add(report.event, of: recipient, delivery.message, sesMessageID: report.sesMessageID)
        }
        return unmatched
    }
}

/// Reads and writes the table `waiting_event`.
private enum WaitingRow {
    /// Adds reports, and deletes the oldest if there are too many. Returns how many were deleted.
    static func insert(_ reports: [FeedbackReport], now: Timestamp, in connection: Connection) throws -> Int {
        guard !reports.isEmpty else { return 0 }
        let events = reports.map { report in
            var event = report.event
            event.detail = event.detail.bounded
            return event
        }
        let values = EventRow.parameters(events, from: 4)
        try connection.queue(
            """
            INSERT INTO waiting_event (received_at, ses_message_id, recipient, \(EventRow.columns))
            SELECT $1, ses_message_id, recipient, \(EventRow.columns)
            FROM unnest($2, $3, \(values.places)) WITH ORDINALITY
                AS told (ses_message_id, recipient, \(EventRow.columns), place)
            ORDER BY place
            """, [now, reports.map(\.sesMessageID), reports.map(\.recipient)] + values.parameters)
        // Rows are numbered in the order in which they arrived, so the span of the numbers limits how many there are.
        // Rows that another relay is deleting or matching at the moment are left to it.
        return try connection.execute(
            """
            DELETE FROM waiting_event WHERE id IN (
                SELECT id FROM waiting_event WHERE id <= (SELECT max(id) FROM waiting_event) - $1
                ORDER BY id FOR UPDATE SKIP LOCKED)
            """, [Feedback.mostWaiting])
    }

    /// The reports whose message is known by now, among the newest reports and one range of the older ones. An account
    /// may have other senders, and reports about their mail wait in vain.
    ///
    /// The returned rows are locked until they are deleted. Rows that another relay has locked are skipped, so each is
    /// matched only once.
    static func matched(
        _ cursor: WaitingCursor, in connection: Connection
    ) throws -> [(id: Int64, report: FeedbackReport)] {
        let piece = Int64(Feedback.batch)
        let newest = try connection.integer("SELECT max(id) FROM waiting_event") ?? 0
        // If the transaction is tried again, it skips a range, which is checked in the next round.
        let start = cursor.next(piece: piece, below: newest - piece)
        // Arrays: the planner assumes that they are short, and looks up each item in the index, however many deliveries
        // there are.
        return try connection.rows(
            """
            SELECT id, waiting_event.ses_message_id, recipient, \(EventRow.columns) FROM waiting_event
            WHERE id = ANY (
                    ARRAY(SELECT id FROM waiting_event WHERE id > $1)
                    || ARRAY(SELECT id FROM waiting_event WHERE id BETWEEN $2 AND $3))
                AND EXISTS (SELECT 1 FROM delivery WHERE delivery.lane = 'live' AND delivery.ses_message_id IS NOT NULL
                    AND delivery.ses_message_id = waiting_event.ses_message_id)
            ORDER BY id FOR UPDATE OF waiting_event SKIP LOCKED
            """, [newest - piece, start, start + piece]
        ) { row in
            (
                row.integer(0) ?? 0,
                FeedbackReport(
                    sesMessageID: row.text(1) ?? "", recipient: row.text(2) ?? "",
                    event: try EventRow.event(row, from: 3))
            )
        }
    }

    /// Deletes matched reports, and old reports from before `oldest`. Returns how many old ones there were, and how
    /// many reports are left.
    static func remove(
        _ matched: [Int64], before oldest: Timestamp, limit: Int, in connection: Connection
    ) throws -> (expired: Int, left: Int) {
        try connection.queue("DELETE FROM waiting_event WHERE id = ANY ($1)", [matched])
        try connection.queue(
            """
            DELETE FROM waiting_event WHERE id IN (
                SELECT id FROM waiting_event
                WHERE id IN (SELECT id FROM waiting_event ORDER BY id LIMIT $1) AND received_at < $2
                ORDER BY id FOR UPDATE SKIP LOCKED)
            """, [limit, oldest])
        try connection.queue("SELECT count(*) FROM waiting_event")
        let results = try connection.results().suffix(2)
        return (results.first?.affected ?? 0, Int(results.last?.first?.integer(0) ?? 0))
    }
}
