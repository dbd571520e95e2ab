import RelayCore
import Synchronization

/// Decides on a batch and writes what is accepted, within one transaction. It takes two round trips, including that of
/// COMMIT.
///
/// The first round trip locks the rows that relays share: the rows of the table `key` (FOR SHARE, against changes of
/// the key), and the rows of `capped_key` for keys with a daily cap (FOR UPDATE, so that relays count one after the
/// other). Both are locked in the order of the keys. Fingerprints are inserted before anything is decided: if two
/// relays insert the same fingerprint, the second waits for the first and then finds the fingerprint.
struct AcceptanceTransaction {
    private let batch: [Submission]
    private let now: Timestamp
    private let storage: StoragePolicy
    private let node: Int64
    private let uncapped: UncappedKeys
    private let slots: SharedCountSlots
    private let requiresReplica: Bool

    /// What is stored under a fingerprint.
    private struct Remembered {
        var message: MessageID
        var content: [UInt8]?
        var requestedAt: Timestamp?
        /// When its message was accepted; nil if the message is gone.
        var acceptedAt: Timestamp?
        /// Whether the message has a delivery that is neither failed, nor cancelled, nor suppressed.
        var isAlive: Bool
    }

    /// What is to be stored under a fingerprint.
    private struct Memory: Hashable {
        var message: Int64
        var content: [UInt8]?
        var acceptedAt: Timestamp?
    }

    /// The results of the first round trip.
    private struct Found {
        var standings: [KeyID: KeyStanding] = [:]
        /// The fingerprints that did not exist yet, with the values that were inserted.
        var inserted: [Fingerprint: Memory] = [:]
        var remembered: [Fingerprint: Remembered] = [:]

        /// Stores how much of the day keys with a cap have used.
        mutating func count(_ used: QueryResult) {
            for index in 0..<used.count {
                guard let key = used[index].text(0).flatMap({ KeyID($0) }) else { continue }
                standings[key]?.emailsToday = Int(used[index].integer(1) ?? 0)
            }
        }
    }

    struct Result: Sendable {
        var outcomes: [Acceptance]
        /// The deliveries that were queued.
        var queued: [(lane: Lane, key: KeyID, due: Timestamp)]
        /// The octets of test messages' bodies.
        var testBodies: Int

        /// The ids of the messages that were accepted.
        func ids(in batch: [Submission]) -> [Int64] {
            zip(batch, outcomes).filter { $0.1 == .accepted }.map(\.0.id.rawValue)
        }
    }

    init(
        _ batch: [Submission], now: Timestamp, storage: StoragePolicy, node: Int64, uncapped: UncappedKeys,
        slots: SharedCountSlots, requiresReplica: Bool
    ) {
        self.requiresReplica = requiresReplica
        self.uncapped = uncapped
        self.slots = slots
        self.batch = batch
        self.now = now
        self.storage = storage
        self.node = node
    }

    /// Runs the transaction except COMMIT. Its last writing statements are only queued, and sent together with COMMIT.
    func run(in connection: Connection) throws -> Result {
        let found = try lockAndFind(in: connection)
        var ledger = AcceptanceLedger(now: now, storage: storage, free: nil)
        var accepted: [(submission: Submission, lane: Lane)] = []
        var memories: [Fingerprint: Memory] = [:]
        let outcomes = batch.map { submission -> Acceptance in
            let decision = ledger.decide(
                on: submission, standing: { found.standings[$0] },
                firstOfRepeat: { firstOfRepeat($0, found, memories) },
                earlierRequest: { earlierRequest($0, found, memories) })
            switch decision {
            case .refuse(let refusal): return .refused(refusal)
            case .repeated(let first): return .repeated(first)
            case .accept(let lane, let fingerprint, let requests):
                accepted.append((submission, lane))
                let id = submission.id.rawValue
                if let fingerprint { memories[fingerprint] = Memory(message: id) }
                for request in requests {
                    memories[request] = Memory(message: id, content: submission.idempotency?.content, acceptedAt: now)
                }
                return .accepted
            }
        }
        try SubmissionRows.insert(accepted, in: connection)
        try correct(found, memories, in: connection)
        try writeUsage(ledger.usage, in: connection)
        return Result(
            outcomes: outcomes, queued: accepted.map { ($0.lane, $0.submission.key, $0.submission.due) },
            testBodies: ledger.testBodies)
    }

