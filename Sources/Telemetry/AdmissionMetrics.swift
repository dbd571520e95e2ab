import Admission
import Metrics
import PrometheusMetrics
import RelayCore

/// Counts authentications, refusals, delays and accepted messages, for all faces.
struct AdmissionMetrics: Sendable {
    private let authenticated: Counter
    private let failedAuthentications: [RefusalReason: Counter]
    private let refusals: [RefusalReason: Counter]
    private let delays: Recorder
    private let messages: ByLane<Counter>
    private let emails: ByLane<Counter>
    private let bytes: ByLane<Counter>
    private let repeats: Counter
    private let storageFailures: Counter
    private let commitMessages: Recorder
    private let commitSeconds: Recorder

    init(_ registry: PrometheusRegistry) {
        authenticated = registry.counter(Catalogue.authentications, [("result", "ok")])
        failedAuthentications = Dictionary(
            uniqueKeysWithValues: AdmissionMetrics.authenticationReasons.map { reason in
                (reason, registry.counter(Catalogue.authentications, [("result", reason.rawValue)]))
            })
        refusals = Dictionary(
            uniqueKeysWithValues: RefusalReason.allCases.map { reason in
                (reason, registry.counter(Catalogue.refusals, [("reason", reason.rawValue)]))
            })
        delays = registry.histogram(Catalogue.rateDelays)
        messages = ByLane { registry.counter(Catalogue.acceptedMessages, $1) }
        emails = ByLane { registry.counter(Catalogue.acceptedEmails, $1) }
        bytes = ByLane { registry.counter(Catalogue.acceptedBytes, $1) }
        repeats = registry.counter(Catalogue.repeatedMessages)
        storageFailures = registry.counter(Catalogue.storageFailures)
        commitMessages = registry.histogram(Catalogue.commitMessages)
        commitSeconds = registry.histogram(Catalogue.commitSeconds)
    }

    /// The reasons for which an authentication can be refused.
    private static let authenticationReasons: [RefusalReason] = [
        .keyUnknown, .keyMalformed, .keyRevoked, .keyExpired, .scope, .network, .authThrottled, .storage,
    ]

    func observe(_ event: Admission.Event) {
        switch event {
        case .authenticated: authenticated.increment()
        case .authenticationRefused(let reason): failedAuthentications[reason]?.increment()
        case .refused(let reason): refusals[reason]?.increment()
        case .slowedDown(let delay): delays.record(delay.inSeconds)
        case .accepted(let submission, let lane):
            messages[lane].increment()
            emails[lane].increment(by: submission.envelope.recipients.count)
            bytes[lane].increment(by: submission.body.size)
        case .repeated: repeats.increment()
        case .storageFailed: storageFailures.increment()
        case .committed(let messages, let seconds):
            commitMessages.record(messages)
            commitSeconds.record(seconds)
        }
    }
}
