/// What becomes of a revoked key's deliveries that have not ended.
public enum QueuedDisposition: String, CaseIterable, Sendable {
    case deliver, hold, drop
}

/// What admission asks about keys: what they are now, and what has become of them meanwhile.
public protocol KeyDirectoryStore: Sendable {
    /// Looks a key up; nil when there is none. Returns at once. `completion` is called once, on a thread of the store's, with
    /// the key or a ``StoreError``.
    func storedKey(_ id: KeyID, completion: @escaping @Sendable (Result<StoredKey?, any Error>) -> Void)
    /// Adds what happened to keys; ids that are unknown are ignored.
    func record(_ activity: [KeyID: KeyActivity]) async throws
    /// Those of `ids` that exist, as they stand now.
    func currentKeys(_ ids: [KeyID]) async throws -> [KeyID: StoredKey]
    /// Changes whenever another process changed the store; cheap enough to ask several times a second.
    func changeCounter() async throws -> Int64
}

/// What operators do with keys. Every change takes effect at once in every process on the same store.
public protocol KeyAdministration: Sendable {
    func insertKey(_ key: StoredKey) async throws
    func keyRecord(_ id: KeyID, now: Timestamp) async throws -> KeyRecord?
    /// By creation, oldest first.
    func keyRecords(includingRevoked: Bool, now: Timestamp) async throws -> [KeyRecord]
    /// A part of the list of keys, newest first. Takes no longer for more keys, unless a text is looked for.
    func keyRecords(_ filter: KeyFilter, now: Timestamp) async throws -> [KeyRecord]
    /// Days of these keys' use, of the last `days` UTC days with today, earliest first. Days without any use are left out.
    func use(of keys: [KeyID], days: Int, now: Timestamp) async throws -> [KeyID: [KeyDay]]
    /// Changes the rules of a key (name, scopes, limits, domains, networks, repeats, expiry) as they are at that moment. Throws
    /// ``StoreError/noSuchKey(_:)``.
    func updateKey(_ id: KeyID, _ change: @escaping @Sendable (inout Key) -> Void) async throws
    /// Sets a new digest; the one before is accepted until `previousUntil`.
    func rotateKey(_ id: KeyID, digest: KeyDigest, previousUntil: Timestamp) async throws
    /// Revokes, and does with the key's unfinished deliveries what is asked, in one transaction. From its return on no
    /// message of the key is accepted by any process. Revoking again keeps the first time.
    func revokeKey(_ id: KeyID, queued: QueuedDisposition, now: Timestamp) async throws
}

/// Keys with their rules and usage.
public typealias KeyStore = KeyDirectoryStore & KeyAdministration

/// All that a relay and its commands ask of a store, whatever it stands on.
public protocol RelayStore: KeyDirectoryStore, KeyAdministration, SubmissionStore, DeliveryQueue, MessageCancellation,
    MessageRecords, FeedbackStore, SuppressionStore, SenderReportStore, WebhookStore, OperatorSessionStore,
    TemplateStore, StatisticsStore, SimulatedDomainStore
{
    /// What is kept free, and how much simulated bodies may take. May change at any time.
    var storage: StoragePolicy { get nonmutating set }
    /// Writes what is there already, synced. Throws a ``StoreError`` when the store can't be written just now.
    func checkWritable() async throws
    /// Returns once the store has come around to those who write and to those who read: a sign of life, also while the
    /// database can't be used.
    func turn() async
    /// The version of the tables as they are. Throws a ``StoreError`` when the store can't be read just now.
    func schemaVersion() async throws -> Int
    /// The envelope senders of a key's newest messages, of at most `limit` of them, each once, the latest first; the null
    /// reverse-path is left out.
    func recentSenders(of key: KeyID, amongLast limit: Int) async throws -> [String]
    /// The relays on this store, by number; empty for a store that only one relay uses.
    func nodes(now: Timestamp) async throws -> [NodeRecord]
    /// The clock that all relays on this store share. Nil: each has its machine's.
    var clock: (any RelayClock)? { get }
    /// What is under way is finished first.
    func close() throws
}

