import RelayCore

/// Whether SES's events arrive, as far as the records tell.
public struct FeedbackStanding: Hashable, Sendable {
    /// The raw values are the words in JSON.
    public enum State: String, Sendable, CaseIterable {
        /// No queue is set.
        case off
        /// The queue can't be read.
        case failing
        /// The relay has not asked the queue for minutes: it does not run, or was not restarted since the queue was set.
        case idle
        /// Live mail was sent, and nothing was heard of it.
        case silent
        /// Nothing was heard, and no live mail was sent.
        case untried
        case working
    }

    public var isSet: Bool
    public var status: FeedbackStatus
    public var lastEvent: Timestamp?
    public var lastSent: Timestamp?
    public var now: Timestamp

    public init(
        isSet: Bool, status: FeedbackStatus, lastEvent: Timestamp?, lastSent: Timestamp?, now: Timestamp
    ) {
        self.isSet = isSet
        self.status = status
        self.lastEvent = lastEvent
        self.lastSent = lastSent
        self.now = now
    }

    /// A long poll takes 20 s, and the answer is on record 10 s later.
    static let answerTime = Duration.seconds(120)
    /// SES tells of a delivery within seconds; slow servers take minutes.
    static let eventTime = Duration.seconds(900)
    static let silence = Duration.seconds(86_400)

    public var state: State {
        guard isSet else { return .off }
        if status.failure != nil { return .failing }
        guard let answer = status.lastAnswerAt, now - answer <= FeedbackStanding.answerTime else { return .idle }
        guard let lastSent else { return lastEvent == nil ? .untried : .working }
        guard let lastEvent else { return now - lastSent > FeedbackStanding.eventTime ? .silent : .untried }
        // Who sends all the time has always sent just now; who sends seldom has a day of silence before each message.
        if lastSent - lastEvent > FeedbackStanding.silence { return .silent }
        return lastSent > lastEvent && now - lastSent > FeedbackStanding.eventTime ? .silent : .working
    }
}
