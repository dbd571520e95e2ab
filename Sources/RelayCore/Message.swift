/// The envelope of RFC 5321: where a message comes from and where it goes, apart from what its header says.
public struct Envelope: Hashable, Sendable {
    /// The reverse-path's mailbox; nil for the null reverse-path `<>`.
    public var reversePath: String?
    public var recipients: [String]

    public init(reversePath: String?, recipients: [String]) {
        self.reversePath = reversePath
        self.recipients = recipients
    }
}

/// The bytes of a message as SES will be given them.
public enum SubmissionBody: Sendable {
    case inline([UInt8])
    case spooled(SpooledBody)

    public var size: Int {
        switch self {
        case .inline(let bytes): bytes.count
        case .spooled(let body): body.size
        }
    }
}

/// A body that stands in the spool, synced to disk, not yet referred to by any row.
public struct SpooledBody: Hashable, Sendable {
    /// Name within the spool, not a path.
    public var name: String
    public var size: Int

    public init(name: String, size: Int) {
        self.name = name
        self.size = size
    }
}

/// A message ready to be accepted: checked and prepared, all but the rules that only the store can check.
public struct Submission: Sendable {
    public var id: MessageID
    public var key: KeyID
    public var client: IPAddress
    public var envelope: Envelope
    /// For lists only: decoded, without controls, at most 200 characters.
    public var subject: String?
    public var body: SubmissionBody
    public var acceptedAt: Timestamp
    /// What tells that it is the same message again; nil: nothing does, or nobody asks.
    public var fingerprint: Fingerprint?
    /// Under which the same message may be remembered from before the store had a ``RepeatKey``.
    public var formerFingerprint: Fingerprint?
    /// What the client has authenticated with, which must still hold when the message is accepted; nil where nobody had to.
    public var secret: KeyDigest?
    /// What the key must be allowed to do, decided again when the message is accepted.
    public var scope: Scope
    /// The domains of the envelope sender and of the header's authors, decided again when the message is accepted.
    public var domains: [ClaimedDomain]
    /// What lists can be narrowed to; satisfies ``MessageTags``, none twice.
    public var tags: [String]
    /// When it is to be sent; nil, or a time that has passed: at once.
    public var scheduledAt: Timestamp?
    public var idempotency: Idempotency?
    public var batch: SubmissionBatch?
    /// It is an automatic reply, a report or from a list, by its header: nobody is told by mail that it failed (RFC 3834 section 2).
    public var isAutomatic: Bool
    /// What it was made from, with its version; nil: from no template.
    public var template: TemplateReference?

    public init(
        id: MessageID, key: KeyID, client: IPAddress, envelope: Envelope, subject: String?, body: SubmissionBody,
        acceptedAt: Timestamp, fingerprint: Fingerprint? = nil, secret: KeyDigest? = nil, scope: Scope = .send,
        domains: [ClaimedDomain] = [], tags: [String] = [], scheduledAt: Timestamp? = nil,
        idempotency: Idempotency? = nil, batch: SubmissionBatch? = nil, isAutomatic: Bool = false,
        template: TemplateReference? = nil
    ) {
        self.id = id
        self.key = key
        self.client = client
        self.envelope = envelope
        self.subject = subject
        self.body = body
        self.acceptedAt = acceptedAt
        self.fingerprint = fingerprint
        self.secret = secret
        self.scope = scope
        self.domains = domains
        self.tags = tags
        self.scheduledAt = scheduledAt
        self.idempotency = idempotency
        self.batch = batch
        self.isAutomatic = isAutomatic
        self.template = template
    }

    /// Whether what becomes of it counts in the statistics.
    public var isCounted: Bool { template != nil || !tags.isEmpty }

    /// When its deliveries are due, and since when the time counts after which they are given up.
    public var due: Timestamp { waitsUntil ?? acceptedAt }

    /// The time that it is scheduled for; nil: at once, also where that time had passed when it was accepted.
    public var waitsUntil: Timestamp? { Schedule.wait(until: scheduledAt, at: acceptedAt) }
}

/// Test deliveries and live ones have lanes of their own: trouble with SES never delays a simulated send.
public typealias Lane = Environment

public enum DeliveryState: String, CaseIterable, Sendable, Hashable {
    case queued, sending, sent, simulated, failed, held, cancelled
    /// All its recipients are on the list of suppressions: it was handed to nobody.
    case suppressed

    /// Whether nothing more will happen by itself.
    public var isFinal: Bool {
        switch self {
        case .sent, .simulated, .failed, .cancelled, .suppressed: true
        case .queued, .sending, .held: false
        }
    }
}

