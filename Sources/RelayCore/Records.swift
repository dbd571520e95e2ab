/// A message as `messages list` and `messages show` tell it.
public struct MessageRecord: Sendable {
    public struct Attempt: Sendable, Hashable {
        public var startedAt: Timestamp
        public var finishedAt: Timestamp
        /// `sent`, `simulated`, `retry` or `failed`.
        public var outcome: String
        public var reason: String?

        public init(startedAt: Timestamp, finishedAt: Timestamp, outcome: String, reason: String?) {
            self.startedAt = startedAt
            self.finishedAt = finishedAt
            self.outcome = outcome
            self.reason = reason
        }
    }

    public struct Delivery: Sendable {
        public var recipients: [String]
        public var state: DeliveryState
        public var attempts: Int
        /// Only while it is queued.
        public var nextAttemptAt: Timestamp?
        public var sesMessageID: String?
        public var reason: String?
        public var maybeDuplicate: Bool
        /// When it came to its end state; nil before.
        public var endedAt: Timestamp?
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
    public var key: KeyID
    public var environment: Environment
    public var client: IPAddress?
    public var reversePath: String?
    public var subject: String?
    public var size: Int
    public var acceptedAt: Timestamp
    /// Whether the bytes are still kept (see retention).
    public var hasBody: Bool
    public var tags: [String]
    /// The time that it was scheduled for, also when that has passed; nil: it was to be sent at once.
    public var scheduledAt: Timestamp?
    /// What it was made from, with its version; nil: from no template.
    public var template: TemplateReference?
    public var deliveries: [Delivery]
    /// What others have told of its recipients, and who was suppressed.
    public var reported: [ReportedEvent]
    /// That of its deliveries; `scheduled` where they wait for a time that was in the future when this was read.
    public let state: MessageState

    /// - Parameter now: when it is read.
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

    public var recipients: [String] { deliveries.flatMap(\.recipients) }
}

extension MessageState {
    /// As ``init(of:)``, but `scheduled` where every delivery that has not ended waits for the scheduled time, which has not
    /// come. One that is due at another time was tried.
    ///
    /// - Parameter deliveries: their states, and of those that are queued when they are tried next.
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

/// Which messages are asked for. Everything given must hold.
public struct MessageFilter: Sendable {
    public var ids: [MessageID]?
    public var key: KeyID?
    /// Octet for octet.
    public var tag: String?
    /// Only older ones: with ids below this one. Where the next page of a list begins, it is the last id of this one.
    public var before: MessageID?
    public var state: MessageState?
    /// Of one recipient at least.
    public var status: RecipientStatus?
    public var subject: String?
    /// Words that must all be in the recipients or the subject, whole; `ann*` is the beginning of one, of three letters and digits at least.
    /// Case and accents do not count, and what is between words neither: `anna@example.com` are three words, which must follow each
    /// other, as all that is between two blanks. Only messages that ``MessageRecords/indexWords()`` has brought into the index are found.
    public var words: String?
    public var since: Timestamp?
    /// Newest first, at most so many.
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
    /// Letters and digits that the beginning of a word has at least, for ``words``: shorter ones would be half of all words.
    public static let shortestBeginning = 3
}

/// A part of a list of messages.
public struct MessagePage: Sendable {
    public var messages: [MessageRecord]
    /// Where to look further: for messages below this id. Nil: that was all.
    public var next: MessageID?

    public init(messages: [MessageRecord], next: MessageID?) {
        self.messages = messages
        self.next = next
    }
}

/// A key with its usage, as `keys list` and `keys show` tell it.
public struct KeyRecord: Sendable {
    public var key: Key
    public var usage: KeyUsage

    public init(key: Key, usage: KeyUsage) {
        self.key = key
        self.usage = usage
    }
}

/// What a worker says of its lane, kept in the store so that `status` can read it from another process.
public struct LaneStatus: Hashable, Sendable {
    public var lane: Lane
    /// Nil while the lane moves; otherwise why it is held and what to do.
    public var heldBecause: String?
    public var since: Timestamp
    /// Emails per second that this relay's worker allows itself now, its share where several relays use one account; nil: no limit.
    public var rate: Double?
    /// The name of the relay (``NodeRecord/name``), set by a store that several relays share; nil: there is one relay.
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
        guard rate > 0 else { return "sends nothing until the other relays leave it a share of the rate" }
        return "at most \(decimal((rate * 10).rounded() / 10)) emails a second"
    }
}

/// The queue at a glance.
public struct QueueStatus: Sendable {
    public struct Depth: Hashable, Sendable {
        public var lane: Lane
        public var state: DeliveryState
        public var deliveries: Int
        /// When the oldest of them was accepted, or fell due where it was scheduled for later.
        public var oldest: Timestamp?

        public init(lane: Lane, state: DeliveryState, deliveries: Int, oldest: Timestamp?) {
            self.lane = lane
            self.state = state
            self.deliveries = deliveries
            self.oldest = oldest
        }
    }

    /// Deliveries that wait for the time that they were scheduled for.
    public struct Scheduled: Hashable, Sendable {
        public var lane: Lane
        public var deliveries: Int
        /// When the first of them falls due.
        public var next: Timestamp

        public init(lane: Lane, deliveries: Int, next: Timestamp) {
            self.lane = lane
            self.deliveries = deliveries
            self.next = next
        }
    }

    /// Deliveries that have not ended, by lane and state (`queued`, `sending`, `held`), without those of ``scheduled``; rows of 0
    /// left out.
    public var depths: [Depth]
    /// By lane; rows of 0 left out.
    public var scheduled: [Scheduled]
    /// At most one for each lane and relay; where several relays share the store, those of live relays, by lane and relay.
    public var lanes: [LaneStatus]
    /// Emails accepted in the current UTC day, by lane.
    public var emailsToday: [Lane: Int]
    /// What was told of the emails of the last 30 UTC days, by lane.
    public var feedback: [Lane: FeedbackCounts]
    /// Addresses that get no mail, by lane; rows of 0 left out.
    public var suppressions: [Lane: [SuppressionReason: Int]]
    /// The name of the relay that asks (``NodeRecord/name``); nil: there is one relay, or a command asks.
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

    /// What the asking relay says of its own lane.
    public func ownLane(_ lane: Lane) -> LaneStatus? {
        lanes.first { $0.lane == lane && (node == nil || $0.node == node) }
    }
}
