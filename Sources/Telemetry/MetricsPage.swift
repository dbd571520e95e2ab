import Metrics
import NIOOpenSSL
import PrometheusMetrics
import RelayCore
import Synchronization

/// The metrics page: what has been counted, and the relay's state at the time of the request.
///
/// To count a queue of a million takes a fifth of a second. So the queue is counted only for requests, by one count at
/// a time, and so seldom that it takes 2 % of the time, but at least once a minute if requested. In between, the last
/// count is shown.
public final class MetricsPage: Sendable {
    /// The sources of the relay's state.
    public struct Sources: Sendable {
        /// Counts the queue. Throws when the database can't be read.
        public var queue: @Sendable () async throws -> QueueStatus
        /// The number of webhook calls that wait, and of webhooks that the relay has disabled.
        public var webhooks: @Sendable () async throws -> (waiting: Int, disabled: Int)
        /// The number of connections that are open.
        public var openConnections: @Sendable () -> Int
        /// The certificates that clients are shown.
        public var certificates: @Sendable () -> [TLSCertificateInfo]
        /// The space on the file system of the database. Nil when it can't be determined.
        public var disk: @Sendable () async -> DiskSpace?

        public init(
            queue: @escaping @Sendable () async throws -> QueueStatus,
            webhooks: @escaping @Sendable () async throws -> (waiting: Int, disabled: Int),
            openConnections: @escaping @Sendable () -> Int,
            certificates: @escaping @Sendable () -> [TLSCertificateInfo],
            disk: @escaping @Sendable () async -> DiskSpace?
        ) {
            self.queue = queue
            self.webhooks = webhooks
            self.openConnections = openConnections
            self.certificates = certificates
            self.disk = disk
        }
    }

    private struct State {
        var countAgainAt = MonotonicTime.distantPast
        var counting: Task<Void, Never>?
        /// By kind of key, so that the series of a kind that is no longer in use is removed.
        var expiries: [String: Meter] = [:]
    }

    private let metrics: RelayMetrics
    private let sources: Sources
    private let clock: any RelayClock
    private let limit: Duration
    private let state = Mutex(State())

    private let depths: [QueueState: Meter]
    private let ages: [QueueState: Meter]
    private let scheduled: [Lane: Meter]
    private let allowedRate: Meter
    private let standing: StandingMeters
    private let storeUp: Meter
    private let openConnections: Meter
    private let webhookBacklog: Meter
    private let disabledWebhooks: Meter
    private let diskFree: Meter
    private let diskSize: Meter
    private let droppedSeries: Meter

    private struct QueueState: Hashable {
        var lane: Lane
        var state: DeliveryState

        static let all = Lane.allCases.flatMap { lane in
            [DeliveryState.queued, .sending, .held].map { QueueState(lane: lane, state: $0) }
        }
    }

    /// The part of one core's time that counting the queue may take.
    static let share = 0.02
    /// The number of seconds for which a count is reused, however short it was.
    static let shortestPause = 1.0
    /// The number of seconds after which the queue is counted again, however long it takes. Those who watch must see
    /// changes.
    static let longestPause = 60.0

    /// - Parameter limit: how long the page waits for the database.
    public init(_ metrics: RelayMetrics, _ sources: Sources, clock: any RelayClock, limit: Duration = .seconds(5)) {
        self.metrics = metrics
        self.sources = sources
        self.clock = clock
        self.limit = limit
        let registry = metrics.registry
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
        openConnections = registry.gauge(Catalogue.openConnections)
        webhookBacklog = registry.gauge(Catalogue.webhookBacklog)
        disabledWebhooks = registry.gauge(Catalogue.disabledWebhooks)
        diskFree = registry.gauge(Catalogue.diskFree)
        diskSize = registry.gauge(Catalogue.diskSize)
        droppedSeries = registry.gauge(Catalogue.droppedSeries)
    }

    static let contentType = PrometheusRegistry.contentType

    /// The page at this time. It also comes when the database does not answer.
    func text() async -> String {
        if let counting = counting() {
            // A result that comes later is shown at the next request.
            if await within(limit, { await counting.value }) == nil {
                show(nil)
                show(webhooks: nil)
            }
        }
        openConnections.set(sources.openConnections())
        let disk = await within(limit, sources.disk) ?? nil
        diskFree.set(disk.map { Double($0.free) } ?? .nan)
        diskSize.set(disk.map { Double($0.size) } ?? .nan)
        show(sources.certificates())
        droppedSeries.set(metrics.registry.droppedSeries)
        return metrics.registry.exposition()
    }

    /// Returns the count that is running, or a new one. Nil while the last count may be reused.
    private func counting() -> Task<Void, Never>? {
        state.withLock { state in
            if let counting = state.counting { return counting }
            guard clock.monotonicNow() >= state.countAgainAt else { return nil }
            let task = Task { await count() }
            state.counting = task
            return task
        }
    }

    private func count() async {
        let began = clock.monotonicNow()
        show(try? await sources.queue())
        show(webhooks: try? await sources.webhooks())
        let ended = clock.monotonicNow()
        let pause = min(
            max(ended.seconds(since: began) / MetricsPage.share, MetricsPage.shortestPause), MetricsPage.longestPause)
        state.withLock { state in
            state.counting = nil
            state.countAgainAt = ended.advanced(bySeconds: pause)
        }
    }

    /// Nil means unknown.
    private func show(webhooks backlog: (waiting: Int, disabled: Int)?) {
        webhookBacklog.set(backlog.map { Double($0.waiting) } ?? .nan)
        disabledWebhooks.set(backlog.map { Double($0.disabled) } ?? .nan)
    }

    /// Nil means unknown.
    private func show(_ status: QueueStatus?) {
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

    private func show(_ certificates: [TLSCertificateInfo]) {
        let registry = metrics.registry
        state.withLock { state in
            let kinds = Set(certificates.map(\.keyType))
            for (kind, expiry) in state.expiries where !kinds.contains(kind) {
                expiry.destroy()
                state.expiries[kind] = nil
            }
            for certificate in certificates {
                let kind = certificate.keyType
                let expiry =
                    state.expiries[kind]
                    ?? registry.gauge(Catalogue.certificateExpiry, [("key_type", kind)])
                expiry.set(certificate.notAfter)
                state.expiries[kind] = expiry
            }
        }
    }
}
