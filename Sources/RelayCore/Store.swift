/// What happens to a revoked key's deliveries that have not ended.
public enum QueuedDisposition: String, CaseIterable, Sendable {
    case deliver, hold, drop
}

/// What admission needs to know about keys: their current rules and digests, and whether they have changed since.
public protocol KeyDirectoryStore: Sendable {
    /// Looks a key up; the result is nil if there is none. Returns at once. `completion` is called once, on a thread of
    /// the store, with the key or a ``StoreError``.
    func storedKey(_ id: KeyID, completion: @escaping @Sendable (Result<StoredKey?, any Error>) -> Void)
    /// Adds what happened to keys. Unknown ids are ignored.
    func record(_ activity: [KeyID: KeyActivity]) async throws
    /// The keys of `ids` that exist, as they are now.
    func currentKeys(_ ids: [KeyID]) async throws -> [KeyID: StoredKey]
    /// A number that changes whenever another process has changed the store. Cheap enough to read several times a
    /// second.
    func changeCounter() async throws -> Int64
}

/// The changes that operators make to keys. Every change takes effect at once in all processes on the same store.
public protocol KeyAdministration: Sendable {
    /// Adds a key. Throws a ``StoreError`` if the store can't be written.
    func insertKey(_ key: StoredKey) async throws
    /// A key with its usage; nil if there is none.
    func keyRecord(_ id: KeyID, now: Timestamp) async throws -> KeyRecord?
    /// All keys in the order of their creation, oldest first.
    func keyRecords(includingRevoked: Bool, now: Timestamp) async throws -> [KeyRecord]
    /// One page of the list of keys, newest first. The query does not take longer if there are more keys, except in a
    /// search for text.
    func keyRecords(_ filter: KeyFilter, now: Timestamp) async throws -> [KeyRecord]
    /// These keys' use per day, in the last `days` UTC days including today, earliest first. Days without any use are
    /// left out.
    func use(of keys: [KeyID], days: Int, now: Timestamp) async throws -> [KeyID: [KeyDay]]
    /// Changes a key's rules (name, scopes, limits, domains, networks, repeats, expiry, webhooks for all), starting
    /// from the rules that are stored at that moment. Throws ``StoreError/noSuchKey(_:)``.
    func updateKey(_ id: KeyID, _ change: @escaping @Sendable (inout Key) -> Void) async throws
    /// Sets a new digest. The previous one is accepted until `previousUntil`.
    func rotateKey(_ id: KeyID, digest: KeyDigest, previousUntil: Timestamp) async throws
    /// Revokes a key, and applies `queued` to its unfinished deliveries, in one transaction. When it returns, no
    /// process accepts a message of the key any more. A second revocation keeps the time of the first.
    func revokeKey(_ id: KeyID, queued: QueuedDisposition, now: Timestamp) async throws
}

/// Keys with their rules and usage.
public typealias KeyStore = KeyDirectoryStore & KeyAdministration

/// Everything that a relay and its commands need from a store, whichever database it uses.
public protocol RelayStore: KeyDirectoryStore, KeyAdministration, SubmissionStore, DeliveryQueue, MessageCancellation,
    MessageRecords, FeedbackStore, SuppressionStore, SenderReportStore, WebhookStore, OperatorSessionStore,
    TemplateStore, StatisticsStore, SimulatedDomainStore
{
    /// How much space is kept free, and how much simulated bodies may use. It can change at any time.
    var storage: StoragePolicy { get nonmutating set }
    /// Rewrites a value that is already stored, and syncs it. Throws a ``StoreError`` if the store can't be written at
    /// the moment.
    func checkWritable() async throws
    /// Returns when the connections that mail needs most have each had a turn: with SQLite the writer and a reader,
    /// with PostgreSQL those for submissions and for deliveries. This shows that the store still processes its work,
    /// even while the database can't be used.
    func turn() async
    /// The version of the current tables. Throws a ``StoreError`` if the store can't be read at the moment.
    func schemaVersion() async throws -> Int
    /// The envelope senders of a key's newest messages, of which at most `limit` are examined. Each occurs once, the
    /// latest first. The null reverse-path is left out.
    func recentSenders(of key: KeyID, amongLast limit: Int) async throws -> [String]
    /// The relays on this store, by number. Empty for a store that only one relay uses.
    func nodes(now: Timestamp) async throws -> [NodeRecord]
    /// The clock that all relays on this store share. Nil: each relay uses its machine's clock.
    var clock: (any RelayClock)? { get }
    /// Closes the store, after the work in progress has finished.
    func close() throws
}

extension RelayStore {
    /// The default is for a store that only one relay uses.
    public func nodes(now: Timestamp) async throws -> [NodeRecord] { [] }
    public var clock: (any RelayClock)? { nil }
}

