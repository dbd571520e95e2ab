import GRDB
import RelayCore
import Synchronization

extension SQLiteStore: SenderReportStore {
    public var senderReports: SenderReports {
        get { senderReportPolicy.withLock { $0 } }
        set { senderReportPolicy.withLock { $0 = newValue } }
    }

    public func dueSenderReports(limit: Int, now: Timestamp) async throws -> [DueSenderReport] {
        try await read { database in
            let messages = try Int64.fetchAll(
                database,
                sql: """
                    SELECT message FROM undelivered
                    WHERE message IN (SELECT message FROM undelivered ORDER BY since LIMIT \(UndeliveredRow.looked))
                    GROUP BY message HAVING MAX(since) <= ?1 AND (MIN(since) <= ?2 OR NOT EXISTS (
                        SELECT 1 FROM delivery
                        WHERE delivery.message = undelivered.message AND state IN ('queued', 'sending')))
                    ORDER BY MIN(since) LIMIT ?3
                    """,
                arguments: [
                    (now - DueSenderReport.shortestWait).milliseconds, (now - DueSenderReport.longestWait).milliseconds,
                    limit,
                ])
            return try RecordRow.records(messages, now: now, in: database).map { record in
                let recipients = try UndeliveredRow.all(of: record.id, in: database)
                let order = Dictionary(
                    record.recipients.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
                return DueSenderReport(
                    message: record,
                    recipients: recipients.sorted { order[$0.address] ?? 0 < order[$1.address] ?? 0 })
            }
        }
    }

    public func nextSenderReport() async throws -> Timestamp? {
        try await read { database in
            timestamp(try Int64.fetchOne(database, sql: "SELECT MIN(since) FROM undelivered"))
                .map { $0 + DueSenderReport.shortestWait }
        }
    }

    public func accept(
        report: Submission, of message: MessageID, recipients: [String], now: Timestamp
    ) async throws -> SenderReportAcceptance {
        let storage = storage
        let (outcome, unneeded) = try await write { [free = space.free] database in
            guard let facts = try MessageFacts(message, in: database) else { throw StoreError.noSuchMessage(message) }
            if let refusal = storage.refusal(of: facts.environment, size: report.body.size, free: free()) {
                return (SenderReportAcceptance.refused(refusal), String?.none)
            }
            let due = Set(try UndeliveredRow.all(of: message, in: database).map(\.address))
            guard due.isSuperset(of: recipients) else { return (.overtaken, nil) }
            try UndeliveredRow.remove(recipients, of: message, in: database)
            try SubmissionRows(database).insert(report, lane: facts.environment)
            if facts.environment == .test { try SimulatedBodies.add(report.body.size, in: database) }
            return (.accepted, try UndeliveredRow.dropBody(of: facts, in: database))
        }
        spool.remove([unneeded].compactMap { $0 })
        return outcome
    }

    public func forgetSenderReport(of message: MessageID, recipients: [String]) async throws {
        let unneeded = try await write { database -> String? in
            try UndeliveredRow.remove(recipients, of: message, in: database)
            return try MessageFacts(message, in: database).flatMap { try UndeliveredRow.dropBody(of: $0, in: database) }
        }
        spool.remove([unneeded].compactMap { $0 })
    }
}

/// Reads and writes the table `undelivered`.
enum UndeliveredRow {
    /// The most rows that a search for due reports goes through, oldest first: there may be 100,000.
    static let looked = 2000

    static func insert(
        _ recipient: UndeliveredRecipient, of message: MessageID, since now: Timestamp, in database: Database
    ) throws {
        // A recipient that is already recorded has not been reported yet. The first reason stays.
        try database.cachedStatement(
            sql: """
                INSERT OR IGNORE INTO undelivered (message, recipient, kind, at, since, reason, diagnostic)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(
            arguments: [
                message.rawValue, recipient.address, recipient.kind.rawValue, recipient.at.milliseconds,
                now.milliseconds, recipient.reason, recipient.diagnostic,
            ])
    }

    /// Deletes a message's bytes, which were kept because the report quotes the header. A simulated send keeps its
    /// bytes. Returns the name of the file if the body is in the spool, and otherwise nil.
    static func dropBody(of message: MessageFacts, in database: Database) throws -> String? {
        message.environment == .live ? try QueueRow.dropBody(of: message.id.rawValue, in: database) : nil
    }

    static func all(of message: MessageID, in database: Database) throws -> [UndeliveredRecipient] {
        try Row.fetchAll(
            database.cachedStatement(sql: "SELECT * FROM undelivered WHERE message = ?"), arguments: [message.rawValue]
        ).map { row in
            guard let kind = EventKind(rawValue: row["kind"]) else {
                throw StoreError.corrupt("the row of a report to a sender can't be read")
            }
            return UndeliveredRecipient(
                address: row["recipient"], at: Timestamp(milliseconds: row["at"]), kind: kind, reason: row["reason"],
                diagnostic: row["diagnostic"])
        }
    }

    static func remove(_ recipients: [String], of message: MessageID, in database: Database) throws {
        let statement = try database.cachedStatement(
            sql: "DELETE FROM undelivered WHERE message = ? AND recipient = ?")
        for recipient in recipients { try statement.execute(arguments: [message.rawValue, recipient]) }
    }
}
