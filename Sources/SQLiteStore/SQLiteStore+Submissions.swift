import Foundation
import GRDB
import RelayCore
import Synchronization

extension SQLiteStore: SubmissionStore {
    public func accept(
        _ batch: [Submission], now: Timestamp, completion: @escaping @Sendable (Result<[Acceptance], any Error>) -> Void
    ) {
        let storage = storage
        write(
            { [self, free = space.free] database in
                var writer = try AcceptanceWriter(database, now: now, storage: storage, free: free())
                let outcomes = try batch.map { try writer.accept($0) }
                try writer.writeUsage()
                return (outcomes, try count(writer.testBodies, limit: storage.simulatedSize, in: database))
            },
            completion: { [self] result in
                completion(result.map(\.0))
                guard case .success(let (outcomes, count)) = result else { return }
                discardRefused(batch, outcomes)
                uncountedBodies.store(count.uncounted, ordering: .relaxed)
                if let total = count.total, total > storage.simulatedSize { dropSimulatedSoon() }
            })
    }

    /// Adds the sizes of test messages' bodies to the stored total once there are many octets: each transaction that
    /// changes the row of the total writes a page.
    ///
    /// - Returns: the octets that are not counted yet, and the new total if octets were added to it.
    private func count(
        _ bytes: Int, limit: Int, in database: Database
    ) throws -> (uncounted: Int, total: Int?) {
        let uncounted = uncountedBodies.load(ordering: .relaxed) + bytes
        guard bytes > 0, uncounted >= min(limit / 1024, SimulatedBodies.mostUncounted) else { return (uncounted, nil) }
        return (0, try SimulatedBodies.add(uncounted, in: database))
    }

    /// Deletes the spooled bodies of messages that were refused for lack of space. Without this, they would stay until
    /// the next start.
    private func discardRefused(_ batch: [Submission], _ outcomes: [Acceptance]) {
        for (submission, outcome) in zip(batch, outcomes) {
            guard case .refused(let refusal) = outcome, refusal.reason == .storage,
                case .spooled(let body) = submission.body
            else { continue }
            spool.remove([body.name])
        }
    }

    public func refusalOfSpace(for environment: Environment, size: Int) -> Refusal? {
        storage.refusal(of: environment, size: size, free: space.latest(refreshingOn: spool.queue))
    }

    public func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile {
        try await spool.make(id.description)
    }

    public func discard(_ body: SpooledBody) async { spool.remove([body.name]) }

    /// Deletes bodies in the spool that no message refers to and that no live relay is writing: remains of a crash.
    func removeOrphans(beside path: String) throws {
        let names = try spool.names()
        let orphans = try pool.read { database in
            try names.filter { name in
                guard let id = MessageID(name) else { return false }
                // Another relay may be creating this body: its file exists, but its message has no row yet.
                guard id.instance == instance || instanceLock?.isHeld(id.instance) == false else { return false }
                // Each file is looked up by its id: there may be far more messages than files.
                return try Bool.fetchOne(
                    database.cachedStatement(
                        sql: "SELECT NOT EXISTS (SELECT 1 FROM message WHERE id = ? AND spooled = ?)"),
                    arguments: [id.rawValue, name]) ?? false
            }
        }
        spool.removeNow(orphans)
    }
}

extension SQLiteStore {
    public func requests(
        under fingerprints: [Fingerprint], now: Timestamp
    ) async throws -> [Fingerprint: AcceptanceLedger.EarlierRequest] {
        try await read { database in
            let find = try AcceptanceWriter.findRequest(database)
            var found: [Fingerprint: AcceptanceLedger.EarlierRequest] = [:]
            for fingerprint in fingerprints {
                found[fingerprint] = try AcceptanceWriter.request(under: fingerprint, now, find)
            }
            return found
        }
    }
}

/// Writes the decisions of an ``AcceptanceLedger``.
private struct AcceptanceWriter {
    private var ledger: AcceptanceLedger
    private let database: Database
    private let findKey: DirectStatement
    private let repeated: DirectStatement
    private let remember: DirectStatement
    private let rows: SubmissionRows
    private let countUsage: DirectStatement

