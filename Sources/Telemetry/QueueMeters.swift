import Metrics
import PrometheusMetrics
import RelayCore

/// The gauges for what a count of the queue reports: the deliveries by lane and state, the account's standing, the rate
/// that SES allows, and whether the store answers.
struct QueueMeters: Sendable {
    private struct QueueState: Hashable {
        var lane: Lane
        var state: DeliveryState

        static let all = Lane.allCases.flatMap { lane in
            [DeliveryState.queued, .sending, .held].map { QueueState(lane: lane, state: $0) }
        }
    }

    private let depths: [QueueState: Meter]
    private let ages: [QueueState: Meter]
    private let scheduled: [Lane: Meter]
    private let allowedRate: Meter
    private let standing: StandingMeters
    private let storeUp: Meter
    private let clock: any RelayClock

    init(_ registry: PrometheusRegistry, clock: any RelayClock) {
        let byState = { (metric: MetricDescription) in
            Dictionary(
                uniqueKeysWithValues: QueueState.all.map { state in
                    let labels = [("lane", state.lane.rawValue), ("state", state.state.rawValue)]
                    return (state, registry.gauge(metric, labels))
                })
        }
        depths = byState(Catalogue.queueDeliveries)
        ages = byState(Catalogue.queueAge)
        scheduled = Dictionary(
            uniqueKeysWithValues: Lane.allCases.map { lane in
                (lane, registry.gauge(Catalogue.queueDeliveries, [("lane", lane.rawValue), ("state", "scheduled")]))
            })
        allowedRate = registry.gauge(Catalogue.allowedRate)
        standing = StandingMeters(registry)
        storeUp = registry.gauge(Catalogue.storeUp)
        self.clock = clock
    }

    /// Shows what the count has reported; nil means unknown.
    func show(_ status: QueueStatus?) {
        storeUp.set(status == nil ? 0 : 1)
        let now = clock.now()
        for state in QueueState.all {
            let depth = status?.depths.first { $0.lane == state.lane && $0.state == state.state }
            let age = depth?.oldest.map { max(0, (now - $0).inSeconds) }
            depths[state]?.set(status == nil ? .nan : Double(depth?.deliveries ?? 0))
            ages[state]?.set(status == nil ? .nan : age ?? 0)
        }
        for (lane, meter) in scheduled {
            let waiting = status?.scheduled.first { $0.lane == lane }?.deliveries ?? 0
            meter.set(status == nil ? .nan : Double(waiting))
        }
        standing.show(status)
        allowedRate.set(status?.ownLane(.live)?.rate ?? .nan)
    }
}
