/// What a store knows of a key when it is to accept its messages.
public struct KeyStanding: Sendable {
    public var stored: StoredKey
    /// Emails accepted in the current UTC day.
    public var emailsToday: Int

    public init(stored: StoredKey, emailsToday: Int) {
        self.stored = stored
        self.emailsToday = emailsToday
    }
}

/// Decides on a batch of submissions, one after the other, in one transaction of a store: the answers that count.
///
/// A store feeds it with what it knows and writes what it decides. It remembers what the batch has used up so far, so that a
/// daily cap is exact within the batch. To be used within one transaction, and thrown away when that fails.
public struct AcceptanceLedger: Sendable {
    public enum Decision: Sendable, Hashable {
        /// To be stored in the lane. `remembering`: what tells the message when it is sent again, if anything does. `requests`: the
        /// fingerprints of its ``Submission/idempotency`` that are not remembered yet.
        case accept(Lane, remembering: Fingerprint?, requests: [Fingerprint] = [])
        case repeated(MessageID)
        case refuse(Refusal)
    }

    /// What a key has used in the batch.
    public struct Usage: Sendable, Hashable {
        public var emails = 0
        public var messages = 0

        public init(emails: Int = 0, messages: Int = 0) {
            self.emails = emails
            self.messages = messages
        }
    }

    public let now: Timestamp
    private let storage: StoragePolicy
    /// Octets left on the disk, as far as it is known.
    private var free: Int?
    private var standings: [KeyID: KeyStanding] = [:]

    /// What was accepted before under a fingerprint of an ``Idempotency``.
    public struct EarlierRequest: Sendable, Hashable {
        public var message: MessageID
        /// As in ``Idempotency/content``.
        public var content: [UInt8]

        public init(message: MessageID, content: [UInt8]) {
            self.message = message
            self.content = content
        }
    }

    private enum BatchVerdict {
        case fits
        case refused(Refusal)
    }

    /// What was decided on the batches met so far.
    private var batches: [MessageID: BatchVerdict] = [:]
    /// Emails of the members of batches that are still to come, and for which the day has room.
    private var reserved: [KeyID: Int] = [:]

    /// By key, without those that have used nothing.
    public private(set) var usage: [KeyID: Usage] = [:]
    /// Octets of the bodies accepted in the test lane.
    public private(set) var testBodies = 0

    public init(now: Timestamp, storage: StoragePolicy, free: Int?) {
        self.now = now
        self.storage = storage
        self.free = free
    }