    init(_ database: Database, now: Timestamp, storage: StoragePolicy, free: Int?) throws {
        self.database = database
        ledger = AcceptanceLedger(now: now, storage: storage, free: free)
        findKey = try DirectStatement(database, KeyRow.lookUpWithEmailsToday)
        repeated = try DirectStatement(
            database,
            """
            SELECT id FROM repeat JOIN message ON message.id = repeat.message
            WHERE fingerprint = ? AND message.accepted_at BETWEEN ? AND ? AND EXISTS (
                SELECT 1 FROM delivery
                WHERE delivery.message = repeat.message AND state NOT IN ('failed', 'cancelled', 'suppressed'))
            """)
        remember = try DirectStatement(database, "INSERT OR REPLACE INTO repeat (fingerprint, message) VALUES (?, ?)")
        rows = try SubmissionRows(database)
        countUsage = try DirectStatement(
            database,
            """
            INSERT INTO usage (key, day, emails, messages, last_at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (key, day) DO UPDATE
            SET emails = emails + excluded.emails, messages = messages + excluded.messages,
                last_at = MAX(COALESCE(last_at, 0), excluded.last_at)
            """)
    }

    // Most batches do not use the following statements, so they are prepared only when needed.

    static func findRequest(_ database: Database) throws -> DirectStatement {
        try DirectStatement(
            database,
            """
            SELECT message, content FROM repeat
            WHERE fingerprint = ? AND accepted_at BETWEEN ? AND ? AND content IS NOT NULL
            """)
    }

    private func rememberRequest() throws -> DirectStatement {
        try DirectStatement(
            database, "INSERT OR REPLACE INTO repeat (fingerprint, message, content, accepted_at) VALUES (?, ?, ?, ?)")
    }

    mutating func accept(_ submission: Submission) throws -> Acceptance {
        let (now, findKey, repeated, database) = (ledger.now, findKey, repeated, database)
        let decision = try ledger.decide(
            on: submission, standing: { try KeyRow.withEmailsToday($0, now, findKey) },
            firstOfRepeat: { try AcceptanceWriter.message(under: $0, now, repeated) },
            earlierRequest: { try AcceptanceWriter.request(under: $0, now, AcceptanceWriter.findRequest(database)) })
        switch decision {
        case .refuse(let refusal): return .refused(refusal)
        case .repeated(let first): return .repeated(first)
        case .accept(let lane, let fingerprint, let requests):
            if let fingerprint {
                remember.bind(fingerprint.bytes, at: 1)
                remember.bind(submission.id.rawValue, at: 2)
                try remember.run()
            }
            if let content = submission.idempotency?.content, !requests.isEmpty {
                let rememberRequest = try rememberRequest()
                for fingerprint in requests {
                    rememberRequest.bind(fingerprint.bytes, at: 1)
                    rememberRequest.bind(submission.id.rawValue, at: 2)
                    rememberRequest.bind(content, at: 3)
                    rememberRequest.bind(now.milliseconds, at: 4)
                    try rememberRequest.run()
                }
            }
            try rows.insert(submission, lane: lane)
            return .accepted
        }
    }

    /// The message under the fingerprint. A failed message does not count: it is no reason to refuse another attempt.
    ///
    /// The message's age is determined by its time of acceptance, not by its id: ids never go back, so after the clock
    /// was ahead, ids are ahead of the clock. The time of acceptance may then also be later than `now`.
    private static func message(
        under fingerprint: Fingerprint, _ now: Timestamp, _ repeated: DirectStatement
    ) throws -> MessageID? {
        repeated.bind(fingerprint.bytes, at: 1)
        repeated.bind((now - Fingerprint.memory).milliseconds, at: 2)
        repeated.bind((now + Fingerprint.memory).milliseconds, at: 3)
        return try repeated.firstInteger().flatMap(MessageID.init(rawValue:))
    }