    // MARK: The first round trip

    private func lockAndFind(in connection: Connection) throws -> Found {
        let keys = Set(batch.map(\.key))
        let proposed = proposals()
        let large = batch.compactMap { submission in
            if case .spooled(let body) = submission.body { (submission.id.rawValue, body.size) } else { nil }
        }
        try connection.queue(
            """
            SELECT \(KeyRow.columns), \(KeyRow.secrets), EXISTS (SELECT 1 FROM node WHERE id = $2 AND NOT is_dead)
            FROM key WHERE id = ANY ($1) ORDER BY id FOR SHARE
            """, [keys.map(\.text), node])
        try connection.queue(
            """
            INSERT INTO repeat (fingerprint, message, content, accepted_at)
            SELECT * FROM unnest($1, $2, $3, $4) AS x (fingerprint, message, content, accepted_at) ORDER BY fingerprint
            ON CONFLICT (fingerprint) DO NOTHING RETURNING fingerprint
            """,
            [
                proposed.map { Bytes($0.key.bytes) }, proposed.map(\.value.message),
                proposed.map { $0.value.content.map { Bytes($0) } }, proposed.map(\.value.acceptedAt),
            ])
        if requiresReplica { try connection.queue("SELECT \(ReplicaRow.commitsWait)") }
        // Most keys have no cap. If earlier batches have shown this for all these keys, caps are not asked for.
        let asksForCaps = !uncapped.are(keys)
        if asksForCaps { try queueCaps(of: keys.map(\.text), in: connection) }
        if !large.isEmpty {
            try connection.queue(
                "SELECT message, sum(octet_length(bytes))::bigint FROM body WHERE message = ANY ($1) GROUP BY message",
                [large.map(\.0)])
        }
        // The results of BEGIN and its settings come first, and are skipped.
        let results = Array(
            try connection.results().suffix(
                2 + (requiresReplica ? 1 : 0) + (asksForCaps ? 2 : 0) + (large.isEmpty ? 0 : 1)))
        // If the required standby is configured but not connected, COMMIT waits for it. If none is configured, COMMIT
        // would not wait, so the batch is refused here.
        if requiresReplica, results[2].first?.boolean(0) != true { throw StoreError.unavailable(ReplicaRow.missing) }
        if !large.isEmpty, let sizes = results.last { try verify(large, sizes) }
        var found = try found(results[0], results[1], proposed)
        let capped = found.standings.values.filter { $0.stored.key.limits.perDay != nil }.map(\.stored.key.id)
        uncapped.saw(found.standings.mapValues { $0.stored.key.limits.perDay == nil })
        if asksForCaps {
            found.count(results[requiresReplica ? 4 : 3])
        } else if !capped.isEmpty {
            // A key has got a cap in the meantime.
            try queueCaps(of: capped.map(\.text), in: connection)
            if let used = try connection.results().last { found.count(used) }
        }
        try findRepeats(beside: proposed, &found, in: connection)
        return found
    }

    /// Queues two statements. The first locks the rows of keys that have a daily cap. The second counts how many emails
    /// these keys have sent today, in a snapshot from after the lock; its result is the count.
    private func queueCaps(of keys: [String], in connection: Connection) throws {
        try connection.queue("SELECT key FROM capped_key WHERE key = ANY ($1) ORDER BY key FOR UPDATE", [keys])
        try connection.queue(
            """
            SELECT usage.key, sum(emails)::bigint FROM capped_key JOIN usage ON usage.key = capped_key.key AND day = $2
            WHERE capped_key.key = ANY ($1) GROUP BY usage.key
            """, [keys, now.day.number])
    }

