import Admission
import Delivery
import Feedback
import HTTPServer
import Metrics
import PrometheusMetrics
import RelayCore
import SMTPServer
import SenderReports
import Webhooks

/// All metrics that the relay counts. The observers of the relay's modules call this class; the modules know nothing of
/// metrics.
///
/// Each series exists from the start with the value 0, so that the first event is seen as a change. Each series is
/// looked up only once, here. To count is then an atomic addition, or a short lock for a histogram.
public final class RelayMetrics: Sendable {
    let registry: PrometheusRegistry
    let delivery: DeliveryMetrics
    private let smtp: SMTPMetrics
    private let http: HTTPMetrics
    private let admission: AdmissionMetrics
    private let webhooks: WebhookMetrics
    private let feedback: FeedbackMetrics
    private let senderReports: SenderReportMetrics
    private let syncSeconds: Recorder

    /// - Parameter version: the relay's version, for the metric `hiveku_relay_build_info`.
    public init(version: String) {
        registry = PrometheusRegistry(Catalogue.all, maximumSeries: RelayMetrics.maximumSeries)
        let connections = ConnectionMetrics(registry)
        smtp = SMTPMetrics(registry, connections)
        http = HTTPMetrics(registry, connections)
        admission = AdmissionMetrics(registry)
        delivery = DeliveryMetrics(registry)
        webhooks = WebhookMetrics(registry)
        feedback = FeedbackMetrics(registry)
        senderReports = SenderReportMetrics(registry)
        syncSeconds = registry.histogram(Catalogue.syncSeconds)
        registry.gauge(Catalogue.build, [("version", version)]).set(1)
    }

    /// The largest number of series. It is above the number of the relay's series, which leaves room for new metrics.
    /// It stops a mistake that makes series without end.
    static let maximumSeries = 300

    /// Counts an event of an SMTP connection: its start, its TLS, a refusal or a timeout.
    public func observe(_ event: SMTPEvent) { smtp.observe(event) }
    /// Counts an event of an HTTP connection, or the answer to a request.
    public func observe(_ event: HTTPEvent) { http.observe(event) }
    /// Counts an event of the admission, such as an authentication, a refusal, a delay or an accepted message.
    public func observe(_ event: Admission.Event) { admission.observe(event) }
    /// Counts an event of the delivery, such as an ended, retried or suppressed delivery. Shows whether a lane is held.
    public func observe(_ event: DeliveryEvent) { delivery.observe(event) }
    /// Counts a call of a webhook by its outcome, or a webhook that was disabled.
    public func observe(_ event: WebhookDispatcher.Event) { webhooks.observe(event) }
    /// Counts a report to a sender: it was queued or given up.
    public func observe(_ event: SenderReportEvent) { senderReports.observe(event) }
    /// Counts what SES reports about messages, and shows whether the queue of its events can be read.
    public func observe(_ event: FeedbackEvent) { feedback.observe(event) }
    /// Reports that a queue of events is configured.
    public func readsFeedback() { feedback.begins() }
    /// Records how long a sync of the database took.
    public func synced(seconds: Double) { syncSeconds.record(seconds) }
}

extension PrometheusRegistry {
    func counter(_ metric: MetricDescription, _ labels: [(String, String)] = []) -> Counter {
        Counter(label: metric.name, dimensions: labels, factory: self)
    }

    func gauge(_ metric: MetricDescription, _ labels: [(String, String)] = []) -> Meter {
        Meter(label: metric.name, dimensions: labels, factory: self)
    }

    func histogram(_ metric: MetricDescription, _ labels: [(String, String)] = []) -> Recorder {
        Recorder(label: metric.name, dimensions: labels, aggregate: true, factory: self)
    }
}

/// A value for each lane.
struct ByLane<Value: Sendable>: Sendable {
    private let live: Value
    private let test: Value

    init(_ make: (Lane, [(String, String)]) -> Value) {
        live = make(.live, [("lane", Lane.live.rawValue)])
        test = make(.test, [("lane", Lane.test.rawValue)])
    }

    subscript(lane: Lane) -> Value { lane == .live ? live : test }
}
