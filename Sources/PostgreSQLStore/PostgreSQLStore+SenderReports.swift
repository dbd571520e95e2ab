import RelayCore
import Synchronization

extension PostgreSQLStore: SenderReportStore {
    public var senderReports: SenderReports {
        get { senderReportPolicy.withLock { $0 } }
        set { senderReportPolicy.withLock { $0 = newValue } }
    }

    public func dueSenderReports(limit: Int, now: Timestamp) async throws -> [DueSenderReport] {
        try await read { connection in
            let messages = try connection.rows(
                """
                SELECT message FROM undelivered
                WHERE message IN (
                    SELECT message FROM undelivered ORDER BY since, message LIMIT \(UndeliveredRow.looked))
                GROUP BY message HAVING max(since) <= $1 AND (min(since) <= $2 OR NOT EXISTS (
                    SELECT 1 FROM delivery
                    WHERE delivery.message = undelivered.message AND state IN ('queued', 'sending')))
                ORDER BY min(since), message LIMIT $3
                """, [now - DueSenderReport.shortestWait, now - DueSenderReport.longestWait, max(limit, 0)]
            ) { $0.integer(0) ?? 0 }
            guard !messages.isEmpty else { return [] }
            let records = try RecordRow.records(messages, now: now, in: connection)
            let byID = Dictionary(records.map { ($0.id.rawValue, $0) }) { first, _ in first }
            let recipients = try UndeliveredRow.all(of: messages, in: connection)
            return messages.compactMap { message in
                guard let record = byID[message] else { return nil }
                let order = Dictionary(
                    record.recipients.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
                return DueSenderReport(
                    message: record,
                    recipients: (recipients[message] ?? []).sorted {
                        order[$0.address] ?? 0 < order[$1.address] ?? 0
                    })
            }
        }
    }

    public func nextSenderReport() async throws -> Timestamp? {
        try await look { connection in
            try connection.first("SELECT min(since) FROM undelivered") { $0.timestamp(0) } ?? nil
        }
        .map { $0 + DueSenderReport.shortestWait }
    }

    public func accept(
        report: Submission, of message: MessageID, recipients: [String], now: Timestamp
    ) async throws -> SenderReportAcceptance {
        let storage = storage
        return try await write { connection in
            guard let facts = try MessageFacts(message, in: connection) else { throw StoreError.noSuchMessage(message) }
            // The free space of the server's disk is not known here.
            if let refusal = storage.refusal(of: facts.environment, size: report.body.size, free: nil) {
                return .refused(refusal)
            }
            // If another relay reports to the sender at the same time, this statement waits for it, and then the rows
            // are gone.
            let due = try connection.rows(
                """
                SELECT recipient FROM undelivered WHERE message = $1 AND recipient = ANY ($2)
                ORDER BY recipient FOR UPDATE
                """, [message.rawValue, recipients]
            ) { $0.text(0) ?? "" }
            guard Set(due).isSuperset(of: recipients) else { return .overtaken }
            try UndeliveredRow.queueRemove(recipients, of: message, in: connection)
            try SubmissionRows.insert([(report, facts.environment)], in: connection)
            switch facts.environment {
            // The bytes were kept for the report, which quotes the header.
            case .live: try QueueRow.dropBodies(of: [message.rawValue], in: connection)
            // A simulated send keeps its bytes.
            case .test: try SimulatedBodies.add(report.body.size, in: connection)
            }
            return .accepted
        }
    }

    public func forgetSenderReport(of message: MessageID, recipients: [String]) async throws {
        try await write { connection in
            try UndeliveredRow.queueRemove(recipients, of: message, in: connection)
            guard let facts = try MessageFacts(message, in: connection), facts.environment == .live else { return }
            try QueueRow.dropBodies(of: [message.rawValue], in: connection)
        }
    }

    /// The node under which this process writes; 0 for a tool.
    ///
    /// - Throws: ``StoreError/instanceLost`` if a relay has no place at the moment.
    func ownNode() throws -> Int64 {
        guard let membership else { return 0 }
        guard let place = membership.place else { throw StoreError.instanceLost }
        return place.node
    }
}

/// Reads and writes the table `undelivered`.
enum UndeliveredRow {
    /// The most rows that a search for due reports goes through, oldest first: there may be 100,000.
    static let looked = 2000

    /// Queues the insertion of undelivered recipients. A recipient that is already recorded has not been reported yet.
    /// The first reason stays.
    ///
    /// Recipients are added only for messages that exist, and the messages' rows are locked: a row whose message is
    /// pruned at the same moment would never be reported, and would be examined again and again. The lock does not
    /// hinder other transactions that do the same.
    static func queueInsert(
        _ undelivered: [(message: MessageID, recipient: UndeliveredRecipient)], since now: Timestamp,
        in connection: Connection
    ) throws {
        guard !undelivered.isEmpty else { return }
        let recipients = undelivered.map(\.recipient)
        try connection.queue(
            """
            WITH known AS (SELECT id FROM message WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE)
            INSERT INTO undelivered (message, recipient, kind, at, since, reason, diagnostic)
            SELECT message, recipient, kind, at, $7, reason, diagnostic
            FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY
                AS told (message, recipient, kind, at, reason, diagnostic, place)
            JOIN known ON known.id = told.message
            ORDER BY message, recipient COLLATE "C", place
            ON CONFLICT DO NOTHING
            """,
            [
                undelivered.map(\.message.rawValue), recipients.map(\.address), recipients.map(\.kind.rawValue),
                recipients.map(\.at), recipients.map(\.reason), recipients.map(\.diagnostic), now,
            ])
    }

    static func all(of messages: [Int64], in connection: Connection) throws -> [Int64: [UndeliveredRecipient]] {
        var found: [Int64: [UndeliveredRecipient]] = [:]
        for (message, recipient) in try connection.rows(
            """
            SELECT message, recipient, kind, at, reason, diagnostic FROM undelivered WHERE message = ANY ($1)
            ORDER BY message, recipient
            """, [messages],
            { row in
                guard let kind = row.text(2).flatMap(EventKind.init), let at = row.timestamp(3) else {
                    throw StoreError.corrupt("the row of a report to a sender can't be read")
                }
                return (
                    row.integer(0) ?? 0,
                    UndeliveredRecipient(
                        address: row.text(1) ?? "", at: at, kind: kind, reason: row.text(4), diagnostic: row.text(5))
                )
            })
        {
            found[message, default: []].append(recipient)
        }
        return found
    }

    /// Queues the removal of recipients.
    static func queueRemove(_ recipients: [String], of message: MessageID, in connection: Connection) throws {
        try connection.queue(
            "DELETE FROM undelivered WHERE message = $1 AND recipient = ANY ($2)", [message.rawValue, recipients])
    }
}
