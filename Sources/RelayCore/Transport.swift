/// Hands one delivery to the service that sends it. Each call of `send(_:body:)` is one attempt.
public protocol Transport: Sendable {
    /// Makes one attempt at a delivery. Does not throw: the outcome contains every failure.
    func send(_ delivery: ClaimedDelivery, body: any StoredBody) async -> DeliveryOutcome

    /// Where the tasks that call ``send(_:body:)`` should run, so that no thread has to be woken for the events that
    /// they wait for; nil: anywhere.
    ///
    /// The property has no default, because a transport that wraps another one must return the executor of the wrapped
    /// one.
    var executor: (any TaskExecutor)? { get }
}

/// The outcome of an attempt, as far as the transport knows. The worker decides what follows from it.
public enum DeliveryOutcome: Sendable, Hashable {
    /// Sent. The note is additional information for the record.
    case sent(sesMessageID: String, note: String? = nil)
    /// Simulated. The note is additional information for the record; the events are those that SES would report later.
    case simulated(sesMessageID: String, note: String? = nil, events: [ReportedEvent] = [])
    /// Not sent now; another attempt may succeed.
    case retry(Cause, pace: Pace)
    /// The message can't be sent as it is. An operator may retry it after the remedy that the cause names.
    case failed(Cause)
    /// Nothing in the lane can be sent until something outside the relay changes (account paused, credentials refused,
    /// quota used up). `alert`: whether the relay logs this at the level critical.
    case laneHeld(Cause, alert: Bool)

    /// How soon a delivery is attempted again.
    public enum Pace: Sendable, Hashable {
        /// After the usual pause, which grows with each attempt.
        case normal
        /// Soon, because SES asked to slow down. The relay also lowers the account's rate.
        case throttled
        /// After a longer pause, because a limit is reached that lasts longer than seconds.
        case slow
        /// After the same pause as `slow`, but the delivery is never given up: an operator must correct the cause,
        /// which says nothing about the message.
        case patient
    }

    /// Why an attempt did not succeed.
    public struct Cause: Sendable, Hashable, CustomStringConvertible {
        /// SES's error name (`MessageRejected`) or the relay's own word (`connection-lost`).
        public var word: String
        /// A sentence for the operator, with the remedy if there is one. Contains no secret.
        public var explanation: String
        /// Whether SES may have accepted the request although no response arrived.
        public var mayHaveBeenTaken: Bool

        public init(_ word: String, _ explanation: String, mayHaveBeenTaken: Bool = false) {
            self.word = word
            self.explanation = explanation
            self.mayHaveBeenTaken = mayHaveBeenTaken
        }

        public var description: String { "\(word): \(explanation)" }
    }
}

/// How much an account may send, as SES reports it (API v2, GetAccount, SendQuota). Counted in emails, that is,
/// recipients.
public struct SendQuota: Hashable, Sendable {
    /// The rate in emails per second.
    public var maximumRate: Double
    /// The most emails in any 24 hours; nil: no limit.
    public var maximum24Hours: Double?
    /// Emails sent in the last 24 hours.
    public var sentLast24Hours: Double

    public init(maximumRate: Double, maximum24Hours: Double?, sentLast24Hours: Double) {
        self.maximumRate = maximumRate
        self.maximum24Hours = maximum24Hours
        self.sentLast24Hours = sentLast24Hours
    }
}

/// The source of a lane's rate if no setting specifies it.
public protocol QuotaSource: Sendable {
    /// The account's quota. Nil if it can't be read, because the request was denied or failed or the service does not
    /// know it.
    func quota() async -> SendQuota?
}