extension RelayStore {
    /// For a store that only one relay uses.
    public func nodes(now: Timestamp) async throws -> [NodeRecord] { [] }
    public var clock: (any RelayClock)? { nil }
}

extension KeyDirectoryStore {
    public func storedKey(_ id: KeyID) async throws -> StoredKey? {
        try await withCheckedThrowingContinuation { continuation in
            storedKey(id) { continuation.resume(with: $0) }
        }
    }
}

public enum Acceptance: Sendable, Hashable {
    case accepted
    /// It was accepted already, under this id: the client sent it before, within ``Fingerprint/memory``.
    case repeated(MessageID)
    /// Decided in the transaction itself, by ``AcceptanceLedger``.
    case refused(Refusal)
}

/// Takes messages into the durable queue.
public protocol SubmissionStore: Sendable {
    /// Decides on a batch in one transaction, each submission in order, as ``AcceptanceLedger`` does, and stores what is
    /// accepted: the message, its deliveries (50 recipients each) and the usage. A spooled body that is refused for want of
    /// space (``RefusalReason/storage``) is removed.
    ///
    /// Returns at once. `completion` is called once, on a thread of the store's, when the batch is synced to disk, or with
    /// the ``StoreError`` for which nothing of it was stored. A completion in place of `async`: an acceptance is waited for by
    /// an event loop, and a task between the two costs a thread's waking each way.
    func accept(
        _ batch: [Submission], now: Timestamp, completion: @escaping @Sendable (Result<[Acceptance], any Error>) -> Void
    )

    /// What was accepted under these fingerprints of an ``Idempotency`` within ``Fingerprint/memory`` of `now`, as far as anything was.
    func requests(
        under fingerprints: [Fingerprint], now: Timestamp
    ) async throws -> [Fingerprint: AcceptanceLedger.EarlierRequest]

    /// Begins a body too large for memory.
    func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile

    /// Removes a finished body that no row refers to, because its submission was refused.
    func discard(_ body: SpooledBody) async

    /// Whether a message of this size would be refused for want of space (``StoragePolicy``), as far as the store knows at the
    /// moment: for an early answer, so that it is not sent for nothing. Returns at once. The answer that counts is that of
    /// ``accept(_:now:completion:)``.
    func refusalOfSpace(for environment: Environment, size: Int) -> Refusal?

    /// A number that no other live instance on this store has, for message ids. Another one once this process has lost its number, so
    /// it is asked for each id. Cheap, from any thread.
    var instance: Int64 { get }

    /// With which contents are hashed, so that a message that is sent again is known: the same in all relays on this store, from a
    /// generator of random numbers. Nil for a store that knows no message again.
    var repeatKey: RepeatKey? { get }

    /// The message with the greatest id when the store was opened.
    var newestMessage: MessageID? { get }

    /// The rates of keys, where several relays share them. Nil: this process alone decides.
    var rates: (any SharedRates)? { get }
}

extension SubmissionStore {
    /// For a store that remembers no requests.
    public func requests(
        under fingerprints: [Fingerprint], now: Timestamp
    ) async throws -> [Fingerprint: AcceptanceLedger.EarlierRequest] { [:] }

    /// For a store that has no disk to run out of.
    public func refusalOfSpace(for environment: Environment, size: Int) -> Refusal? { nil }

    /// For a store that only one relay uses.
    public var rates: (any SharedRates)? { nil }

    /// As ``accept(_:now:completion:)``, for who has a task anyway.
    public func accept(_ batch: [Submission], now: Timestamp) async throws -> [Acceptance] {
        try await withCheckedThrowingContinuation { continuation in
            accept(batch, now: now) { continuation.resume(with: $0) }
        }
    }
}

/// A body on its way to disk. Calls come one after the other; exactly one of `finish` and `discard` is the last.
public protocol SpoolFile: Sendable {
    func append(_ bytes: [UInt8]) async throws
    /// Syncs the file and its directory; from then on it may be referred to.
    func finish() async throws -> SpooledBody
    func discard() async
}

