/// The envelope of RFC 5321: the sender and the recipients that a message is transferred with, independent of its
/// header.
public struct Envelope: Hashable, Sendable {
    /// The mailbox of the reverse-path; nil for the null reverse-path `<>`.
    public var reversePath: String?
    /// The addresses of the recipients, each of them once.
    public var recipients: [String]

    public init(reversePath: String?, recipients: [String]) {
        self.reversePath = reversePath
        self.recipients = recipients
    }
}

/// The bytes of a message as SES will get them.
public enum SubmissionBody: Sendable {
    /// The octets themselves.
    case inline([UInt8])
    /// A file in the spool.
    case spooled(SpooledBody)

    /// The size in octets.
    public var size: Int {
        switch self {
        case .inline(let bytes): bytes.count
        case .spooled(let body): body.size
        }
    }
}

/// A body in the spool. It is synced to disk, but no row refers to it yet.
public struct SpooledBody: Hashable, Sendable {
    /// The name within the spool; not a path.
    public var name: String
    /// The size in octets.
    public var size: Int

    public init(name: String, size: Int) {
        self.name = name
        self.size = size
    }
}

/// A message that is ready to be accepted. It is checked and prepared; only the rules that need the store are still to
/// be checked.
public struct Submission: Sendable {
    public var id: MessageID
    /// The key that the message is sent with.
    public var key: KeyID
    /// The client's address.
    public var client: IPAddress
    /// The sender and the recipients that the message is accepted for.
    public var envelope: Envelope
    /// The subject for lists, searches and webhooks: decoded, without control characters, at most 200 characters; nil
    /// if there is none.
    public var subject: String?
    public var body: SubmissionBody
    /// When the relay had the whole message, by the relay's clock.
    public var acceptedAt: Timestamp
    /// Identifies repeats of the same message. Nil if repeats can't or need not be recognised.
    public var fingerprint: Fingerprint?
    /// The fingerprint under which the same message may have been remembered before the store had a ``RepeatKey``.
    public var formerFingerprint: Fingerprint?
    /// The secret that the client has authenticated with. It must still be valid when the message is accepted. Nil if
    /// no authentication was needed.
    public var secret: KeyDigest?
    /// What the key must be allowed to do. Checked again when the message is accepted.
    public var scope: Scope
    /// The domains of the envelope sender and of the header's authors. Checked again when the message is accepted.
    public var domains: [ClaimedDomain]
    /// Tags that lists can be filtered by. They satisfy ``MessageTags``, and none occurs twice.
    public var tags: [String]
    /// When the message is to be sent. Nil, or a time in the past: at once.
    public var scheduledAt: Timestamp?
    /// How a repeat of the client's request is recognised; nil: only by `fingerprint`.
    public var idempotency: Idempotency?
    /// The batch that is decided on as a whole for the daily cap; nil: the message is decided on alone.
    public var batch: SubmissionBatch?
    /// Whether the message is, by its header, an automatic reply, a report, or from a list. Failures of such a message
    /// are not reported by mail (RFC 3834 section 2).
    public var isAutomatic: Bool
    /// The template that the message was made from, with its version; nil: none.
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

    /// Whether the message's outcome counts in the statistics.
    public var isCounted: Bool { template != nil || !tags.isEmpty }

    /// When the message's deliveries are due. The give-up time counts from the same moment.
    public var due: Timestamp { waitsUntil ?? acceptedAt }

    /// The time that the message waits for. Nil: it is sent at once, because it is not scheduled or because its time
    /// had passed when it was accepted.
    public var waitsUntil: Timestamp? { Schedule.wait(until: scheduledAt, at: acceptedAt) }
}

/// Test deliveries and live deliveries have separate lanes, so trouble with SES never delays a simulated send.
public typealias Lane = Environment

/// The state of a delivery.
public enum DeliveryState: String, CaseIterable, Sendable, Hashable {
    case queued, sending, sent, simulated, failed, held, cancelled
    /// All recipients of the delivery are suppressed, so it was not handed to any transport.
    case suppressed

