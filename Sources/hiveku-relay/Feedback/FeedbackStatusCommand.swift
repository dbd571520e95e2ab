import ArgumentParser
import Diagnosis
import RelayCore
import Settings

struct FeedbackStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show whether SES's events arrive.",
        discussion: """
            The output begins with the state (with --json, it is the member state). The states are: off (no SQS queue \
            is set), failing (the relay can't read the SQS queue), idle (no relay tries to read it), silent (live mail \
            was sent, and no events about it have arrived), untried (no events were expected yet) and working.
            """)

    @Flag(help: "Print one JSON document.") var json = false
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let settings = try common.settings()
        let store = try common.store()
        let times = try await store.feedbackTimes()
        let standing = FeedbackStanding(
            isSet: settings.feedback.queueURL != nil, status: try await store.feedbackStatus(),
            lastEvent: times.lastEvent, lastSent: times.lastSent, now: store.commandClock.now())
        if json {
            return try JSONValue(standing, settings).print()
        }
        for line in lines(standing, settings) { print(line) }
    }

    private func lines(_ standing: FeedbackStanding, _ settings: RelaySettings) -> [String] {
        let status = standing.status
        var lines = ["\(standing.state.rawValue): \(sentence(standing.state))"]
        if let failure = status.failure, standing.isSet {
            lines.append("  since \(status.failingSince?.rfc3339 ?? "a while"): \(printable(failure))")
        }
        if let url = settings.feedback.queueURL {
            lines.append("SQS queue: \(url) (region \(settings.feedbackRegion ?? "unknown"))")
            if settings.ses.configurationSet == nil {
                lines.append(
                    "  ses.configuration_set is not set; SES reports events only if the sender's identity has its own notifications"
                )
            }
        }
        let told = { (time: Timestamp?) in
            time.map { "\($0.rfc3339), \(approximate(standing.now - $0)) ago" } ?? "never"
        }
        return lines + [
            "last answer of the SQS queue: \(told(status.lastAnswerAt))", "last event: \(told(standing.lastEvent))",
            "live mail last sent: \(told(standing.lastSent))",
            "events about messages that are not recorded as sent yet: \(status.waiting)",
        ]
    }

    private func sentence(_ state: FeedbackStanding.State) -> String {
        switch state {
        case .off:
            "feedback.queue_url is not set, so the outcome of live mail is not known; 'hiveku-relay feedback --help' says how to set it up"
        case .failing: "the SQS queue can't be read; the relay keeps trying, and continues by itself"
        case .idle:
            "the relay does not read the SQS queue; start the relay, or restart it after a change of feedback.queue_url"
        case .silent:
            "live mail was sent, and no events about it arrive; 'hiveku-relay doctor' says what to check"
        case .untried: "the relay reads the SQS queue; no events were expected yet"
        case .working: "events arrive"
        }
    }
}

extension JSONValue {
    fileprivate init(_ standing: FeedbackStanding, _ settings: RelaySettings) {
        let status = standing.status
        self = .object([
            "state": .string(standing.state.rawValue), "queue_url": JSONValue(settings.feedback.queueURL),
            "region": JSONValue(settings.feedbackRegion),
            "configuration_set": JSONValue(settings.ses.configurationSet),
            "last_answer_at": JSONValue(status.lastAnswerAt), "last_event_at": JSONValue(standing.lastEvent),
            "last_sent_at": JSONValue(standing.lastSent), "waiting": .integer(status.waiting),
            "failure": JSONValue(status.failure), "failing_since": JSONValue(status.failingSince),
        ])
    }
}
