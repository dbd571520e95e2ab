import Foundation
import GRDB
import RelayCore

extension SQLiteStore: SubmissionStore {
    public func accept(
        _ batch: [Submission], now: Timestamp, completion: @escaping @Sendable (Result<[Acceptance], any Error>) -> Void
    ) {
        write(
            { database in
                var ledger = try AcceptanceLedger(database, now: now)
                let outcomes = try batch.map { try ledger.accept($0) }
                try ledger.writeUsage()
                return outcomes
            }, completion: completion)
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
        var stored: StoredKey
        var emailsToday: Int
        var emails = 0
        var messages = 0
    }

    let now: Timestamp
    private let findKey: DirectStatement
    private let repeated: DirectStatement
    private let remember: DirectStatement
    private let insertMessage: DirectStatement
    private let insertBody: DirectStatement
    private let insertDelivery: DirectStatement
    private let countUsage: DirectStatement
    private var entries: [KeyID: Entry] = [:]

    init(_ database: Database, now: Timestamp) throws {
        self.now = now
        findKey = try DirectStatement(database, KeyRow.lookUpWithEmailsToday)
        repeated = try DirectStatement(
            database,
            """
            SELECT id FROM repeat JOIN message ON message.id = repeat.message
            WHERE fingerprint = ? AND accepted_at BETWEEN ? AND ? AND EXISTS (
                SELECT 1 FROM delivery WHERE delivery.message = repeat.message AND state <> 'failed')
            """)
        remember = try DirectStatement(database, "INSERT OR REPLACE INTO repeat (fingerprint, message) VALUES (?, ?)")
        insertMessage = try DirectStatement(
            database,
            """
            INSERT INTO message (id, key, lane, client, reverse_path, subject, size, accepted_at, spooled)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        insertBody = try DirectStatement(database, "INSERT INTO body (message, bytes) VALUES (?, ?)")
        insertDelivery = try DirectStatement(
            database,
            """
            INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since)
            VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?5)
            """)
        countUsage = try DirectStatement(
            database,
            """
            INSERT INTO usage (key, day, emails, messages, last_at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (key, day) DO UPDATE
            SET emails = emails + excluded.emails, messages = messages + excluded.messages,
                last_at = MAX(COALESCE(last_at, 0), excluded.last_at)
            """)
    }

    mutating func accept(_ submission: Submission) throws -> Acceptance {
        guard var entry = try entry(of: submission.key) else {
            return .refused(Refusal(.keyRevoked, "This API key no longer exists; use another one"))
        }
        let key = entry.stored.key
        if let refusal = entry.stored.refusalOfSending(with: submission.secret, from: submission.client, at: now) {
            return .refused(refusal)
        }
        if let first = try firstOfRepeat(submission, key) { return .repeated(first) }
        let emails = submission.envelope.recipients.count
        if let cap = key.limits.perDay, entry.emailsToday + entry.emails + emails > cap {
            return .refused(Refusal.dayUsedUp(cap: cap, at: now))
        }
        try insert(submission, lane: key.environment)
        entry.emails += emails
        entry.messages += 1
        entries[submission.key] = entry
        return .accepted
    }

    /// The message that this one repeats. One that has failed is no reason to refuse another try.
    ///
    /// Its age is told by when it was accepted: ids never go back, so after a clock that was ahead they are ahead of it. Then a
    /// message may also be of later than now.
    private func firstOfRepeat(_ submission: Submission, _ key: Key) throws -> MessageID? {
        guard let fingerprint = submission.fingerprint, key.detectsRepeats else { return nil }
        repeated.bind(fingerprint.bytes, at: 1)
        repeated.bind((now - Fingerprint.memory).milliseconds, at: 2)
        repeated.bind((now + Fingerprint.memory).milliseconds, at: 3)
        if let first = try repeated.firstInteger() { return MessageID(rawValue: first) }
        remember.bind(fingerprint.bytes, at: 1)
        remember.bind(submission.id.rawValue, at: 2)
        try remember.run()
        return nil
    }

    private mutating func entry(of id: KeyID) throws -> Entry? {
        if let entry = entries[id] { return entry }
        guard let (stored, emailsToday) = try KeyRow.withEmailsToday(id, now, findKey) else { return nil }
        let entry = Entry(stored: stored, emailsToday: emailsToday)
        entries[id] = entry
        return entry
    }

    private func insert(_ submission: Submission, lane: Lane) throws {
        let id = submission.id.rawValue
        insertMessage.bind(id, at: 1)
        insertMessage.bind(submission.key.text, at: 2)
        insertMessage.bind(lane.rawValue, at: 3)
        insertMessage.bind(submission.client.bytes, at: 4)
        insertMessage.bind(submission.envelope.reversePath, at: 5)
        insertMessage.bind(submission.subject, at: 6)
        insertMessage.bind(Int64(submission.body.size), at: 7)
        insertMessage.bind(submission.acceptedAt.milliseconds, at: 8)
        switch submission.body {
        case .inline(let bytes):
            insertMessage.bind(nil, at: 9)
            try insertMessage.run()
            insertBody.bind(id, at: 1)
            try insertBody.binding(borrowed: bytes, at: 2) { try insertBody.run() }
        case .spooled(let body):
            insertMessage.bind(body.name, at: 9)
            try insertMessage.run()
        }
        insertDelivery.bind(id, at: 1)
        insertDelivery.bind(submission.key.text, at: 2)
        insertDelivery.bind(lane.rawValue, at: 3)
        insertDelivery.bind(submission.acceptedAt.milliseconds, at: 5)
        let recipients = submission.envelope.recipients
        for start in stride(from: 0, to: recipients.count, by: maximumRecipientsPerDelivery) {
            let part = recipients[start..<min(start + maximumRecipientsPerDelivery, recipients.count)]
            insertDelivery.bind(RecipientList.text(part), at: 4)
            try insertDelivery.run()
        }
    }

    func writeUsage() throws {
        for (id, entry) in entries where entry.messages > 0 {
            countUsage.bind(id.text, at: 1)
            countUsage.bind(now.day.number, at: 2)
            countUsage.bind(Int64(entry.emails), at: 3)
            countUsage.bind(Int64(entry.messages), at: 4)
            countUsage.bind(now.milliseconds, at: 5)
            try countUsage.run()
        }
    }
}
