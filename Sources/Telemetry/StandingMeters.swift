import Metrics
import PrometheusMetrics
import RelayCore

/// The bounces and complaints of the last 30 days, by lane.
struct StandingMeters: Sendable {
    private struct Lanes: Sendable {
        let delivered: Meter
        let bounced: Meter
        let hardBounced: Meter
        let complained: Meter
        let bounceRate: Meter
        let complaintRate: Meter
        let suppressions: [SuppressionReason: Meter]
    }

    private let lanes: ByLane<Lanes>

    init(_ registry: PrometheusRegistry) {
        lanes = ByLane { _, labels in
            let emails = { registry.gauge(Catalogue.emails30Days, labels + [("outcome", $0)]) }
            return Lanes(
                delivered: emails("delivered"), bounced: emails("bounced"), hardBounced: emails("hard-bounced"),
                complained: emails("complained"), bounceRate: registry.gauge(Catalogue.bounceRate, labels),
                complaintRate: registry.gauge(Catalogue.complaintRate, labels),
                suppressions: Dictionary(
                    uniqueKeysWithValues: SuppressionReason.allCases.map { reason in
                        (reason, registry.gauge(Catalogue.suppressions, labels + [("reason", reason.rawValue)]))
                    }))
        }
    }

    /// Shows the bounces and complaints; nil means unknown.
    func show(_ status: QueueStatus?) {
        for lane in Lane.allCases {
            let counts = status.map { $0.feedback[lane] ?? FeedbackCounts() }
            let known = { (count: KeyPath<FeedbackCounts, Int>) in counts.map { Double($0[keyPath: count]) } ?? .nan }
            let meters = lanes[lane]
            meters.delivered.set(known(\.deliveries))
            meters.bounced.set(known(\.bounces))
            meters.hardBounced.set(known(\.hardBounces))
            meters.complained.set(known(\.complaints))
            let standing = counts.map(SendingStanding.init)
            // One bounce in ten emails is not a meaningful rate and should wake no one.
            let counted = standing.flatMap { $0.isTelling ? $0 : nil }
            meters.bounceRate.set(counted?.bounceRate ?? .nan)
            meters.complaintRate.set(counted?.complaintRate ?? .nan)
            for (reason, meter) in meters.suppressions {
                meter.set(status.map { Double($0.suppressions[lane]?[reason] ?? 0) } ?? .nan)
            }
        }
    }
}
