/// What SES tells of one recipient of a message that it has taken.
public struct FeedbackReport: Hashable, Sendable {
    /// The id that SES gave the message when it took it.
    public var sesMessageID: String
    /// As SES writes it, without a display name. Its letters may have another case than in the envelope.
    public var recipient: String
    public var event: RecipientEvent

    public init(sesMessageID: String, recipient: String, event: RecipientEvent) {
        self.sesMessageID = sesMessageID
        self.recipient = recipient
        self.event = event
    }
}

/// What a store did with reports.
public struct FeedbackOutcome: Hashable, Sendable {
    /// Events that are new, by kind.
    public var recorded: [EventKind: Int] = [:]
    /// Told before.
    public var repeated = 0
    /// Kept until their message is known.
    public var waiting = 0
    /// For a recipient whom the message does not have: given up.
    public var unknownRecipients = 0
    /// Waited for ``Feedback/memory`` and matched no message: given up.
    public var expired = 0
    /// Given up because more than ``Feedback/mostWaiting`` wait.
    public var crowdedOut = 0
    /// New on the list of suppressions.
    public var suppressed = 0

    public init() {}
}

/// The bounds of what waits for its message.
public enum Feedback {
    /// A report can come before the answer of SES is on record. It is kept so long; then it is somebody else's.
    public static let memory = Duration.seconds(3600)
    /// Reports that wait at most; beyond them the oldest go first.
    public static let mostWaiting = 100_000
    /// Events that are added in one transaction.
    public static let batch = 500
}

/// What the queue that SES reports to has told so far: kept so that commands can tell it.
public struct FeedbackStatus: Hashable, Sendable {
    /// When a message was last taken from the queue; nil: never.
    public var lastReportAt: Timestamp?
    /// When the queue last answered, also that it is empty; nil: never.
    public var lastAnswerAt: Timestamp?
    /// Why it can't be read just now; nil where it can.
    public var failure: String?
    public var failingSince: Timestamp?
    /// Reports that wait for their message.
    public var waiting: Int

    public init(
        lastReportAt: Timestamp? = nil, lastAnswerAt: Timestamp? = nil, failure: String? = nil,
        failingSince: Timestamp? = nil, waiting: Int = 0
    ) {
        self.lastReportAt = lastReportAt
        self.lastAnswerAt = lastAnswerAt
        self.failure = failure
        self.failingSince = failingSince
        self.waiting = waiting
    }
}

/// What became of messages after SES took them.
public protocol FeedbackStore: Sendable {
    /// Adds events in one transaction, synced: each once, however often it is told. What follows from an event (usage, suppression,
    /// webhooks, a report to the sender) is in the same transaction. A report whose message is not known yet waits.
    func record(_ reports: [FeedbackReport], now: Timestamp) async throws -> FeedbackOutcome
    /// Matches what waits with what is known meanwhile, a batch; gives up what has waited too long. `nil` where nothing waits.
    func matchWaiting(now: Timestamp) async throws -> FeedbackOutcome?
    func feedbackStatus() async throws -> FeedbackStatus
    /// Puts on record what ``FeedbackStatus`` tells, without ``FeedbackStatus/waiting``. A time that is nil stays as it is.
    func record(_ status: FeedbackStatus) async throws
    /// When the last event of a live message was told, and when a live message was last sent; nil: never.
    func feedbackTimes() async throws -> (lastEvent: Timestamp?, lastSent: Timestamp?)
}
