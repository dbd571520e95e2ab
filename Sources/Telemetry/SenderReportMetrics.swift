import Metrics
import PrometheusMetrics
import RelayCore
import SenderReports

/// Counts the reports to the senders of messages, by outcome.
struct SenderReportMetrics: Sendable {
    private let queued: Counter
    private let givenUp: Counter

    init(_ registry: PrometheusRegistry) {
        queued = registry.counter(Catalogue.senderReportCount, [("outcome", "queued")])
        givenUp = registry.counter(Catalogue.senderReportCount, [("outcome", "given-up")])
    }

    func observe(_ event: SenderReportEvent) {
        switch event {
        case .queued: queued.increment()
        case .givenUp: givenUp.increment()
        }
    }
}
