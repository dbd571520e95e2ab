/// What the store knows about a key at the moment when it decides on messages of the key.
public struct KeyStanding: Sendable {
    /// The key's rules and digests, as they are in the store now.
    public var stored: StoredKey
    /// Emails accepted in the current UTC day.
    public var emailsToday: Int

    public init(stored: StoredKey, emailsToday: Int) {
        self.stored = stored
        self.emailsToday = emailsToday
    }
}

/// Decides on a batch of submissions, one after the other, within one transaction of a store. These are the final
/// decisions.
///
/// The store provides the data, and writes the decisions. The value remembers the emails and the space that the batch
/// has used so far, so that a daily cap is exact within the batch. Use the value within one transaction only, and
/// discard it if the transaction fails.
public struct AcceptanceLedger: Sendable {
    /// The decision on one submission.
    public enum Decision: Sendable, Hashable {
        /// Store the message in the lane. `remembering`: the fingerprint by which a repeat of the message is
        /// recognised, if there is one. `requests`: the fingerprints of its ``Submission/idempotency`` that are not
        /// stored yet.
        case accept(Lane, remembering: Fingerprint?, requests: [Fingerprint] = [])
        /// The submission repeats the message with this id.
        case repeated(MessageID)
        /// The submission is refused.
        case refuse(Refusal)
    }

    /// The part of a key's daily cap that the batch has used.
    public struct Usage: Sendable, Hashable {
        /// The number of recipients.
        public var emails = 0
        /// The number of messages that the ledger has accepted.
        public var messages = 0

        public init(emails: Int = 0, messages: Int = 0) {
            self.emails = emails
            self.messages = messages
        }
    }

    /// The time at which all submissions of the batch are decided on.
    public let now: Timestamp
    private let storage: StoragePolicy
    /// The octets that are free on the disk, as far as this is known.
    private var free: Int?
    private var standings: [KeyID: KeyStanding] = [:]

    /// A request that was accepted earlier under a fingerprint of an ``Idempotency``.
    public struct EarlierRequest: Sendable, Hashable {
        /// The message that the earlier request created.
        public var message: MessageID
        /// The ``Idempotency/content`` of the earlier request.
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

    /// The verdicts on the batches seen so far.
    private var batches: [MessageID: BatchVerdict] = [:]
    /// The number of emails, by key, that were reserved for batch members that have not been decided on yet.
    private var reserved: [KeyID: Int] = [:]

    /// Usage by key, without keys that have used nothing.
    public private(set) var usage: [KeyID: Usage] = [:]
    /// The octets of the bodies that were accepted in the test lane.
    public private(set) var testBodies = 0

    public init(now: Timestamp, storage: StoragePolicy, free: Int?) {
        self.now = now
        self.storage = storage
        self.free = free
    }

    /// Decides on a submission. The checks are, in this order: revoked, expired, secret, scope, network, domains,
    /// repeat, daily cap, space.
    ///
    /// - Parameters:
    ///   - standing: returns the data about a key; nil if there is no such key. Called once for each key of the batch.
    ///   - firstOfRepeat: returns the message that was accepted under a fingerprint at most ``Fingerprint/memory``
    ///     before `now`, or at most that long after `now` if a clock was ahead; nil if there is none. A message that
    ///     has failed, been cancelled or been suppressed does not count. A message that was accepted earlier in this
    ///     batch counts.
    ///   - earlierRequest: returns the request that was accepted under a fingerprint of an ``Idempotency`` within the
    ///     same time, whatever became of its message; nil if there is none.
    public mutating func decide(
        on submission: Submission, standing: (KeyID) throws -> KeyStanding?,
        firstOfRepeat: (Fingerprint) throws -> MessageID?,
        earlierRequest: (Fingerprint) throws -> EarlierRequest?
    ) rethrows -> Decision {
        let emails = submission.envelope.recipients.count
        // After the decision on this member, accepted or not, its place in the daily cap is no longer reserved.
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
                // An earlier try of this batch stored the fingerprints of its accepted emails. If the fingerprint of
                // this email is not stored, the email was not accepted then, or it belongs to the batch that is being
                // decided on now.
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

    /// Why the key's day has no room for the submission; nil if it has. A batch is decided on once, for all its emails.
    /// Its share of the daily cap stays reserved until its last member is decided on.
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

    /// Whether an earlier member was decided on and the day has room for the whole batch. Emails are then reserved for
    /// the remaining members.
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
    /// Why the key may not send this message now; nil if it may. Checks all rules that depend neither on the key's
    /// earlier messages nor on free space.
    fileprivate func refusal(of submission: Submission, at now: Timestamp) -> Refusal? {
        refusalOfSending(for: submission.scope, with: submission.secret, from: submission.client, at: now)
            ?? key.refusal(of: submission.domains)
    }
}

extension SendingLimits {
    /// Why the key's day has no room for this many emails; nil if it has.
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