/// A stored body that can be read more than once, in pieces.
public protocol StoredBody: Sendable {
    var size: Int { get }
    /// At most `count` bytes from `offset`; empty at the end only.
    func read(at offset: Int, count: Int) async throws -> [UInt8]
    /// Whether what was read may still be sent, to be asked right before it is: time may have passed since. Cheap, from any thread.
    var mayBeSent: Bool { get }
}

extension StoredBody {
    public var mayBeSent: Bool { true }
}

/// A body of a size to have in memory.
public struct MemoryBody: StoredBody {
    private let bytes: [UInt8]

    public var size: Int { bytes.count }

    public init(bytes: [UInt8]) { self.bytes = bytes }

    public func read(at offset: Int, count: Int) async throws -> [UInt8] {
        guard offset < bytes.count else { return [] }
        return offset == 0 && count >= bytes.count ? bytes : Array(bytes[offset..<min(bytes.count, offset + count)])
    }
}

/// What a worker gets from the queue.
public struct DeliveryClaim: Sendable {
    /// To be handed to the transport; each has a recipient.
    public var deliveries: [ClaimedDelivery]
    /// Those that ended at once, since all their recipients are suppressed; with all their recipients.
    public var suppressed: [ClaimedDelivery]

    public init(_ deliveries: [ClaimedDelivery], suppressed: [ClaimedDelivery] = []) {
        self.deliveries = deliveries
        self.suppressed = suppressed
    }
}

