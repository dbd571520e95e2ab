/// Hands one delivery to the service that sends it on. One call is one attempt.
public protocol Transport: Sendable {
    func send(_ delivery: ClaimedDelivery, body: any StoredBody) async -> DeliveryOutcome

    /// Where the tasks that call ``send(_:body:)`` are to run, so that no thread has to be woken for what they wait for; nil: anywhere.
    ///
    /// Each transport says it: one that wraps another and left it out would lose the other's.
    var executor: (any TaskExecutor)? { get }
}

/// What became of an attempt, as far as the transport knows. What follows from it is the worker's decision.
public enum DeliveryOutcome: Sendable, Hashable {
    /// The note says what else is to be known of it, for the record.
    case sent(sesMessageID: String, note: String? = nil)
    /// The note says what else is to be known of it; the events are those that SES would report later.
    case simulated(sesMessageID: String, note: String? = nil, events: [ReportedEvent] = [])
    /// Not this time.
    case retry(Cause, pace: Pace)
    /// Never as it stands; an operator may retry it after the remedy that the cause names.
    case failed(Cause)
    /// Nothing of the lane can be sent until something outside changes (account paused, credentials refused, quota used up).
    case laneHeld(Cause, alert: Bool)

    public enum Pace: Sendable, Hashable {
        case normal
        /// Told to slow down: the account's rate is to be lowered.
        case throttled
        /// A limit that does not pass in seconds.
        case slow
        /// As slow, and never given up: an operator must correct it, and it says nothing about the message.
        case patient
    }

    public struct Cause: Sendable, Hashable, CustomStringConvertible {
        /// SES's error name (`MessageRejected`) or the relay's own word (`connection-lost`).
        public var word: String
        /// A sentence for the operator, with the remedy where there is one. Holds no secret.
        public var explanation: String
        /// The request may have been taken although no answer came.
        public var mayHaveBeenTaken: Bool

        public init(_ word: String, _ explanation: String, mayHaveBeenTaken: Bool = false) {
            self.word = word
            self.explanation = explanation
            self.mayHaveBeenTaken = mayHaveBeenTaken
        }

        public var description: String { "\(word): \(explanation)" }
    }
}

/// What an account may send, as SES tells it (API v2, GetAccount, SendQuota). Counted in emails, that is recipients.
public struct SendQuota: Hashable, Sendable {
    /// Emails per second.
    public var maximumRate: Double
    /// Emails in any 24 hours; nil: no limit.
    public var maximum24Hours: Double?
    public var sentLast24Hours: Double

    public init(maximumRate: Double, maximum24Hours: Double?, sentLast24Hours: Double) {
        self.maximumRate = maximumRate
        self.maximum24Hours = maximum24Hours
        self.sentLast24Hours = sentLast24Hours
    }
}

/// Where a lane's rate comes from when no setting gives it.
public protocol QuotaSource: Sendable {
    /// Nil when the account does not tell: the call is denied, unknown or failed.
    func quota() async -> SendQuota?
}
