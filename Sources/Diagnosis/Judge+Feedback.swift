import Feedback
import RelayCore

extension Judge {
    static let feedbackSetup =
        "hiveku-relay feedback --help says how to set it up; a CloudFormation template does the work at AWS"

    /// No queue is set.
    public static func feedbackNotSet(hasLiveKeys: Bool) -> Finding {
        guard hasLiveKeys else {
            return .skipped(
                .feedback, "feedback.queue_url is not set, and no live mail is sent that it would be needed for",
                remedy: "nothing now; before live mail is sent: \(feedbackSetup)")
        }
        return .warning(
            .feedback,
            "feedback.queue_url is not set: it is not known whether live mail arrives, bounces or is marked as spam, and no address is suppressed automatically",
            remedy: feedbackSetup)
    }

    /// The settings of the queue can't be used, for the reason `why`.
    public static func feedbackUnusable(_ why: String) -> Finding {
        .problem(.feedback, why, remedy: "correct the settings under feedback")
    }

    /// Whether messages are sent with a configuration set, so that SES reports their events.
    public static func configurationSet(_ name: String?) -> Finding? {
        guard name == nil else { return nil }
        return .warning(
            .feedback,
            "ses.configuration_set is not set: SES reports events only for identities that have their own notifications",
            remedy:
                "set ses.configuration_set to the name in the CloudFormation stack's outputs, and restart the relay"
        )
    }

    /// Judges what the queue reports about itself.
    public static func feedbackQueue(_ url: String, _ result: Result<SQSQueueState, SQSFailure>) -> [Finding] {
        switch result {
        case .failure(let failure):
            return [
                .problem(
                    .feedback, "the queue \(url) can't be read: \(failure.explanation)",
                    remedy:
                        "fix the cause that is named; until then SQS keeps the events for the queue's retention period")
            ]
        case .success(let state):
            var findings: [Finding] = []
            if let waiting = state.waiting, waiting > 10_000 {
                findings.append(
                    .warning(
                        .feedback, "\(waiting) messages wait in the queue \(url)",
                        remedy: "hiveku-relay feedback status shows whether the relay reads it"))
            }
            if let retention = state.retention, retention < .seconds(4 * 86_400) {
                findings.append(
                    .warning(
                        .feedback, "the queue \(url) keeps messages for only \(retention.spelled)",
                        remedy:
                            "set its MessageRetentionPeriod to 14 days, so that no events are lost while the relay is down"
                    ))
            }
            return findings + [
                .ok(.feedback, "the queue \(url) can be read; \(count(state.waiting ?? 0, "message")) waiting")
            ]
        }
    }

    /// Judges whether events arrive.
    public static func feedback(_ standing: FeedbackStanding) -> [Finding] {
        let status = standing.status
        let times =
            "last message from the queue: \(standing.lastEvent?.rfc3339 ?? "never"); live mail last sent: \(standing.lastSent?.rfc3339 ?? "never")"
        switch standing.state {
        case .off: return []
        case .failing:
            return [
                .problem(
                    .feedback,
                    "the relay has been unable to read the queue since \(status.failingSince?.rfc3339 ?? "a while"): \(status.failure ?? "")",
                    remedy: "fix the cause that is named; the relay keeps trying and continues when it can")
            ]
        case .idle:
            return [
                .warning(
                    .feedback,
                    "the relay has not read the queue \(status.lastAnswerAt.map { "since \($0.rfc3339)" } ?? "yet")",
                    remedy: "start the relay; if it runs, restart it: it reads feedback.queue_url only when it starts")
            ]
        case .silent:
            return [
                .warning(
                    .feedback, "live mail was sent, but no events about it arrive (\(times))",
                    remedy:
                        "events should arrive within minutes. Check that ses.configuration_set is the one of the CloudFormation stack, that its event destination is enabled, and that the queue is subscribed to the topic"
                )
            ]
        case .untried:
            return [
                .ok(
                    .feedback,
                    "the queue is read; there are no events yet, and no live mail that should have caused any")
            ]
        case .working:
            return [.ok(.feedback, "events arrive (\(times))")]
                + (status.waiting >= Feedback.mostWaiting / 2
                    ? [
                        .warning(
                            .feedback, "\(status.waiting) events wait for messages that this relay does not know",
                            remedy: "give each sending system its own configuration set and queue")
                    ] : [])
        }
    }
}
