import Foundation
import GRDB
import RelayCore

extension SQLiteStore: SubmissionStore {
    public func accept(_ batch: [Submission], now: Timestamp) async throws -> [Acceptance] {
        try await write { database in
            var ledger = AcceptanceLedger(now: now)
            let outcomes = try batch.map { try ledger.accept($0, in: database) }
            try ledger.writeUsage(in: database)
            return outcomes
        }
    }

    public func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile {
        try await spool.make(id.description)
    }

    public func discard(_ body: SpooledBody) async { spool.remove([body.name]) }

    /// Removes bodies in the spool that no message refers to and no live relay is writing: left over from a crash.
    func removeOrphans(beside path: String) throws {
        let names = try spool.names()
        let orphans = try pool.read { database in
            try names.filter { name in
                guard let id = MessageID(name) else { return false }
                // Another relay's body may be in the making, between its file and its row.
                guard id.instance == instance || instanceLock?.isHeld(id.instance) == false else { return false }
                // By id: there may be far more messages than files.
                return try Bool.fetchOne(
                    database.cachedStatement(
                        sql: "SELECT NOT EXISTS (SELECT 1 FROM message WHERE id = ? AND spooled = ?)"),
                    arguments: [id.rawValue, name]) ?? false
            }
        }
        spool.removeNow(orphans)
    }
}

/// What one batch does to the keys in it: their state is read once, their usage written once.
private struct AcceptanceLedger {
    private struct Entry {
        var key: Key
        var emailsToday: Int
        var emails = 0
        var messages = 0
    }

    let now: Timestamp
    private var entries: [KeyID: Entry] = [:]

    init(now: Timestamp) { self.now = now }

    mutating func accept(_ submission: Submission, in database: Database) throws -> Acceptance {
        guard var entry = try entry(of: submission.key, in: database) else {
            return .refused(Refusal(.keyRevoked, "This API key no longer exists; use another one"))
        }
        if let refusal = entry.key.refusalOfUse(at: now) { return .refused(refusal) }
        if let first = try firstOfRepeat(submission, entry.key, in: database) { return .repeated(first) }
        let emails = submission.envelope.recipients.count
        if let cap = entry.key.limits.perDay, entry.emailsToday + entry.emails + emails > cap {
            return .refused(Refusal.dayUsedUp(cap: cap, at: now))
        }
        try insert(submission, lane: entry.key.environment, in: database)
        entry.emails += emails
        entry.messages += 1
        entries[submission.key] = entry
        return .accepted
    }

    /// The message that this one repeats. One that has failed is no reason to refuse another try.
    private func firstOfRepeat(
        _ submission: Submission, _ key: Key, in database: Database
    ) throws -> MessageID? {
        guard let fingerprint = submission.fingerprint, key.detectsRepeats else { return nil }
        let first = try Int64.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT message FROM repeat WHERE fingerprint = ? AND message >= ? AND EXISTS (
                        SELECT 1 FROM delivery WHERE delivery.message = repeat.message AND state <> 'failed')
                    """),
            arguments: [Data(fingerprint.bytes), MessageID.first(at: now - Fingerprint.memory)])
        if let first { return MessageID(rawValue: first) }
        try database.cachedStatement(sql: "INSERT OR REPLACE INTO repeat (fingerprint, message) VALUES (?, ?)")
            .execute(arguments: [Data(fingerprint.bytes), submission.id.rawValue])
        return nil
    }

    private mutating func entry(of id: KeyID, in database: Database) throws -> Entry? {
        if let entry = entries[id] { return entry }
        let statement = try database.cachedStatement(
            sql: """
                SELECT \(KeyRow.columns),
                    COALESCE((SELECT emails FROM usage WHERE usage.key = key.id AND day = ?), 0) AS today
                FROM key WHERE id = ?
                """)
        guard let row = try Row.fetchOne(statement, arguments: [now.day.number, id.text]) else { return nil }
        let entry = Entry(key: try KeyRow.key(row), emailsToday: row["today"])
        entries[id] = entry
        return entry
    }

    private func insert(_ submission: Submission, lane: Lane, in database: Database) throws {
        let id = submission.id.rawValue
        var spooled: String?
        if case .spooled(let body) = submission.body { spooled = body.name }
        try database.cachedStatement(
            sql: """
                INSERT INTO message (id, key, lane, client, reverse_path, subject, size, accepted_at, spooled)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(
            arguments: [
                id, submission.key.text, lane.rawValue, submission.client.data, submission.envelope.reversePath,
                submission.subject, submission.body.size, submission.acceptedAt.milliseconds, spooled,
            ])
        if case .inline(let bytes) = submission.body {
            try database.cachedStatement(sql: "INSERT INTO body (message, bytes) VALUES (?, ?)")
                .execute(arguments: [id, Data(bytes)])
        }
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since)
                VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?5)
                """)
        let recipients = submission.envelope.recipients
        for start in stride(from: 0, to: recipients.count, by: maximumRecipientsPerDelivery) {
            let part = recipients[start..<min(start + maximumRecipientsPerDelivery, recipients.count)]
            try statement.execute(
                arguments: [
                    id, submission.key.text, lane.rawValue, RecipientList.text(part),
                    submission.acceptedAt.milliseconds,
                ])
        }
    }

    func writeUsage(in database: Database) throws {
        for (id, entry) in entries where entry.messages > 0 {
            try database.cachedStatement(
                sql: """
                    INSERT INTO usage (key, day, emails, messages) VALUES (?, ?, ?, ?)
                    ON CONFLICT (key, day) DO UPDATE
                    SET emails = emails + excluded.emails, messages = messages + excluded.messages
                    """
            ).execute(arguments: [id.text, now.day.number, entry.emails, entry.messages])
            try database.cachedStatement(
                sql: """
                    UPDATE key SET emails_total = emails_total + ?, last_used_at = MAX(COALESCE(last_used_at, 0), ?)
                    WHERE id = ?
                    """
            ).execute(arguments: [entry.emails, now.milliseconds, id.text])
        }
    }
}