extension KeyDirectoryStore {
    /// The same as ``storedKey(_:completion:)``, for callers in a task.
    public func storedKey(_ id: KeyID) async throws -> StoredKey? {
        try await withCheckedThrowingContinuation { continuation in
            storedKey(id) { continuation.resume(with: $0) }
        }
    }
}

/// The result for one submission of a batch.
public enum Acceptance: Sendable, Hashable {
    /// The message is stored, under the submission's own id.
    case accepted
    /// The message had been accepted already, under this id: the client sent it earlier, within ``Fingerprint/memory``.
    case repeated(MessageID)
    /// The message is refused, as ``AcceptanceLedger`` decides within the transaction.
    case refused(Refusal)
}

/// Accepts messages into the durable queue.
public protocol SubmissionStore: Sendable {
    /// Decides on a batch in one transaction, each submission in order, as ``AcceptanceLedger`` does. Stores what is
    /// accepted: the message, its deliveries (50 recipients each) and the usage. If a spooled body is refused for lack
    /// of space (``RefusalReason/storage``), it is deleted.
    ///
    /// Returns at once. `completion` is called once, on a thread of the store, when the batch is synced to disk, or
    /// with the ``StoreError`` because of which nothing of the batch was stored. The function is not `async`, because
    /// an event loop waits for the result: a task between the event loop and the store would wake a thread in each
    /// direction.
    func accept(
        _ batch: [Submission], now: Timestamp, completion: @escaping @Sendable (Result<[Acceptance], any Error>) -> Void
    )

    /// The requests that were accepted under these fingerprints of an ``Idempotency`` at most ``Fingerprint/memory``
    /// before `now`, or at most that long after `now` if a clock was ahead. Fingerprints without a request are left
    /// out.
    func requests(
        under fingerprints: [Fingerprint], now: Timestamp
    ) async throws -> [Fingerprint: AcceptanceLedger.EarlierRequest]

    /// Begins to write a body that is too large for memory.
    func makeSpoolFile(for id: MessageID) async throws -> any SpoolFile

    /// Deletes a finished body that no row refers to, because its submission was refused.
    func discard(_ body: SpooledBody) async

    /// Why a message of this size would be refused for lack of space (``StoragePolicy``), as far as the store knows at
    /// the moment; nil if it would be accepted. The result allows an early answer, so that the client does not send the
    /// message in vain. Returns at once. The final decision is made by ``accept(_:now:completion:)``.
    func refusalOfSpace(for environment: Environment, size: Int) -> Refusal?

    /// A number for message ids that no other live instance on this store has. It changes if this process has lost its
    /// number, so read it for each id. Reading it is cheap, and allowed from any thread.
    var instance: Int64 { get }

    /// The key for hashing contents; a repeated message is recognised by its hash. The key is random, and the same in
    /// all relays on this store. Nil for a store that recognises no repeats.
    var repeatKey: RepeatKey? { get }

    /// The message with the greatest id at the time when the store was opened; nil if there was none.
    var newestMessage: MessageID? { get }

    /// The rates of keys, if several relays share them. Nil: this process alone decides.
    var rates: (any SharedRates)? { get }
}

extension SubmissionStore {
    /// The default is for a store that remembers no requests.
    public func requests(
        under fingerprints: [Fingerprint], now: Timestamp
    ) async throws -> [Fingerprint: AcceptanceLedger.EarlierRequest] { [:] }

    /// The default is for a store without a disk that could become full.
    public func refusalOfSpace(for environment: Environment, size: Int) -> Refusal? { nil }

    /// The default is for a store that only one relay uses.
    public var rates: (any SharedRates)? { nil }

    /// The same as ``accept(_:now:completion:)``, for callers that have a task anyway.
    public func accept(_ batch: [Submission], now: Timestamp) async throws -> [Acceptance] {
        try await withCheckedThrowingContinuation { continuation in
            accept(batch, now: now) { continuation.resume(with: $0) }
        }
    }
}

/// A body that is being written to disk. Its functions are called one after the other. The last call is either `finish`
/// or `discard`.
public protocol SpoolFile: Sendable {
    /// Adds bytes to the end.
    func append(_ bytes: [UInt8]) async throws
    /// Syncs the file and its directory. After that, rows may refer to it.
    func finish() async throws -> SpooledBody
    /// Deletes the unfinished file.
    func discard() async
}

/// A stored body that can be read several times, in pieces.
public protocol StoredBody: Sendable {
    /// The size in octets.
    var size: Int { get }
    /// At most `count` bytes from `offset`; empty only at the end.
    func read(at offset: Int, count: Int) async throws -> [UInt8]
    /// Whether bytes that were read may still be sent. Check this right before sending: time may have passed since the
    /// read. Reading the property is cheap, and allowed from any thread.
    var mayBeSent: Bool { get }
}

