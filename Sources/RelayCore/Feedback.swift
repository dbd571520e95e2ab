/// What SES reports about one recipient of a message that it has accepted.
public struct FeedbackReport: Hashable, Sendable {
    /// The id that SES gave the message when it accepted it.
    public var sesMessageID: String
    /// The recipient as SES writes it, without a display name. Upper and lower case may differ from the envelope.
    public var recipient: String
    /// What happened to this recipient's copy.
    public var event: RecipientEvent

    public init(sesMessageID: String, recipient: String, event: RecipientEvent) {
        self.sesMessageID = sesMessageID
        self.recipient = recipient
        self.event = event
    }
}

/// What a store did with reports.
public struct FeedbackOutcome: Hashable, Sendable {
    /// The number of new events, by kind.
    public var recorded: [EventKind: Int] = [:]
    /// Reports that had been recorded before.
    public var repeated = 0
    /// Reports that wait because their message is not known yet.
    public var waiting = 0
    /// Reports for a recipient that the message does not have. They are dropped.
    public var unknownRecipients = 0
    /// Reports that waited for ``Feedback/memory`` and matched no message. They are dropped.
    public var expired = 0
    /// Reports that were dropped because more than ``Feedback/mostWaiting`` wait.
    public var crowdedOut = 0
    /// Addresses that were added to the list of suppressions.
    public var suppressed = 0

    public init() {}
}

/// The limits of the reports that wait for their message.
public enum Feedback {
    /// A report can arrive before SES's response to its message is recorded. It is kept for this time. If its message
    /// is still unknown then, the report is about another sender's message.
    public static let memory = Duration.seconds(3600)
    /// The most reports that wait. If there are more, the oldest are dropped first.
    public static let mostWaiting = 100_000
    /// The most events that are added in one transaction.
    public static let batch = 500
}

/// The state of the queue that SES reports to. It is stored so that commands can show it.
public struct FeedbackStatus: Hashable, Sendable {
    /// When an SQS message was last read from the queue; nil: never.
    public var lastReportAt: Timestamp?
    /// When the queue last answered, even if it was empty; nil: never.
    public var lastAnswerAt: Timestamp?
    /// Why the queue can't be read at the moment; nil if it can.
    public var failure: String?
    /// Since when the queue can't be read; nil if it can.
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

/// Stores the events that SES reports after it has accepted a message.
public protocol FeedbackStore: Sendable {
    /// Adds the reported events in one transaction, which is synced to disk. Each event is added once, however often it
    /// is reported. Its consequences (usage, suppression, webhooks, a report to the sender) are in the same
    /// transaction. A report whose message is not known yet waits.
    func record(_ reports: [FeedbackReport], now: Timestamp) async throws -> FeedbackOutcome
    /// Matches one batch of waiting reports with the messages that are known now. Drops reports that have waited too
    /// long. Returns nil if no report waits.
    func matchWaiting(now: Timestamp) async throws -> FeedbackOutcome?
    /// The status that was last recorded, with the number of waiting reports.
    func feedbackStatus() async throws -> FeedbackStatus
    /// Stores a ``FeedbackStatus`` without its ``FeedbackStatus/waiting``. If `FeedbackStatus/lastReportAt` or
    /// `FeedbackStatus/lastAnswerAt` is nil, the stored time stays.
    func record(_ status: FeedbackStatus) async throws
    /// When an SQS message was last read (``FeedbackStatus/lastReportAt``), and when a live message was last sent; nil:
    /// never.
    func feedbackTimes() async throws -> (lastEvent: Timestamp?, lastSent: Timestamp?)
}
