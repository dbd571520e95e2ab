import RelayCore

/// Whether SES's events arrive, as far as the records show.
public struct FeedbackStanding: Hashable, Sendable {
    /// The states. The raw values are the words in JSON.
    public enum State: String, Sendable, CaseIterable {
        /// No queue is set.
        case off
        /// The queue can't be read.
        case failing
        /// The relay has not asked the queue for minutes: it does not run, or was not restarted after the queue was
        /// set.
        case idle
        /// Live mail was sent, and no events about it have arrived.
        case silent
        /// No events have arrived, and no live mail was sent.
        case untried
        case working
    }

    /// Whether `feedback.queue_url` is set.
    public var isSet: Bool
    /// What the relay has recorded about its reads of the queue, such as the last answer.
    public var status: FeedbackStatus
    /// When the last event arrived; nil: never.
    public var lastEvent: Timestamp?
    /// When the last live message was sent; nil: never.
    public var lastSent: Timestamp?
    /// The time of the examination.
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

    /// The relay is idle if its last answer from the queue is older. A long poll takes 20 s, and the answer is stored
    /// 10 s later.
    static let answerTime = Duration.seconds(120)
    /// The time after which the events about a message are missing. SES reports a delivery within seconds; with slow
    /// servers it takes minutes.
    static let eventTime = Duration.seconds(900)
    static let silence = Duration.seconds(86_400)

    /// The state that follows from the records.
    public var state: State {
        guard isSet else { return .off }
        if status.failure != nil { return .failing }
        guard let answer = status.lastAnswerAt, now - answer <= FeedbackStanding.answerTime else { return .idle }
        guard let lastSent else { return lastEvent == nil ? .untried : .working }
        guard let lastEvent else { return now - lastSent > FeedbackStanding.eventTime ? .silent : .untried }
        // If a relay sends all the time, its last message is always recent, so only this test finds that its events
        // have stopped. The limit is a day: if a relay sends rarely, no events arrive for a long time before each
        // message.
        if lastSent - lastEvent > FeedbackStanding.silence { return .silent }
        return lastSent > lastEvent && now - lastSent > FeedbackStanding.eventTime ? .silent : .working
    }
}
