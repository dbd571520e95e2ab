import Logging
import RelayCore

/// A log line of the consumer.
enum FeedbackLine: Hashable, Sendable {
    case queueFailed(SQSFailure)
    case queueRecovered(seconds: Double)
    case storeFailed(String)
    case storeRecovered(seconds: Double)
    /// `others`: the number of malformed messages before this one that were counted but not logged.
    case malformed(String, others: Int)
    case unknownKind(String)
    case subscription
    case crowdedOut(Int)
    case leftAlone(String)

    func write(to logger: Logger) {
        switch self {
        case .queueFailed(let failure):
            logger.log(
                level: failure.kind == .throttled || failure.kind == .unreachable ? .warning : .error,
                "the SQS queue of events can't be read, so the relay does not learn what happened to sent messages",
                metadata: ["reason": "\(failure.kind.rawValue)", "explanation": "\(failure.explanation)"])
        case .queueRecovered(let seconds):
            logger.notice("the SQS queue of events is read again", metadata: ["outage_seconds": "\(Int(seconds))"])
        case .storeFailed(let why):
            logger.error(
                "events can't be recorded; they stay in the SQS queue until the database can store them",
                metadata: ["error": "\(why)"])
        case .storeRecovered(let seconds):
            logger.notice("events are recorded again", metadata: ["outage_seconds": "\(Int(seconds))"])
        case .malformed(let why, let others):
            var metadata: Logger.Metadata = ["reason": "\(why)"]
            if others > 0 { metadata["others_before"] = "\(others)" }
            logger.warning("a message in the SQS queue is not an SES event; it was deleted", metadata: metadata)
        case .unknownKind(let kind):
            logger.notice(
                "SES reports a kind of event that this relay does not know; such events are counted and deleted",
                metadata: ["kind": "\(kind)"])
        case .subscription:
            logger.warning(
                "SNS asks to confirm a subscription of the SQS queue to a topic. The relay does not confirm it. If the topic is yours, subscribe the queue to it with the credentials of the queue's owner, as 'hiveku-relay feedback template' does"
            )
        case .crowdedOut(let count):
            logger.warning(
                "too many events are for messages that the relay does not know; the oldest were discarded. Check whether other senders use this configuration set",
                metadata: ["events": "\(count)"])
        case .leftAlone(let why):
            logger.error(
                "the database can't store the events of a message in the SQS queue; the message is left there",
                metadata: ["error": "\(why)"])
        }
    }
}

/// Limits log lines that outsiders can cause. It is a pure value over a monotonic clock.
struct FeedbackLines {
    private var windowEnds = MonotonicTime.distantPast
    private var linesLeft = 0
    private var malformed = 0
    private var kinds: Set<String> = []
    private var quietUntil: [Topic: MonotonicTime] = [:]

    private enum Topic { case subscription, crowdedOut, leftAlone }

    /// The number of malformed messages that are logged per minute.
    static let linesAMinute = 5
    /// The number of unknown kinds that are logged, each once.
    static let mostKinds = 20
    static let topicPause = Duration.seconds(600)

    mutating func malformed(_ why: String, at now: MonotonicTime) -> FeedbackLine? {
        if now >= windowEnds {
            windowEnds = now + .seconds(60)
            linesLeft = FeedbackLines.linesAMinute
        }
        guard linesLeft > 0 else {
            malformed += 1
            return nil
        }
        linesLeft -= 1
        defer { malformed = 0 }
        return .malformed(why, others: malformed)
    }

    mutating func unknownKind(_ kind: String) -> FeedbackLine? {
        guard kinds.count < FeedbackLines.mostKinds, kinds.insert(kind).inserted else { return nil }
        return .unknownKind(kind)
    }

    mutating func subscription(at now: MonotonicTime) -> FeedbackLine? {
        isDue(.subscription, at: now) ? .subscription : nil
    }

    mutating func crowdedOut(_ count: Int, at now: MonotonicTime) -> FeedbackLine? {
        isDue(.crowdedOut, at: now) ? .crowdedOut(count) : nil
    }

    mutating func leftAlone(_ why: String, at now: MonotonicTime) -> FeedbackLine? {
        isDue(.leftAlone, at: now) ? .leftAlone(why) : nil
    }

    private mutating func isDue(_ topic: Topic, at now: MonotonicTime) -> Bool {
        guard now >= quietUntil[topic] ?? .distantPast else { return false }
        quietUntil[topic] = now + FeedbackLines.topicPause
        return true
    }
}
