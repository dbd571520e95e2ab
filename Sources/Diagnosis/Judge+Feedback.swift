import Feedback
import RelayCore

extension Judge {
    static let feedbackSetup =
        "hiveku-relay feedback --help says how to set it up; a CloudFormation template does the work at AWS"

    /// No SQS queue is set.
    public static func feedbackNotSet(hasLiveKeys: Bool) -> Finding {
        guard hasLiveKeys else {
            return .skipped(
                .feedback, "feedback.queue_url is not set; it is needed only for live mail, and there are no live keys",
                remedy: "nothing now; before you create a live key: \(feedbackSetup)")
        }
        return .warning(
            .feedback,
            "feedback.queue_url is not set: it is not known whether live mail arrives, bounces or is marked as spam, and no address is suppressed automatically",
            remedy: feedbackSetup)
    }

    /// The settings of the SQS queue can't be used, for the reason `why`.
    public static func feedbackUnusable(_ why: String) -> Finding {
        .problem(.feedback, why, remedy: "correct the settings under feedback")
    }

    /// Warns if messages are sent without a configuration set, because SES then does not report their events. Nil if
    /// there is a configuration set.
    public static func configurationSet(_ name: String?) -> Finding? {
        guard name == nil else { return nil }
        return .warning(
            .feedback,
            "ses.configuration_set is not set: SES reports events only if the sender's identity has its own notifications",
            remedy:
                "set ses.configuration_set to the name in the CloudFormation stack's outputs, and restart the relay"
        )
    }

    /// Judges what the SQS queue reports about itself.
    public static func feedbackQueue(_ url: String, _ result: Result<SQSQueueState, SQSFailure>) -> [Finding] {
        switch result {
        case .failure(let failure):
            return [
                .problem(
                    .feedback, "the SQS queue \(url) can't be read: \(failure.explanation)",
                    remedy:
                        "correct this cause; until then SQS keeps the events, for as long as the queue's retention period"
                )
            ]
        case .success(let state):
            var findings: [Finding] = []
            if let waiting = state.waiting, waiting > 10_000 {
                findings.append(
                    .warning(
                        .feedback, "\(waiting) event reports from SES wait in the SQS queue \(url)",
                        remedy: "to see whether the relay reads this queue: hiveku-relay feedback status"))
            }
            if let retention = state.retention, retention < .seconds(4 * 86_400) {
                findings.append(
                    .warning(
                        .feedback, "the SQS queue \(url) keeps messages for only \(retention.spelled)",
                        remedy:
                            "set its MessageRetentionPeriod to 14 days, so that no events are lost while the relay is down"
                    ))
            }
            return findings + [
                .ok(
                    .feedback,
                    "the SQS queue \(url) can be read; event reports that wait in it: \(state.waiting ?? 0)")
            ]
        }
    }

    /// Judges whether events arrive.
    public static func feedback(_ standing: FeedbackStanding) -> [Finding] {
        let status = standing.status
        let times =
            "last event: \(standing.lastEvent?.rfc3339 ?? "never"); live mail last sent: \(standing.lastSent?.rfc3339 ?? "never")"
        switch standing.state {
        case .off: return []
        case .failing:
            return [
                .problem(
                    .feedback,
                    "the relay has been unable to read the SQS queue since \(status.failingSince?.rfc3339 ?? "a while"): \(status.failure ?? "")",
                    remedy: "correct this cause; the relay keeps trying, and continues by itself")
            ]
        case .idle:
            return [
                .warning(
                    .feedback,
                    "the relay has not read the SQS queue \(status.lastAnswerAt.map { "since \($0.rfc3339)" } ?? "yet")",
                    remedy: "start the relay; if it runs, restart it: it reads feedback.queue_url only when it starts")
            ]
        case .silent:
            return [
                .warning(
                    .feedback, "live mail was sent, but no events about it arrive (\(times))",
                    remedy:
                        "events should arrive within minutes. Check that ses.configuration_set is the one of the CloudFormation stack, that its event destination is enabled, and that the SQS queue is subscribed to the SNS topic"
                )
            ]
        case .untried:
            return [
                .ok(
                    .feedback,
                    "the relay reads the SQS queue; no events have arrived, and none were expected yet"
                )
            ]
        case .working:
            return [.ok(.feedback, "events arrive (\(times))")]
                + (status.waiting >= Feedback.mostWaiting / 2
                    ? [
                        .warning(
                            .feedback, "\(status.waiting) events wait for messages that this relay does not know",
                            remedy:
                                "give each system that sends through this SES account its own configuration set and SQS queue"
                        )
                    ] : [])
        }
    }
}
