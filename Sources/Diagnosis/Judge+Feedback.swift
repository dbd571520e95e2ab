import Feedback
import RelayCore

extension Judge {
    static let feedbackSetup =
        "hiveku-relay feedback --help tells how to set it up: a template for CloudFormation does the work at AWS"

    /// No queue is set.
    public static func feedbackNotSet(hasLiveKeys: Bool) -> Finding {
        guard hasLiveKeys else {
            return .skipped(
                .feedback, "feedback.queue_url is not set, and there is no live mail to hear of",
                remedy: "nothing, until there is one; then \(feedbackSetup)")
        }
        return .warning(
            .feedback,
            "feedback.queue_url is not set: whether live mail arrives, bounces or is marked as spam is not known, and no address is suppressed for it",
            remedy: feedbackSetup)
    }

    public static func feedbackUnusable(_ why: String) -> Finding {
        .problem(.feedback, why, remedy: "correct the settings under feedback")
    }

    /// Whether messages are sent so that SES tells of them.
    public static func configurationSet(_ name: String?) -> Finding? {
        guard name == nil else { return nil }
        return .warning(
            .feedback,
            "ses.configuration_set is not set: SES tells of messages only where their identity has notifications of its own",
            remedy:
                "set ses.configuration_set to the name in the outputs of the CloudFormation stack, and restart the relay"
        )
    }

    /// What the queue says of itself.
    public static func feedbackQueue(_ url: String, _ result: Result<SQSQueueState, SQSFailure>) -> [Finding] {
        switch result {
        case .failure(let failure):
            return [
                .problem(
                    .feedback, "the queue \(url) can't be looked at: \(failure.explanation)",
                    remedy: "do what is said there; SQS keeps the events meanwhile, for as long as the queue is set to")
            ]
        case .success(let state):
            var findings: [Finding] = []
            if let waiting = state.waiting, waiting > 10_000 {
                findings.append(
                    .warning(
                        .feedback, "\(waiting) messages wait in the queue \(url)",
                        remedy: "hiveku-relay feedback status tells whether the relay reads it"))
            }
            if let retention = state.retention, retention < .seconds(4 * 86_400) {
                findings.append(
                    .warning(
                        .feedback, "the queue \(url) keeps messages for \(retention.spelled) only",
                        remedy:
                            "set its MessageRetentionPeriod to 14 days, so that nothing is lost while the relay is down"
                    ))
            }
            return findings + [
                .ok(.feedback, "the queue \(url) can be read; \(count(state.waiting ?? 0, "message")) waiting")
            ]
        }
    }

    /// Whether events arrive.
    public static func feedback(_ standing: FeedbackStanding) -> [Finding] {
        let status = standing.status
        let times =
            "last message of the queue: \(standing.lastEvent?.rfc3339 ?? "never"); live mail last sent: \(standing.lastSent?.rfc3339 ?? "never")"
        switch standing.state {
        case .off: return []
        case .failing:
            return [
                .problem(
                    .feedback,
                    "the relay can't read the queue since \(status.failingSince?.rfc3339 ?? "a while"): \(status.failure ?? "")",
                    remedy: "do what is said there; the relay goes on by itself once it can")
            ]
        case .idle:
            return [
                .warning(
                    .feedback,
                    "the relay has not read the queue \(status.lastAnswerAt.map { "since \($0.rfc3339)" } ?? "yet")",
                    remedy: "start the relay; if it runs, restart it: it takes feedback.queue_url at its start")
            ]
        case .silent:
            return [
                .warning(
                    .feedback, "live mail was sent, but SES tells nothing about it (\(times))",
                    remedy:
                        "SES tells within minutes. Check that ses.configuration_set is the one of the CloudFormation stack, that its event destination is enabled, and that the queue is subscribed to the topic"
                )
            ]
        case .untried: return [.ok(.feedback, "the queue is read; no event yet, and no live mail that one is owed for")]
        case .working:
            return [.ok(.feedback, "events arrive (\(times))")]
                + (status.waiting >= Feedback.mostWaiting / 2
                    ? [
                        .warning(
                            .feedback, "\(status.waiting) events wait for messages that this relay does not know",
                            remedy: "give each sender a configuration set and a queue of its own")
                    ] : [])
        }
    }
}