    /// Whether the delivery has ended. An operator can queue a failed delivery again.
    public var isFinal: Bool {
        switch self {
        case .sent, .simulated, .failed, .cancelled, .suppressed: true
        case .queued, .sending, .held: false
        }
    }
}

/// The state of a message, which follows from its deliveries.
public enum MessageState: String, CaseIterable, Sendable, Hashable {
    case queued, scheduled, sending, sent, simulated, failed, held, cancelled, suppressed
    case partlyFailed = "partly-failed"

    /// `suppressed` if all deliveries are. Otherwise suppressed deliveries do not count, and the first rule that
    /// applies decides: `sending` if one delivery is being sent; `queued` if one is queued; `held` if one is held;
    /// `partly-failed` if they ended in different states; otherwise the state that they all have. Never `scheduled`,
    /// which needs more information: see ``MessageRecord/state``.
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

/// The identity of a delivery, which is the part of one message for at most 50 recipients.
public struct DeliveryID: Hashable, Sendable {
    public var rawValue: Int64
    public init(rawValue: Int64) { self.rawValue = rawValue }
}

/// SES accepts at most 50 recipients per request (SES API v2, SendEmail, Destination).
public let maximumRecipientsPerDelivery = 50

/// A delivery that a worker holds under a lease and hands to the transport.
public struct ClaimedDelivery: Sendable {
    public var id: DeliveryID
    /// The message that the delivery is a part of.
    public var message: MessageID
    /// The key that the message was accepted with.
    public var key: KeyID
    /// The environment of that key. It decides which transport gets the delivery.
    public var lane: Lane
    /// The sender, and those recipients of the delivery that are not suppressed.
    public var envelope: Envelope
    /// The size of the message in octets.
    public var size: Int
    /// When the message was accepted, or first became due if it was scheduled, or when an operator last put the
    /// delivery back into the queue. The give-up time counts from this moment.
    public var queuedSince: Timestamp
    /// The number of attempts before this one.
    public var attempts: Int
    /// The number of attempts since `queuedSince` that lengthened the next pause.
    public var pauses: Int
    /// Whether an earlier attempt may have sent the message although the relay got no response.
    public var maybeDuplicate: Bool
    /// The message's bytes, if the store has read them with the claim; nil: they are read when they are needed.
    public var body: [UInt8]?
    /// The relay's place in the store when it claimed the delivery; nil for a store that only one relay uses.
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

/// The outcome of one attempt at a delivery, as it is recorded.
public struct Settlement: Sendable {
    /// The result of an attempt.
    public enum Result: Sendable, Hashable {
        case sent(sesMessageID: String)
        case simulated(sesMessageID: String)
        /// The delivery returns to `queued`, and is due again at this time.
        case retry(at: Timestamp)
        case failed
        /// The delivery returns to `queued` at once. This does not count as an attempt: none was made, or the lane is
        /// held.
        case released

        /// Whether the delivery has ended.
        public var isEnd: Bool {
            switch self {
            case .sent, .simulated, .failed: true
            case .retry, .released: false
            }
        }
    }

    /// The delivery that the attempt was made for.
    public var delivery: DeliveryID
    /// What follows for the delivery.
    public var result: Result
    /// The events that a simulated send reports, as SES would report them later.
    public var events: [ReportedEvent] = []
    /// The reason of a retry or a failure: SES's error name or the relay's own word, and a sentence with the remedy.
    /// For a sent message, a note if there is something to report.
    public var reason: String?
    /// When the attempt began, by the relay's clock.
    public var startedAt: Timestamp
    /// When the attempt ended, by the relay's clock. For a final state, this is when the delivery ended.
    public var finishedAt: Timestamp
    /// Whether SES may have accepted the message although no response arrived. If so, another attempt may send it a
    /// second time.
    public var mayHaveBeenTaken: Bool
    /// For a retry: whether the next pause between attempts is longer than the last one. False if the outcome says
    /// nothing about the message.
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
