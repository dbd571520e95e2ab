/// A message as `messages list` and `messages show` print it.
public struct MessageRecord: Sendable {
    /// One attempt at a delivery.
    public struct Attempt: Sendable, Hashable {
        /// When the attempt began. For an interrupted attempt: when the delivery was claimed, or `finishedAt` if this
        /// is not known.
        public var startedAt: Timestamp
        /// When the attempt's outcome was known. For an interrupted attempt: when the interruption was noticed.
        public var finishedAt: Timestamp
        /// `sent`, `simulated`, `retry` or `failed`.
        public var outcome: String
        /// Why the attempt had this outcome: the `Settlement.reason`. Nil if there is nothing to report.
        public var reason: String?

        public init(startedAt: Timestamp, finishedAt: Timestamp, outcome: String, reason: String?) {
            self.startedAt = startedAt
            self.finishedAt = finishedAt
            self.outcome = outcome
            self.reason = reason
        }
    }

    /// One delivery of the message.
    public struct Delivery: Sendable {
        /// The addresses as in the envelope, at most `maximumRecipientsPerDelivery`, including suppressed ones.
        public var recipients: [String]
        /// The delivery's state when the record was read.
        public var state: DeliveryState
        /// The number of attempts that have ended. One that is under way does not count.
        public var attempts: Int
        /// When the delivery is attempted next; nil if it is not queued.
        public var nextAttemptAt: Timestamp?
        /// The id that SES or the simulation gave the message; nil if neither has answered with one.
        public var sesMessageID: String?
        /// The reason that was recorded last: of an attempt, or of what an operator or a client did. Nil: none.
        public var reason: String?
        /// Whether an earlier attempt may have sent the message although the relay got no response.
        public var maybeDuplicate: Bool
        /// When the delivery reached its final state; nil before.
        public var endedAt: Timestamp?
        /// The attempts in order.
        public var history: [Attempt]

        public init(
            recipients: [String], state: DeliveryState, attempts: Int, nextAttemptAt: Timestamp?, sesMessageID: String?,
            reason: String?, maybeDuplicate: Bool, endedAt: Timestamp? = nil, history: [Attempt]
        ) {
            self.recipients = recipients
            self.state = state
            self.attempts = attempts
            self.nextAttemptAt = nextAttemptAt
            self.sesMessageID = sesMessageID
            self.reason = reason
            self.maybeDuplicate = maybeDuplicate
            self.endedAt = endedAt
            self.history = history
        }
    }

    public var id: MessageID
    /// The key that the message was accepted with.
    public var key: KeyID
    /// The environment of that key: test or live.
    public var environment: Environment
    /// The address of the client that submitted the message; loopback for a report by the relay itself. Nil: not
    /// stored.
    public var client: IPAddress?
    /// The envelope sender; nil for the null reverse-path.
    public var reversePath: String?
    /// The same as `Submission.subject`; nil if it has none.
    public var subject: String?
    /// The size of the message in octets.
    public var size: Int
    /// The same as `Submission.acceptedAt`.
    public var acceptedAt: Timestamp
    /// Whether the message's bytes are still stored (see `Retention`).
    public var hasBody: Bool
    /// The same as `Submission.tags`; empty if it has none.
    public var tags: [String]
    /// The time that the message was scheduled for, even if it has passed; nil: the message was to be sent at once.
    public var scheduledAt: Timestamp?
    /// The template that the message was made from, with its version; nil: none.
    public var template: TemplateReference?
    /// The deliveries, whose recipients together are those of the envelope, in its order.
    public var deliveries: [Delivery]
    /// The events that others have reported about the recipients, and the event `suppressed` of each suppressed
    /// recipient.
    public var reported: [ReportedEvent]
    /// The state that follows from the deliveries. It is `scheduled` if they wait for a time that was in the future
    /// when the record was read.
    public let state: MessageState