extension StoredBody {
    public var mayBeSent: Bool { true }
}

/// A body that is small enough for memory.
public struct MemoryBody: StoredBody {
    private let bytes: [UInt8]

    public var size: Int { bytes.count }

    public init(bytes: [UInt8]) { self.bytes = bytes }

    public func read(at offset: Int, count: Int) async throws -> [UInt8] {
        guard offset < bytes.count else { return [] }
        return offset == 0 && count >= bytes.count ? bytes : Array(bytes[offset..<min(bytes.count, offset + count)])
    }
}

/// The deliveries that a worker has claimed.
public struct DeliveryClaim: Sendable {
    /// Deliveries to hand to the transport. Each has at least one recipient.
    public var deliveries: [ClaimedDelivery]
    /// Deliveries that ended at once because all their recipients are suppressed. They still list all recipients.
    public var suppressed: [ClaimedDelivery]

    public init(_ deliveries: [ClaimedDelivery], suppressed: [ClaimedDelivery] = []) {
        self.deliveries = deliveries
        self.suppressed = suppressed
    }
}

/// The queue as a worker uses it.
public protocol DeliveryQueue: Sendable {
    /// Claims due deliveries of a lane under a lease, at most `limit`. The keys take turns: in each round, each key
    /// with due deliveries contributes its oldest one. The claim stops at `limit`, or with the delivery that brings the
    /// total number of recipients to `recipients` or more. The result can include the bytes of small messages
    /// (`ClaimedDelivery/body`).
    ///
    /// Suppressed recipients are removed permanently: each gets the event `suppressed`. A delivery that has only
    /// suppressed recipients ends in the same transaction.
    func claim(
        lane: Lane, limit: Int, recipients: Int, leaseUntil: Timestamp, now: Timestamp
    ) async throws -> DeliveryClaim
    /// Extends the lease of deliveries that this process holds.
    func extendLease(_ deliveries: [DeliveryID], until: Timestamp) async throws
    /// Records a batch of outcomes in one transaction, which is synced to disk. If this relay no longer holds a
    /// delivery, its outcome is ignored, except that a message that was sent is recorded as sent.
    func settle(_ batch: [Settlement]) async throws
    /// Returns deliveries to the queue if their lease has expired or their holder is known to be gone. Of the
    /// deliveries that this process holds, only those of `lane` are returned: only their own lane knows on which of
    /// them it is still working. Live deliveries are marked as possible duplicates, because they may have been sent.
    /// Returns the number of deliveries.
    func reclaimAbandoned(lane: Lane, now: Timestamp) async throws -> Int
    /// When the next queued delivery of the lane becomes due; nil if none is queued.
    func nextDue(lane: Lane) async throws -> Timestamp?
    /// The body of a message. Throws ``StoreError/noSuchMessage(_:)``, or ``StoreError/bodyGone(_:)`` if it is no
    /// longer kept.
    func body(of message: MessageID) async throws -> any StoredBody
    /// Stores a lane's status for the command `status` and the operator's page.
    func record(_ status: LaneStatus) async throws
    /// Makes queued deliveries of the lane due at once if they are due later than `latest`. Deliveries that wait for
    /// their scheduled time are left unchanged. A delivery that is not scheduled is due so late only if the clock was
    /// set back. Returns the number of deliveries that were changed.
    func bringForward(lane: Lane, dueAfter latest: Timestamp, now: Timestamp) async throws -> Int
    /// False if this process could not renew its place in the store for so long that other relays may take the
    /// deliveries that it has claimed. The process must then not send any of these deliveries, and must not claim more.
    /// Reading the property is cheap, and allowed from any thread.
    var ownsClaims: Bool { get }
    /// Whether this process may still send a delivery that it has claimed. False if ``ownsClaims`` is false, or if the
    /// delivery was claimed in a place that this process has lost, even if it has a new place by now. The call is
    /// cheap, and allowed from any thread.
    func owns(_ delivery: ClaimedDelivery) -> Bool
    /// This process's place among the relays that share the queue, a number that is never used twice. Nil if it has
    /// none at present, or if only one relay uses the queue. Reading the property is cheap, and allowed from any
    /// thread.
    var place: Int64? { get }
    /// The part of the account's rate that this process may use. It can change at any time. Reading it is cheap, and
    /// allowed from any thread.
    var shareOfRate: RateShare { get }
    /// The time from one search for deliveries of relays that have stopped to the next.
    var reclaimInterval: Duration { get }
}

