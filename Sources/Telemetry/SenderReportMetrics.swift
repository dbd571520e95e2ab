import Metrics
import PrometheusMetrics
import RelayCore
import SenderReports

/// What becomes of reports to the senders of messages.
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