    /// - Parameter now: when the record is read.
    public init(
        id: MessageID, key: KeyID, environment: Environment, client: IPAddress?, reversePath: String?, subject: String?,
        size: Int, acceptedAt: Timestamp, hasBody: Bool, tags: [String] = [], scheduledAt: Timestamp? = nil,
        template: TemplateReference? = nil, deliveries: [Delivery], reported: [ReportedEvent] = [], now: Timestamp
    ) {
        self.id = id
        self.key = key
        self.environment = environment
        self.client = client
        self.reversePath = reversePath
        self.subject = subject
        self.size = size
        self.acceptedAt = acceptedAt
        self.hasBody = hasBody
        self.tags = tags
        self.scheduledAt = scheduledAt
        self.template = template
        self.deliveries = deliveries
        self.reported = reported
        state = MessageState(
            of: deliveries.map { ($0.state, $0.nextAttemptAt) }, scheduledAt: scheduledAt, at: now)
    }

    /// The recipients of all deliveries, in the order of the envelope.
    public var recipients: [String] { deliveries.flatMap(\.recipients) }
}

extension MessageState {
    /// The state is `scheduled` if the scheduled time is still to come and every delivery that has not ended waits for
    /// it. Otherwise the state is that of ``init(of:)``. A delivery that is due at a different time has been attempted
    /// already, so it does not wait for the scheduled time.
    ///
    /// - Parameter deliveries: the states of the deliveries and, for queued ones, the time of the next attempt.
    public init(
        of deliveries: [(state: DeliveryState, nextAttemptAt: Timestamp?)], scheduledAt: Timestamp?, at now: Timestamp
    ) {
        let state = MessageState(of: deliveries.map(\.state))
        let waits = deliveries.allSatisfy { delivery in
            delivery.state.isFinal || delivery.state == .queued && delivery.nextAttemptAt == scheduledAt
        }
        if state == .queued, let scheduledAt, scheduledAt > now, waits {
            self = .scheduled
        } else {
            self = state
        }
    }
}

/// Selects messages. A message must satisfy every condition that is set.
public struct MessageFilter: Sendable {
    /// Only messages with these ids; nil: any. An empty list selects none.
    public var ids: [MessageID]?
    /// Only messages of this key; nil: of all keys.
    public var key: KeyID?
    /// Only messages with this tag, compared octet by octet; nil: with any tags or none.
    public var tag: String?
    /// Only older messages: those with smaller ids. To get the next page of a list, use the last id of this page.
    public var before: MessageID?
    /// Only messages in this state; nil: in any.
    public var state: MessageState?
    /// Only messages of which at least one recipient has this status; nil: any.
    public var status: RecipientStatus?
    /// The whole subject, compared octet by octet; nil: any.
    public var subject: String?
    /// Words that must all be in the recipients or the subject. Whole words are matched; `ann*` matches words that
    /// begin with `ann`; there must be at least three letters and digits before the `*`. Case and accents are ignored.
    /// Punctuation separates words like a space, but words that no space separates must follow each other:
    /// `anna@example.com` is three such words. Only messages that ``MessageRecords/indexWords()`` has added to the
    /// index are found.
    public var words: String?
    /// Only messages that were accepted at this time or later; nil: at any time.
    public var since: Timestamp?
    /// The most messages that are returned. The newest are returned first.
    public var limit: Int

    public init(
        ids: [MessageID]? = nil, key: KeyID? = nil, state: MessageState? = nil, subject: String? = nil,
        tag: String? = nil, since: Timestamp? = nil, before: MessageID? = nil, limit: Int = 100
    ) {
        self.ids = ids
        self.key = key
        self.tag = tag
        self.before = before
        self.state = state
        self.subject = subject
        self.since = since
        self.limit = limit
    }
}

extension MessageFilter {
    /// The fewest letters and digits before the `*` in ``words``. Shorter beginnings would match half of all words.
    public static let shortestBeginning = 3
}

/// One page of a list of messages.
public struct MessagePage: Sendable {
    /// The messages of the page, the newest first. There may be none.
    public var messages: [MessageRecord]
    /// Where the next page begins: at messages with ids below this one. Nil: this was the last page.
    public var next: MessageID?

    public init(messages: [MessageRecord], next: MessageID?) {
        self.messages = messages
        self.next = next
    }
}

/// A key with its usage, as `keys list` and `keys show` print it.
public struct KeyRecord: Sendable {
    /// The key with its rules at present, without its secret.
    public var key: Key
    /// How much the key has been used, up to the time of the query.
    public var usage: KeyUsage

    public init(key: Key, usage: KeyUsage) {
        self.key = key
        self.usage = usage
    }
}