    /// Looks up what is stored under fingerprints that existed already. There are nearly always none.
    private func findRepeats(
        beside proposed: [(key: Fingerprint, value: Memory)], _ found: inout Found, in connection: Connection
    ) throws {
        // Former fingerprints are only looked up, and not inserted.
        let others = Set(batch.compactMap(\.formerFingerprint)).subtracting(proposed.map(\.key))
        guard found.inserted.count < proposed.count || !others.isEmpty else { return }
        // The rows are locked: if two relays find a row that is too old, one relay replaces it and the other sees the
        // replacement.
        let rows = try connection.run(
            """
            SELECT repeat.fingerprint, repeat.message, repeat.content, repeat.accepted_at, message.accepted_at,
                EXISTS (SELECT 1 FROM delivery WHERE delivery.message = repeat.message
                    AND state NOT IN ('failed', 'cancelled', 'suppressed'))
            FROM unnest($1, $2) AS asked (fingerprint, message)
            JOIN repeat ON repeat.fingerprint = asked.fingerprint AND repeat.message <> asked.message
            LEFT JOIN message ON message.id = repeat.message
            ORDER BY repeat.fingerprint FOR UPDATE OF repeat
            """,
            [
                proposed.map { Bytes($0.key.bytes) } + others.map { Bytes($0.bytes) },
                proposed.map(\.value.message) + others.map { _ in -1 },
            ])
        let byBytes = Dictionary((proposed.map(\.key) + others).map { ($0.bytes, $0) }) { first, _ in first }
        for index in 0..<rows.count {
            let row = rows[index]
            guard let bytes = row.bytes(0), let message = row.integer(1).flatMap(MessageID.init(rawValue:)) else {
                throw StoreError.corrupt("the row of a fingerprint can't be read")
            }
            guard let fingerprint = byBytes[bytes] else { continue }
            found.remembered[fingerprint] = Remembered(
                message: message, content: row.bytes(2), requestedAt: row.timestamp(3), acceptedAt: row.timestamp(4),
                isAlive: row.boolean(5) ?? false)
        }
    }

    /// Checks that large bodies are complete. Their parts are written without waiting for the disk, so a server that
    /// took over from another one may lack some of them.
    private func verify(_ large: [(Int64, Int)], _ result: QueryResult) throws {
        var there: [Int64: Int64] = [:]
        for index in 0..<result.count { there[result[index].integer(0) ?? 0] = result[index].integer(1) }
        guard large.allSatisfy({ there[$0.0] == Int64($0.1) }) else {
            throw StoreError.unavailable("PostgreSQL has lost a part of a large message that was being stored")
        }
    }

    /// - Throws: ``StoreError/instanceLost`` if other relays may have taken over this relay's place.
    private func found(
        _ keys: QueryResult, _ inserted: QueryResult, _ proposed: [(key: Fingerprint, value: Memory)]
    ) throws -> Found {
        var found = Found()
        for index in 0..<keys.count {
            guard keys[index].boolean(KeyRow.next + KeyRow.secretsCount) == true else { throw StoreError.instanceLost }
            let stored = try KeyRow.storedKey(keys[index])
            found.standings[stored.key.id] = KeyStanding(stored: stored, emailsToday: 0)
        }
        if inserted.count == proposed.count {
            found.inserted = Dictionary(proposed) { first, _ in first }
        } else {
            let new = Set(inserted.map { $0.bytes(0) ?? [] })
            found.inserted = Dictionary(proposed.filter { new.contains($0.key.bytes) }) { first, _ in first }
        }
        return found
    }

    /// What would be remembered if all messages of the batch were accepted: each fingerprint once, in the order of the
    /// fingerprints.
    private func proposals() -> [(key: Fingerprint, value: Memory)] {
        var proposed: [Fingerprint: Memory] = [:]
        func propose(_ fingerprint: Fingerprint, _ memory: Memory) {
            if proposed[fingerprint] == nil { proposed[fingerprint] = memory }
        }
        for submission in batch {
            let id = submission.id.rawValue
            if let fingerprint = submission.fingerprint { propose(fingerprint, Memory(message: id)) }
            guard let idempotency = submission.idempotency else { continue }
            let memory = Memory(message: id, content: idempotency.content, acceptedAt: now)
            propose(idempotency.request, memory)
            if let part = idempotency.part { propose(part, memory) }
        }
        return proposed.sorted { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }
    }

    // MARK: Decisions

