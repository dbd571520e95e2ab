import RelayCore
import Synchronization

/// A store for one process, in memory. It does everything that the contract of stores requires, and writes nothing to
/// disk.
public final class MemoryStore: KeyStore, SubmissionStore, DeliveryQueue, MessageCancellation, MessageRecords,
    FeedbackStore, SuppressionStore, SenderReportStore, WebhookStore, OperatorSessionStore, TemplateStore,
    StatisticsStore, SimulatedDomainStore
{
    private struct State {
        var tables = MemoryTables()
        var spooled: [String: [UInt8]] = [:]
    }

    private let state = Mutex(State())

    public let instance: Int64 = 1
    public let repeatKey = ContentHash.Key([UInt8](repeating: 7, count: ContentHash.Key.length)).map { RepeatKey($0) }
    public let newestMessage: MessageID? = nil

    public init() {}

    public func requests(
        under fingerprints: [Fingerprint], now: Timestamp
    ) async throws -> [Fingerprint: AcceptanceLedger.EarlierRequest] {
        tables { tables in
            fingerprints.reduce(into: [:]) { $0[$1] = tables.request(under: $1, now) }
        }
    }

    func tables<T>(_ body: (inout MemoryTables) throws -> T) rethrows -> T {
        try state.withLock { try body(&$0.tables) }
    }

    // MARK: Keys

    public func insertKey(_ key: StoredKey) async throws {
        tables { $0.keys[key.key.id] = (key, KeyUsage(), [:]) }
    }

    public func storedKey(_ id: KeyID, completion: @escaping @Sendable (Result<StoredKey?, any Error>) -> Void) {
        completion(.success(tables { $0.keys[id]?.stored }))
    }

    public func keyRecord(_ id: KeyID, now: Timestamp) async throws -> KeyRecord? {
        try await keyRecords(includingRevoked: true, now: now).first { $0.key.id == id }
    }

    public func keyRecords(includingRevoked: Bool, now: Timestamp) async throws -> [KeyRecord] {
        let today = now.day.number
        return tables { tables in
            tables.keys.values.map { entry in
                var usage = entry.usage
                usage.emailsToday = entry.days[today] ?? 0
                usage.feedback =
                    tables.told.counts[entry.stored.key.id]?.filter { today - 30 < $0.key && $0.key <= today }
                    .values.reduce(FeedbackCounts(), +) ?? FeedbackCounts()
                usage.emails30Days = entry.days.filter { today - 30 < $0.key && $0.key <= today }.values.reduce(0, +)
                return KeyRecord(key: entry.stored.key, usage: usage)
            }
        }
        .filter { includingRevoked || $0.key.revokedAt == nil }
        .sorted { ($0.key.createdAt.milliseconds, $0.key.id.text) < ($1.key.createdAt.milliseconds, $1.key.id.text) }
    }

    public func updateKey(_ id: KeyID, _ change: @escaping @Sendable (inout Key) -> Void) async throws {
        try tables { tables in
            guard var key = tables.keys[id]?.stored.key else { throw StoreError.noSuchKey(id) }
            change(&key)
            tables.keys[id]?.stored.key = key
        }
    }

    public func rotateKey(_ id: KeyID, digest: KeyDigest, previousUntil: Timestamp) async throws {
        try tables { tables in
            guard let stored = tables.keys[id]?.stored else { throw StoreError.noSuchKey(id) }
            tables.keys[id]?.stored.previous = (stored.digest, previousUntil)
            tables.keys[id]?.stored.digest = digest
        }
    }

    public func revokeKey(_ id: KeyID, queued: QueuedDisposition, now: Timestamp) async throws {
        try tables { try $0.revoke(id, queued: queued, now: now) }
    }

    public func record(_ activity: [KeyID: KeyActivity]) async throws {
        tables { tables in
            for (id, delta) in activity {
                guard var usage = tables.keys[id]?.usage else { continue }
                usage.lastUsedAt = [usage.lastUsedAt, delta.lastUsedAt].compactMap { $0 }.max()
                usage.rateLimitHits += delta.rateLimitHits
                usage.authFailures += delta.authFailures
                tables.keys[id]?.usage = usage
            }
        }
    }

    public func currentKeys(_ ids: [KeyID]) async throws -> [KeyID: StoredKey] {
        tables { tables in
            ids.reduce(into: [:]) { $0[$1] = tables.keys[$1]?.stored }
        }
    }

    /// No other process changes the store.
    public func changeCounter() async throws -> Int64 { 0 }

    // MARK: Messages

    public func accept(
        _ batch: [Submission], now: Timestamp, completion: @escaping @Sendable (Result<[Acceptance], any Error>) -> Void
    ) {
        let outcomes = state.withLock { state in
            state.tables.accept(batch, now: now, storage: .unlimited, free: nil, spooled: state.spooled)
        }
        completion(.success(outcomes))
    }

    public func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile {
        state.withLock { $0.spooled[id.description] = [] }
        return MemorySpoolFile(store: self, name: id.description)
    }

    public func discard(_ body: SpooledBody) async { remove(body.name) }

    fileprivate func append(_ bytes: [UInt8], to name: String) {
        state.withLock { $0.spooled[name, default: []] += bytes }
    }
    fileprivate func size(of name: String) -> Int { state.withLock { $0.spooled[name]?.count ?? 0 } }
    fileprivate func remove(_ name: String) { state.withLock { $0.spooled[name] = nil } }

    public func body(of message: MessageID) async throws -> any StoredBody {
        MemoryBody(bytes: try tables { try $0.body(of: message) })
    }

    // MARK: Queue

    public func claim(
        lane: Lane, limit: Int, recipients: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> DeliveryClaim {
        tables { $0.claim(lane: lane, limit: limit, recipients: recipients, leaseUntil: leaseUntil, now: now) }
    }

    public func extendLease(_ deliveries: [DeliveryID], until: Timestamp) async throws {
        tables { $0.extendLease(deliveries, until: until) }
    }

    public func settle(_ batch: [Settlement]) async throws {
        tables { tables in
            for settlement in batch { tables.settle(settlement) }
        }
    }

    public func reclaimAbandoned(lane: Lane, now: Timestamp) async throws -> Int {
        tables { $0.reclaimAbandoned(lane: lane, now: now) }
    }

    public func nextDue(lane: Lane) async throws -> Timestamp? { tables { $0.nextDue(lane: lane) } }

    public func record(_ status: LaneStatus) async throws { tables { $0.record(status) } }

    public func bringForward(lane: Lane, dueAfter latest: Timestamp, now: Timestamp) async throws -> Int {
        tables { $0.bringForward(lane: lane, dueAfter: latest, now: now) }
    }

    // MARK: Records

    public func cancel(_ cancellation: Cancellation, now: Timestamp) async throws -> CancelOutcome {
        tables { $0.cancel(cancellation, now: now) }
    }

    public func messages(_ filter: MessageFilter, now: Timestamp) async throws -> [MessageRecord] {
        Array(tables { $0.records(filter, now: now) }.prefix(filter.limit))
    }

    public func messagePage(
        _ filter: MessageFilter, lookingAt most: Int, now: Timestamp
    ) async throws -> MessagePage {
        tables { $0.page(filter, lookingAt: most, now: now) }
    }

    public func indexWords() async throws -> Int {
        tables { $0.indexed = Set($0.messages.keys) }
        return 0
    }

    public func queueStatus(now: Timestamp) async throws -> QueueStatus { tables { $0.status(now: now) } }

    public func matching(
        _ operatorAction: OperatorAction, _ filter: MessageFilter, now: Timestamp, progress: @Sendable (Int) -> Void
    ) async throws -> [MessageID] {
        let found = try tables { try $0.matching(operatorAction, filter, now: now) }
        progress(found.count)
        return found
    }

    public func perform(_ operatorAction: OperatorAction, _ messages: [MessageID], now: Timestamp) async throws -> Int {
        tables { $0.perform(operatorAction, messages, now: now) }
    }

    public func prune(_ retention: Retention, now: Timestamp) async throws -> Bool {
        tables { $0.prune(retention, now: now) }
        return false
    }
}

private struct MemorySpoolFile: SpoolFile {
    let store: MemoryStore
    let name: String

    func append(_ bytes: [UInt8]) async throws { store.append(bytes, to: name) }
    func finish() async throws -> SpooledBody { SpooledBody(name: name, size: store.size(of: name)) }
    func discard() async { store.remove(name) }
}