/// The status that a worker stores about its lane, so that `status` can read it from another process.
public struct LaneStatus: Hashable, Sendable {
    /// The lane whose worker stored the status.
    public var lane: Lane
    /// Nil while the lane is moving; otherwise why it is held and what to do.
    public var heldBecause: String?
    /// Since when the lane is held, or moving: the time of the last change, or of the worker's start.
    public var since: Timestamp
    /// Emails per second that this relay's worker allows itself now. It is a share if several relays use one account.
    /// Nil: no limit.
    public var rate: Double?
    /// The name of the relay (``NodeRecord/name``). A store that several relays share sets it. Nil: there is only one
    /// relay.
    public var node: String?

    public init(lane: Lane, heldBecause: String?, since: Timestamp, rate: Double?, node: String? = nil) {
        self.lane = lane
        self.heldBecause = heldBecause
        self.since = since
        self.rate = rate
        self.node = node
    }
}

extension LaneStatus {
    /// The rate in words; nil: no limit.
    package var rateWords: String? {
        guard let rate else { return nil }
        guard rate > 0 else { return "but at 0 emails a second until the other relays give it a share of the rate" }
        return "at most \(decimal((rate * 10).rounded() / 10)) emails a second"
    }
}

/// A summary of the queue.
public struct QueueStatus: Sendable {
    /// How many deliveries of a lane are in a state.
    public struct Depth: Hashable, Sendable {
        /// The lane that the deliveries belong to.
        public var lane: Lane
        /// The state of these deliveries: `queued`, `sending` or `held`.
        public var state: DeliveryState
        /// The number of deliveries, at least 1. A delivery may have several recipients.
        public var deliveries: Int
        /// When the oldest of them was accepted, or became due if it was scheduled for later.
        public var oldest: Timestamp?

        public init(lane: Lane, state: DeliveryState, deliveries: Int, oldest: Timestamp?) {
            self.lane = lane
            self.state = state
            self.deliveries = deliveries
            self.oldest = oldest
        }
    }

    /// Deliveries that wait for their scheduled time.
    public struct Scheduled: Hashable, Sendable {
        /// The lane that the deliveries belong to.
        public var lane: Lane
        /// The number of deliveries that wait, at least 1. A delivery may have several recipients.
        public var deliveries: Int
        /// When the first of them becomes due.
        public var next: Timestamp

        public init(lane: Lane, deliveries: Int, next: Timestamp) {
            self.lane = lane
            self.deliveries = deliveries
            self.next = next
        }
    }

    /// Deliveries that have not ended, by lane and state (`queued`, `sending`, `held`), without those of ``scheduled``.
    /// Rows of 0 are left out.
    public var depths: [Depth]
    /// Scheduled deliveries by lane. Rows of 0 are left out.
    public var scheduled: [Scheduled]
    /// The statuses of lanes, at most one for each lane and relay. If several relays share the store, only live relays
    /// have one; the order is by lane and relay.
    public var lanes: [LaneStatus]
    /// Emails accepted in the current UTC day, by lane.
    public var emailsToday: [Lane: Int]
    /// The reported outcome of the emails of the last 30 UTC days, by lane.
    public var feedback: [Lane: FeedbackCounts]
    /// Suppressed addresses, by lane. Rows of 0 are left out.
    public var suppressions: [Lane: [SuppressionReason: Int]]
    /// The name of the relay that asks (``NodeRecord/name``). Nil: there is only one relay, or a command asks.
    public var node: String?

    public init(
        depths: [Depth], scheduled: [Scheduled] = [], lanes: [LaneStatus], emailsToday: [Lane: Int],
        feedback: [Lane: FeedbackCounts] = [:], suppressions: [Lane: [SuppressionReason: Int]] = [:],
        node: String? = nil
    ) {
        self.depths = depths
        self.scheduled = scheduled
        self.lanes = lanes
        self.emailsToday = emailsToday
        self.feedback = feedback
        self.suppressions = suppressions
        self.node = node
    }

    /// The status of this lane in the relay that asks; nil if there is none.
    public func ownLane(_ lane: Lane) -> LaneStatus? {
        lanes.first { $0.lane == lane && (node == nil || $0.node == node) }
    }
}
