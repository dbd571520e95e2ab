import Feedback
import Metrics
import PrometheusMetrics
import RelayCore

/// Counts what SES reports about messages, and shows the state of the queue of its events.
struct FeedbackMetrics: Sendable {
    private let messages: Counter
    private let events: [EventKind: Counter]
    private let repeated: Counter
    private let passedOver: [QueueReading.PassedOver: Counter]
    private let dropped: [Dropped: Counter]
    private let waiting: Meter
    private let last: Meter
    private let failing: Meter
    private let failures: [SQSFailure.Kind: Counter]

    private enum Dropped: String, CaseIterable {
        case malformed
        case unknownKind = "unknown_kind"
        case unknownRecipient = "unknown_recipient"
        case expired
        case crowdedOut = "crowded_out"
        case leftAlone = "left_alone"
    }

    /// The kinds of event that SES reports.
    private static let kinds: [EventKind] = [.delivered, .delayed, .bounced, .complained, .rejected, .failed]

    init(_ registry: PrometheusRegistry) {
        func counters<Label: Hashable>(
            _ metric: MetricDescription, _ label: String, _ values: [Label], _ word: (Label) -> String
        ) -> [Label: Counter] {
            Dictionary(uniqueKeysWithValues: values.map { ($0, registry.counter(metric, [(label, word($0))])) })
        }
        messages = registry.counter(Catalogue.feedbackMessages)
        events = counters(Catalogue.feedbackEvents, "kind", FeedbackMetrics.kinds, \.rawValue)
        repeated = registry.counter(Catalogue.feedbackRepeated)
        passedOver = counters(
            Catalogue.feedbackPassedOver, "kind", QueueReading.PassedOver.allCases, \.rawValue)
        dropped = counters(Catalogue.feedbackDropped, "reason", Dropped.allCases, \.rawValue)
        waiting = registry.gauge(Catalogue.feedbackWaiting)
        last = registry.gauge(Catalogue.feedbackLast)
        failing = registry.gauge(Catalogue.feedbackFailing)
        failures = counters(
            Catalogue.feedbackFailures, "reason", SQSFailure.Kind.allCases.filter { $0 != .cancelled }, \.rawValue)
        for unknown in [waiting, last, failing] { unknown.set(Double.nan) }
    }

    func begins() {
        failing.set(0)
        waiting.set(0)
    }

    func observe(_ event: FeedbackEvent) {
        switch event {
        case .taken(let count, let at):
            messages.increment(by: count)
            last.set(Double(at.milliseconds) / 1000)
        case .stored(let outcome, let matched):
            for (kind, count) in outcome.recorded { events[kind]?.increment(by: count) }
            repeated.increment(by: outcome.repeated)
            dropped[.unknownRecipient]?.increment(by: outcome.unknownRecipients)
            dropped[.expired]?.increment(by: outcome.expired)
            dropped[.crowdedOut]?.increment(by: outcome.crowdedOut)
            // The store reports the number of all waiting events only when it looks for their messages, which follows
            // within a second.
            if matched { waiting.set(outcome.waiting) }
        case .passedOver(let what): passedOver[what]?.increment()
        case .unknownKind: dropped[.unknownKind]?.increment()
        case .malformed: dropped[.malformed]?.increment()
        case .leftAlone: dropped[.leftAlone]?.increment()
        case .queueFailed(let kind):
            failing.set(1)
            failures[kind]?.increment()
        case .queueRecovered: failing.set(0)
        case .storeFailed, .storeRecovered: break
        }
    }
}