    /// Decides on a submission: revoked, expired, secret, scope, network, domains, repeat, daily cap, space; in this order.
    ///
    /// - Parameters:
    ///   - standing: what is known of a key; nil when there is none. Asked once for each key of the batch.
    ///   - firstOfRepeat: the message under a fingerprint that was accepted within ``Fingerprint/memory`` of `now`, before or
    ///     after, and has neither failed nor been cancelled or suppressed. One accepted earlier in this batch is among them.
    ///   - earlierRequest: what was accepted under a fingerprint of an ``Idempotency`` within the same time, whatever became of
    ///     it.
    public mutating func decide(
        on submission: Submission, standing: (KeyID) throws -> KeyStanding?,
        firstOfRepeat: (Fingerprint) throws -> MessageID?,
        earlierRequest: (Fingerprint) throws -> EarlierRequest?
    ) rethrows -> Decision {
        let emails = submission.envelope.recipients.count
        // Whatever is decided on a member, its place in the day is reserved no longer.
        let isReserved = submission.batch.map(hasRoom) ?? false
        defer { if isReserved { reserved[submission.key]? -= emails } }
        guard let standing = try known(submission.key, standing) else { return .refuse(.keyGone) }
        let key = standing.stored.key
        if let refusal = standing.stored.refusal(of: submission, at: now) { return .refuse(refusal) }
        var requests: [Fingerprint] = []
        if let idempotency = submission.idempotency {
            if let earlier = try earlierRequest(idempotency.request) {
                guard earlier.content == idempotency.content else { return .refuse(.idempotencyMismatch) }
                guard let part = idempotency.part else { return .repeated(earlier.message) }
                // An email of a batch that is not remembered was not accepted with the others, or its turn is now.
                if let first = try earlierRequest(part) { return .repeated(first.message) }
            } else {
                requests.append(idempotency.request)
            }
            if let part = idempotency.part { requests.append(part) }
        }
        let fingerprint = key.detectsRepeats ? submission.fingerprint : nil
        if let fingerprint {
            if let first = try firstOfRepeat(fingerprint) { return .repeated(first) }
            if let former = submission.formerFingerprint, let first = try firstOfRepeat(former) {
                return .repeated(first)
            }
        }
        var used = usage[submission.key] ?? Usage()
        let before = standing.emailsToday + used.emails + (reserved[submission.key] ?? 0)
        if let refusal = refusalOfDay(submission, key.limits, after: before) { return .refuse(refusal) }
        let size = submission.body.size
        if let refusal = storage.refusal(of: key.environment, size: size, free: free) { return .refuse(refusal) }
        used.emails += emails
        used.messages += 1
        usage[submission.key] = used
        free = free.map { max(0, $0 - size) }
        if key.environment == .test { testBodies += size }
        return .accept(key.environment, remembering: fingerprint, requests: requests)
    }

    /// A batch is decided on once, for all its emails, and keeps its room in the day until its last member.
    private mutating func refusalOfDay(_ submission: Submission, _ limits: SendingLimits, after used: Int) -> Refusal? {
        let emails = submission.envelope.recipients.count
        guard let batch = submission.batch else { return limits.refusalOfDay(emails, after: used, at: now) }
        switch batches[batch.first] {
        case .fits: return nil
        case .refused(let refusal): return refusal
        case nil: break
        }
        if let refusal = limits.refusalOfDay(ofBatch: batch.emails, after: used, at: now) {
            batches[batch.first] = .refused(refusal)
            return refusal
        }
        batches[batch.first] = .fits
        reserved[submission.key, default: 0] += max(0, batch.emails - emails)
        return nil
    }

    /// Whether the day has room for the batch, and its other members have a place in it.
    private func hasRoom(_ batch: SubmissionBatch) -> Bool {
        if case .fits = batches[batch.first] { true } else { false }
    }

    private mutating func known(
        _ id: KeyID, _ standing: (KeyID) throws -> KeyStanding?
    ) rethrows -> KeyStanding? {
        if let known = standings[id] { return known }
        let found = try standing(id)
        standings[id] = found
        return found
    }
}

extension StoredKey {
    /// Why the key may not send this message now, all that depends on neither what it has sent nor on space.
    fileprivate func refusal(of submission: Submission, at now: Timestamp) -> Refusal? {
        refusalOfSending(for: submission.scope, with: submission.secret, from: submission.client, at: now)
            ?? key.refusal(of: submission.domains)
    }
}

extension SendingLimits {
    /// Why the key's day has no room for so many emails; nil if it has.
    public func refusalOfDay(_ emails: Int, after used: Int, at now: Timestamp) -> Refusal? {
        guard let perDay, used + emails > perDay else { return nil }
        return emails > perDay
            ? .beyondDay(cap: perDay, recipients: emails) : .dayUsedUp(cap: perDay, at: now)
    }

    /// Why the key's day has no room for all emails of a batch; nil if it has.
    public func refusalOfDay(ofBatch emails: Int, after used: Int, at now: Timestamp) -> Refusal? {
        guard let perDay, used + emails > perDay else { return nil }
        return emails > perDay
            ? .batchBeyondDay(cap: perDay, emails: emails)
            : .batchBeyondRest(cap: perDay, rest: perDay - used, emails: emails, at: now)
    }
}