    /// The request that was accepted under the fingerprint of an idempotency key.
    static func request(
        under fingerprint: Fingerprint, _ now: Timestamp, _ find: DirectStatement
    ) throws -> AcceptanceLedger.EarlierRequest? {
        find.bind(fingerprint.bytes, at: 1)
        find.bind((now - Fingerprint.memory).milliseconds, at: 2)
        find.bind((now + Fingerprint.memory).milliseconds, at: 3)
        return try find.first { row in
            guard let id = row.integer(0).flatMap(MessageID.init(rawValue:)), let content = row.bytes(1) else {
                throw StoreError.corrupt("the row of an idempotency key can't be read")
            }
            return AcceptanceLedger.EarlierRequest(message: id, content: content)
        }
    }

    func writeUsage() throws {
        for (id, used) in ledger.usage {
            countUsage.bind(id.text, at: 1)
            countUsage.bind(ledger.now.day.number, at: 2)
            countUsage.bind(Int64(used.emails), at: 3)
            countUsage.bind(Int64(used.messages), at: 4)
            countUsage.bind(ledger.now.milliseconds, at: 5)
            try countUsage.run()
        }
    }

    /// The octets of test messages' bodies in the batch.
    var testBodies: Int { ledger.testBodies }
}

/// Inserts the rows of a message that is put into the queue.
struct SubmissionRows {
    private let database: Database
    private let insertMessage: DirectStatement
    private let insertBody: DirectStatement
    private let insertDelivery: DirectStatement

    init(_ database: Database) throws {
        self.database = database
        insertMessage = try DirectStatement(
            database,
            """
            INSERT INTO message (id, key, lane, client, reverse_path, subject, size, accepted_at, spooled, tags,
                automatic, template)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        insertBody = try DirectStatement(database, "INSERT INTO body (message, bytes) VALUES (?, ?)")
        insertDelivery = try DirectStatement(
            database,
            """
            INSERT INTO delivery (message, key, lane, recipients, state, next_attempt_at, queued_since, scheduled_at,
                counted)
            VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?5, ?6, ?7)
            """)
    }

    /// Most messages have no tags, so the statement is prepared only when needed.
    private func insertTag() throws -> DirectStatement {
        try DirectStatement(database, "INSERT INTO tag (key, tag, message) VALUES (?, ?, ?)")
    }

    func insert(_ submission: Submission, lane: Lane) throws {
        let id = submission.id.rawValue
        insertMessage.bind(id, at: 1)
        insertMessage.bind(submission.key.text, at: 2)
        insertMessage.bind(lane.rawValue, at: 3)
        insertMessage.bind(submission.client.bytes, at: 4)
        insertMessage.bind(submission.envelope.reversePath, at: 5)
        insertMessage.bind(submission.subject, at: 6)
        insertMessage.bind(Int64(submission.body.size), at: 7)
        insertMessage.bind(submission.acceptedAt.milliseconds, at: 8)
        insertMessage.bind(TagList.text(submission.tags), at: 10)
        insertMessage.bind(submission.isAutomatic ? 1 : 0, at: 11)
        insertMessage.bind(submission.template?.description, at: 12)
        switch submission.body {
        case .inline(let bytes):
            insertMessage.bind(nil as String?, at: 9)
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
        insertDelivery.bind(submission.due.milliseconds, at: 5)
        insertDelivery.bind(submission.waitsUntil?.milliseconds, at: 6)
        insertDelivery.bind(submission.isCounted ? 1 : nil, at: 7)
        let recipients = submission.envelope.recipients
        for start in stride(from: 0, to: recipients.count, by: maximumRecipientsPerDelivery) {
            let part = recipients[start..<min(start + maximumRecipientsPerDelivery, recipients.count)]
            insertDelivery.bind(RecipientList.text(part), at: 4)
            try insertDelivery.run()
        }
        guard !submission.tags.isEmpty else { return }
        let insertTag = try insertTag()
        for tag in submission.tags {
            insertTag.bind(submission.key.text, at: 1)
            insertTag.bind(tag, at: 2)
            insertTag.bind(id, at: 3)
            try insertTag.run()
        }
    }
}