/// The worker's side of the queue.
public protocol DeliveryQueue: Sendable {
    /// Takes due deliveries of a lane under a lease, at most `limit`, no more than one round apart between keys: each key
    /// with due deliveries gives one in turn, oldest first, until the limit is reached, or they have `recipients` recipients
    /// together, or more with the last. May bring small bodies with them.
    ///
    /// Recipients on the list of suppressions are left out, for good: each has the event `suppressed` from then on. A delivery that
    /// has no other ends in the same transaction.
    func claim(
        lane: Lane, limit: Int, recipients: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> DeliveryClaim
    func extendLease(_ deliveries: [DeliveryID], until: Timestamp) async throws
    /// Records a batch of outcomes in one transaction, synced. The outcome of a delivery that another relay has taken meanwhile is left
    /// out.
    func settle(_ batch: [Settlement]) async throws
    /// Puts deliveries back whose lease has run out or whose holder is known to be gone; of those that this process has
    /// itself, only the lane's, which knows what it is still at work on. A live delivery that may have been sent meanwhile is
    /// marked maybe-duplicate. Returns how many.
    func reclaimAbandoned(lane: Lane, now: Timestamp) async throws -> Int
    /// When the next queued delivery of the lane falls due; nil when none is queued.
    func nextDue(lane: Lane) async throws -> Timestamp?
    func body(of message: MessageID) async throws -> any StoredBody
    func record(_ status: LaneStatus) async throws
    /// Makes due at once what is queued in the lane for later than `latest`, but for what waits for the time that it was scheduled
    /// for. Nothing else waits for so long, unless the clock was put back since. Returns how many.
    func bringForward(lane: Lane, dueAfter latest: Timestamp, now: Timestamp) async throws -> Int
    /// False once this process could not renew its place in the store for so long that other relays may take what it has claimed:
    /// nothing of it may be sent then, and nothing is claimed. Cheap, from any thread.
    var ownsClaims: Bool { get }
    /// False once other relays may have taken a delivery that this process has claimed: as ``ownsClaims`` says, or since it was claimed in
    /// a place that this process has lost, also where it has another by now. Cheap, from any thread.
    func owns(_ delivery: ClaimedDelivery) -> Bool
    /// The part of the account's rate that this process may use. May change at any time. Cheap, from any thread.
    var shareOfRate: RateShare { get }
    /// How often to look for deliveries of relays that are gone.
    var reclaimInterval: Duration { get }
}

extension DeliveryQueue {
    /// For a queue that only one relay uses.
    public var ownsClaims: Bool { true }
    public func owns(_ delivery: ClaimedDelivery) -> Bool { ownsClaims }
    public var shareOfRate: RateShare { .whole }
    /// Seldom: only a lease that ran out brings something back.
    public var reclaimInterval: Duration { .seconds(30) }
}

/// What a key's holder may do with the key's messages once they are accepted.
public protocol MessageCancellation: Sendable {
    /// Ends a message of which nothing is on its way yet, as ``Cancellation/decide(_:owner:deliveries:at:)`` has it, in one
    /// transaction, synced.
    func cancel(_ cancellation: Cancellation, now: Timestamp) async throws -> CancelOutcome
}

/// The operator's side: what is known of messages, and the changes that a person may make.
public protocol MessageRecords: Sendable {
    /// Newest first. What is scheduled for later than `now` has the state ``MessageState/scheduled``.
    func messages(_ filter: MessageFilter, now: Timestamp) async throws -> [MessageRecord]
    /// A part of that list, for which at most `most` messages are looked at, or a page of the store's more: it takes a bounded time,
    /// also where few or none satisfy the filter.
    func messagePage(_ filter: MessageFilter, lookingAt most: Int, now: Timestamp) async throws -> MessagePage
    /// Brings messages that have come since into the index of words (``MessageFilter/words``), a bounded number. Returns how many
    /// deliveries are left at least; 0: all of them are in it.
    func indexWords() async throws -> Int
    func body(of message: MessageID) async throws -> any StoredBody
    func queueStatus(now: Timestamp) async throws -> QueueStatus
    /// The messages that satisfy the filter and that `steering` would change something about, newest first. Throws
    /// ``StoreError/noSuchMessage(_:)`` for an id that there is not, and ``StoreError/bodyGone(_:)`` where the one message
    /// named can't be sent again. `progress` is told how many have been found so far.
    func matching(
        _ steering: Steering, _ filter: MessageFilter, now: Timestamp, progress: @Sendable (Int) -> Void
    ) async throws -> [MessageID]
    /// Steers these messages, at most ``Steering/batch`` of them, in one transaction: a relay at work waits for none of them
    /// long. Returns how many deliveries changed.
    func steer(_ steering: Steering, _ messages: [MessageID], now: Timestamp) async throws -> Int
    /// Removes what the retention settings no longer keep, a bounded number at a time; returns whether more is left.
    func prune(_ retention: Retention, now: Timestamp) async throws -> Bool
}

extension MessageRecords {
    /// Steers all that satisfy the filter, a batch at a time. Returns how many deliveries changed.
    @discardableResult
    public func steer(_ steering: Steering, all filter: MessageFilter, now: Timestamp) async throws -> Int {
        let messages = try await matching(steering, filter, now: now) { _ in }
        var changed = 0
        for start in stride(from: 0, to: messages.count, by: Steering.batch) {
            let batch = Array(messages[start..<min(start + Steering.batch, messages.count)])
            changed += try await steer(steering, batch, now: now)
        }
        return changed
    }
}

/// What an operator does to messages.
public enum Steering: Hashable, Sendable {
    /// failed → queued, due now or at the time that it is scheduled for, with its attempts counted from 0 again. What an
    /// operator dropped: only if `dropped`.
    case retry(dropped: Bool)
    /// queued → held.
    case hold
    /// held → queued, due now or at the time that it is scheduled for.
    case release
    /// queued, held → failed with the reason ``droppedReason``.
    case drop

    /// Messages steered in one transaction at most.
    public static let batch = 500
}

/// The reason on record of a delivery that an operator gave up, by `messages drop` or `keys revoke --queued drop`.
public let droppedReason = "dropped: given up by the operator"

/// What the reason on record of a delivery begins with that was tried for as long as the settings allow.
public let gaveUpReason = "gave up after"

/// How long ended messages are kept.
public struct Retention: Hashable, Sendable {
    /// Records of sent messages; their bodies go as soon as they are sent.
    public var sent: Duration
    /// Simulated sends, with bodies.
    public var simulated: Duration
    /// Failed messages, cancelled and suppressed ones, with bodies.
    public var failed: Duration

    public init(
        sent: Duration = .seconds(30 * 86_400), simulated: Duration = .seconds(7 * 86_400),
        failed: Duration = .seconds(14 * 86_400)
    ) {
        self.sent = sent
        self.simulated = simulated
        self.failed = failed
    }
}