/// A message's state is that of its deliveries.
public enum MessageState: String, CaseIterable, Sendable, Hashable {
    case queued, scheduled, sending, sent, simulated, failed, held, cancelled, suppressed
    case partlyFailed = "partly-failed"

    /// `queued` or `sending` while one of them is; `held` when that is all that is left; `partly-failed` where they ended apart;
    /// `suppressed` where all are, else that of the others. Never `scheduled`, for which more must be known: see ``MessageRecord/state``.
    public init(of deliveries: some Collection<DeliveryState>) {
        var states = Set(deliveries)
        if states == [.suppressed] {
            self = .suppressed
            return
        }
        states.remove(.suppressed)
        if states.contains(.sending) {
            self = .sending
        } else if states.contains(.queued) || states.isEmpty {
            self = .queued
        } else if states.contains(.held) {
            self = .held
        } else if states.count > 1 {
            self = .partlyFailed
        } else if states.contains(.sent) {
            self = .sent
        } else if states.contains(.simulated) {
            self = .simulated
        } else if states.contains(.cancelled) {
            self = .cancelled
        } else {
            self = .failed
        }
    }
}

/// A delivery's identity: one message's part for at most 50 recipients.
public struct DeliveryID: Hashable, Sendable {
    public var rawValue: Int64
    public init(rawValue: Int64) { self.rawValue = rawValue }
}

/// SES takes at most 50 recipients a call (SES API v2, SendEmail, Destination).
public let maximumRecipientsPerDelivery = 50

/// A delivery that a worker holds under a lease and is to hand to the transport.
public struct ClaimedDelivery: Sendable {
    public var id: DeliveryID
    public var message: MessageID
    public var key: KeyID
    public var lane: Lane
    public var envelope: Envelope
    public var size: Int
    /// When it was accepted, or first due where it was scheduled, or, later, put back into the queue by an operator: the time
    /// after which it is given up counts from here.
    public var queuedSince: Timestamp
    /// Attempts before this one.
    public var attempts: Int
    /// Those since `queuedSince` after which the next pause was to be longer.
    public var pauses: Int
    public var maybeDuplicate: Bool
    /// The message's bytes, if the store had them at hand; else they are asked for when they are needed.
    public var body: [UInt8]?
    /// The place in the store in which it was claimed; nil for a store that only one relay uses.
    public var holder: Int64?

    public init(
        id: DeliveryID, message: MessageID, key: KeyID, lane: Lane, envelope: Envelope, size: Int,
        queuedSince: Timestamp, attempts: Int, pauses: Int = 0, maybeDuplicate: Bool, body: [UInt8]? = nil,
        holder: Int64? = nil
    ) {
        self.id = id
        self.message = message
        self.key = key
        self.lane = lane
        self.envelope = envelope
        self.size = size
        self.queuedSince = queuedSince
        self.attempts = attempts
        self.pauses = pauses
        self.maybeDuplicate = maybeDuplicate
        self.body = body
        self.holder = holder
    }
}

/// How one attempt at a delivery ended, as it goes on record.
public struct Settlement: Sendable {
    public enum Result: Sendable, Hashable {
        case sent(sesMessageID: String)
        case simulated(sesMessageID: String)
        /// Back to `queued`, due again at a time.
        case retry(at: Timestamp)
        case failed
        /// Back to `queued` at once and not counted as an attempt: it was not tried, or its lane is held.
        case released

        /// Whether nothing further is to be done.
        public var isEnd: Bool {
            switch self {
            case .sent, .simulated, .failed: true
            case .retry, .released: false
            }
        }
    }

    public var delivery: DeliveryID
    public var result: Result
    /// What the simulation tells of recipients, as SES would later; of a simulated send only.
    public var events: [ReportedEvent] = []
    /// Why, for retries and failures: SES's error name or the relay's own word, and a sentence with the remedy. Of what was
    /// sent, a note where there is something to know.
    public var reason: String?
    public var startedAt: Timestamp
    public var finishedAt: Timestamp
    /// SES may have taken the message although no answer came: another attempt may send it twice.
    public var mayHaveBeenTaken: Bool
    /// Of a retry: whether the pause after the next one is longer. Not where it says nothing about the message.
    public var lengthensPause: Bool

    public init(
        delivery: DeliveryID, result: Result, reason: String? = nil, startedAt: Timestamp, finishedAt: Timestamp,
        mayHaveBeenTaken: Bool = false, lengthensPause: Bool = true
    ) {
        self.delivery = delivery
        self.result = result
        self.reason = reason
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.mayHaveBeenTaken = mayHaveBeenTaken
        self.lengthensPause = lengthensPause
    }
}