    private func isRecent(_ moment: Timestamp?) -> Bool {
        // A moment after `now` can be recent too: the clock may have been ahead then and be correct now.
        guard let moment else { return false }
        return moment >= now - Fingerprint.memory && moment <= now + Fingerprint.memory
    }

    /// The message under a fingerprint. A failed message does not count: it is no reason to refuse another attempt.
    private func firstOfRepeat(
        _ fingerprint: Fingerprint, _ found: Found, _ memories: [Fingerprint: Memory]
    ) -> MessageID? {
        if let own = memories[fingerprint] { return MessageID(rawValue: own.message) }
        guard let remembered = found.remembered[fingerprint], remembered.isAlive, isRecent(remembered.acceptedAt) else {
            return nil
        }
        return remembered.message
    }

    private func earlierRequest(
        _ fingerprint: Fingerprint, _ found: Found, _ memories: [Fingerprint: Memory]
    ) -> AcceptanceLedger.EarlierRequest? {
        if let own = memories[fingerprint], let content = own.content, let id = MessageID(rawValue: own.message) {
            return AcceptanceLedger.EarlierRequest(message: id, content: content)
        }
        guard let remembered = found.remembered[fingerprint], let content = remembered.content,
            isRecent(remembered.requestedAt)
        else { return nil }
        return AcceptanceLedger.EarlierRequest(message: remembered.message, content: content)
    }

    // MARK: The second round trip

    /// Corrects the rows that were inserted before the decisions and do not agree with them. Nearly always, all of them
    /// agree.
    private func correct(_ found: Found, _ memories: [Fingerprint: Memory], in connection: Connection) throws {
        let changed = memories.filter { found.inserted[$0.key] != $0.value }.sorted {
            $0.key.bytes.lexicographicallyPrecedes($1.key.bytes)
        }
        if !changed.isEmpty {
            try connection.queue(
                """
                INSERT INTO repeat (fingerprint, message, content, accepted_at) SELECT * FROM unnest($1, $2, $3, $4)
                ON CONFLICT (fingerprint) DO UPDATE
                SET message = excluded.message, content = excluded.content, accepted_at = excluded.accepted_at
                """,
                [
                    changed.map { Bytes($0.key.bytes) }, changed.map(\.value.message),
                    changed.map { $0.value.content.map { Bytes($0) } }, changed.map(\.value.acceptedAt),
                ])
        }
        let unused = found.inserted.keys.filter { memories[$0] == nil }
        if !unused.isEmpty {
            try connection.queue(
                "DELETE FROM repeat WHERE fingerprint = ANY ($1)", [unused.map { Bytes($0.bytes) }])
        }
    }

    private func writeUsage(
        _ usage: [KeyID: AcceptanceLedger.Usage], in connection: Connection
    ) throws {
        guard !usage.isEmpty else { return }
        let used = usage.sorted { $0.key.text < $1.key.text }
        let day = now.day.number
        let places = used.map { CountSlots.Place(whose: $0.key.text, day: day) }
        try connection.queue(
            """
            INSERT INTO usage (key, day, node, slot, emails, messages, last_at)
            SELECT key, $1, $2, slot, emails, messages, $3 FROM unnest($4, $5, $6, $7) AS x (key, slot, emails, messages)
            ON CONFLICT (key, day, node, slot) DO UPDATE SET emails = usage.emails + excluded.emails,
                messages = usage.messages + excluded.messages, last_at = greatest(usage.last_at, excluded.last_at)
            """,
            [
                day, node, now, places.map(\.whose), slots.usage(places), used.map(\.value.emails),
                used.map(\.value.messages),
            ])
    }
}

/// Keys that had no daily cap when they were last read. An outdated entry costs only one round trip.
final class UncappedKeys: Sendable {
    private let keys = Mutex<Set<KeyID>>([])
    private static let most = 10_000

    func are(_ asked: Set<KeyID>) -> Bool { keys.withLock { asked.isSubset(of: $0) } }

    func saw(_ seen: [KeyID: Bool]) {
        keys.withLock { keys in
            if keys.count > UncappedKeys.most { keys = [] }
            for (key, isUncapped) in seen {
                if isUncapped { keys.insert(key) } else { keys.remove(key) }
            }
        }
    }
}
