import Delivery
import Metrics
import PrometheusMetrics
import RelayCore

/// Counts the outcomes of deliveries and what SES answers.
struct DeliveryMetrics: Sendable {
    private struct Outcomes: Sendable {
        let done: Counter
        let failed: Counter
        let retried: Counter
        let suppressed: Counter
    }

    private let outcomes: ByLane<Outcomes>
    private let emails: ByLane<Counter>
    private let delays: ByLane<Recorder>
    private let held: ByLane<Meter>
    private let slowdowns: Counter
    private let requests: [Answer: Recorder]
    private let sesEmails: Counter
    private let quotaRate: Meter
    private let quotaDay: Meter
    private let quotaUsed: Meter

    private enum Answer: String, CaseIterable {
        case sent, retry, failed, held
    }

    init(_ registry: PrometheusRegistry) {
        outcomes = ByLane { lane, labels in
            let counter = { registry.counter(Catalogue.deliveries, labels + [("outcome", $0)]) }
            return Outcomes(
                done: counter(lane == .live ? "sent" : "simulated"), failed: counter("failed"),
                retried: counter("retried"), suppressed: counter("suppressed"))
        }
        emails = ByLane { registry.counter(Catalogue.sentEmails, $1) }
        delays = ByLane { registry.histogram(Catalogue.deliveryDelays, $1) }
        held = ByLane { registry.gauge(Catalogue.heldLanes, $1) }
        slowdowns = registry.counter(Catalogue.slowdowns)
        requests = Dictionary(
            uniqueKeysWithValues: Answer.allCases.map { answer in
                (answer, registry.histogram(Catalogue.sesRequests, [("outcome", answer.rawValue)]))
            })
        sesEmails = registry.counter(Catalogue.sesEmails)
        quotaRate = registry.gauge(Catalogue.sesQuotaRate)
        quotaDay = registry.gauge(Catalogue.sesQuotaDay)
        quotaUsed = registry.gauge(Catalogue.sesQuotaUsed)
        for unknown in [quotaRate, quotaDay, quotaUsed] { unknown.set(Double.nan) }
    }

    func observe(_ event: DeliveryEvent) {
        switch event {
        case .ended(let delivery, let settlement):
            let lane = delivery.lane
            switch settlement.result {
            case .sent, .simulated:
                outcomes[lane].done.increment()
                emails[lane].increment(by: delivery.envelope.recipients.count)
                delays[lane].record(max(0, (settlement.finishedAt - delivery.queuedSince).inSeconds))
            case .failed, .retry, .released: outcomes[lane].failed.increment()
            }
        case .suppressed(let delivery): outcomes[delivery.lane].suppressed.increment()
        case .retried(let delivery, _): outcomes[delivery.lane].retried.increment()
        case .slowedDown: slowdowns.increment()
        case .laneHeld(let lane, _): held[lane].set(1)
        case .laneResumed(let lane): held[lane].set(0)
        case .storeFailed, .storeRecovered: break
        }
    }

    func called(_ outcome: DeliveryOutcome, recipients: Int, seconds: Double) {
        let answer: Answer =
            switch outcome {
            case .sent, .simulated: .sent
            case .retry: .retry
            case .failed: .failed
            case .laneHeld: .held
            }
        requests[answer]?.record(seconds)
        sesEmails.increment(by: recipients)
    }

    func learned(_ quota: SendQuota) {
        quotaRate.set(quota.maximumRate)
        quotaDay.set(quota.maximum24Hours ?? .infinity)
        quotaUsed.set(quota.sentLast24Hours)
    }
}

/// Measures a transport and the account behind it.
public struct MeasuredTransport<Wrapped: Transport & QuotaSource>: Transport, QuotaSource {
    private let wrapped: Wrapped
    private let metrics: DeliveryMetrics
    private let clock: any RelayClock

    /// - Parameters:
    ///   - wrapped: the transport that sends.
    ///   - metrics: the metrics that are counted.
    ///   - clock: measures how long calls take.
    public init(_ wrapped: Wrapped, _ metrics: RelayMetrics, clock: any RelayClock) {
        self.wrapped = wrapped
        self.metrics = metrics.delivery
        self.clock = clock
    }

    public var executor: (any TaskExecutor)? { wrapped.executor }

    public func send(_ delivery: ClaimedDelivery, body: any StoredBody) async -> DeliveryOutcome {
        let began = clock.monotonicNow()
        let outcome = await wrapped.send(delivery, body: body)
        metrics.called(
            outcome, recipients: delivery.envelope.recipients.count,
            seconds: clock.monotonicNow().seconds(since: began))
        return outcome
    }

    public func quota() async -> SendQuota? {
        let quota = await wrapped.quota()
        if let quota { metrics.learned(quota) }
        return quota
    }
}