extension DeliveryQueue {
    /// The default is for a queue that only one relay uses.
    public var ownsClaims: Bool { true }
    public func owns(_ delivery: ClaimedDelivery) -> Bool { ownsClaims }
    public var place: Int64? { nil }
    public var shareOfRate: RateShare { .whole }
    /// The searches are rare, because a delivery can be returned only if its lease has expired.
    public var reclaimInterval: Duration { .seconds(30) }
}

/// What a key's holder may do with the key's messages after they were accepted.
public protocol MessageCancellation: Sendable {
    /// Cancels a message if ``Cancellation/decide(_:owner:deliveries:at:)`` allows it: no part of the message is being
    /// sent or has ended. The decision and the change are made in one transaction, which is synced to disk.
    func cancel(_ cancellation: Cancellation, now: Timestamp) async throws -> CancelOutcome
}

/// The messages as an operator sees and changes them.
public protocol MessageRecords: Sendable {
    /// The messages, newest first. A message that is scheduled for later than `now` has the state
    /// ``MessageState/scheduled``.
    func messages(_ filter: MessageFilter, now: Timestamp) async throws -> [MessageRecord]
    /// One page of the list that `messages(_:now:)` returns. At most `most` messages are examined, plus up to one
    /// page of the store. So the call takes a limited time even if few or no messages satisfy the filter.
    func messagePage(_ filter: MessageFilter, lookingAt most: Int, now: Timestamp) async throws -> MessagePage
    /// Adds messages that are not in the index of words yet (``MessageFilter/words``), a limited number at a time.
    /// Returns a lower bound of the number of deliveries that are still missing and can be added now; 0 if there are
    /// none, or if another relay is adding them.
    func indexWords() async throws -> Int
    /// The body of a message. Throws ``StoreError/noSuchMessage(_:)``, or ``StoreError/bodyGone(_:)`` if it is no
    /// longer kept.
    func body(of message: MessageID) async throws -> any StoredBody
    /// A summary of the queue at the time `now`.
    func queueStatus(now: Timestamp) async throws -> QueueStatus
    /// The messages that satisfy the filter and that `operatorAction` would change, newest first. Throws
    /// ``StoreError/noSuchMessage(_:)`` for an id that does not exist, and for a retry ``StoreError/bodyGone(_:)`` if
    /// the filter has the id of only one message and the bytes of this message are gone. `progress` is called with the
    /// number of messages found so far.
    func matching(
        _ operatorAction: OperatorAction, _ filter: MessageFilter, now: Timestamp, progress: @Sendable (Int) -> Void
    ) async throws -> [MessageID]
    /// Applies an operator's action to these messages, at most ``OperatorAction/batch`` of them, in one transaction. A
    /// running relay never waits long for this transaction. Returns how many deliveries changed.
    func perform(_ operatorAction: OperatorAction, _ messages: [MessageID], now: Timestamp) async throws -> Int
    /// Deletes a limited number of records that the retention settings no longer keep. Returns whether there are more.
    func prune(_ retention: Retention, now: Timestamp) async throws -> Bool
}

extension MessageRecords {
    /// Applies an operator's action to all messages that satisfy the filter, one batch at a time. Returns how many
    /// deliveries changed.
    @discardableResult
    public func perform(_ operatorAction: OperatorAction, all filter: MessageFilter, now: Timestamp) async throws -> Int
    {
        let messages = try await matching(operatorAction, filter, now: now) { _ in }
        var changed = 0
        for start in stride(from: 0, to: messages.count, by: OperatorAction.batch) {
            let batch = Array(messages[start..<min(start + OperatorAction.batch, messages.count)])
            changed += try await perform(operatorAction, batch, now: now)
        }
        return changed
    }
}

/// An operator's action on messages.
public enum OperatorAction: Hashable, Sendable {
    /// failed → queued, due now or at the scheduled time. The give-up time and the pauses between attempts start from
    /// the beginning. A delivery that an operator dropped is included only if `dropped` is true.
    case retry(dropped: Bool)
    /// queued → held.
    case hold
    /// held → queued, due now or at the scheduled time.
    case release
    /// queued, held → failed with the reason ``droppedReason``.
    case drop

    /// The most messages in one transaction.
    public static let batch = 500
}

/// The recorded reason of a delivery that an operator gave up, by `messages drop` or `keys revoke --queued drop`.
public let droppedReason = "dropped: given up by the operator"

/// The beginning of the recorded reason of a delivery that was attempted for as long as the settings allow.
public let gaveUpReason = "gave up after"

/// How long ended messages are kept.
public struct Retention: Hashable, Sendable {
    /// How long the records of sent messages are kept. A body is deleted as soon as all
    /// deliveries of its message are sent or suppressed and no report to its sender needs it.
    public var sent: Duration
    /// How long messages of simulated sends are kept, with their bodies.
    public var simulated: Duration
    /// How long failed, cancelled and suppressed messages are kept, with the bodies that they still have.
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
