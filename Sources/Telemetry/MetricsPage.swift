import Metrics
import PrometheusMetrics
import RelayCore
import Synchronization

/// The metrics page: what has been counted, and the relay's state at the time of the request.
///
/// Counting a queue of a million deliveries takes a fifth of a second. So the queue is counted only when the page is
/// requested, and by one count at a time. The pause after each count keeps the counts at 2 % of the time or less, but
/// the pause is never longer than a minute. Until the next count, the page shows the last one.
public final class MetricsPage: Sendable {
    private struct State {
        var countAgainAt = MonotonicTime.distantPast
        var counting: Task<Void, Never>?
    }

    private let metrics: RelayMetrics
    private let readings: [ScrapeSource.Reading]
    private let clock: any RelayClock
    private let limit: Duration
    private let state = Mutex(State())
    private let droppedSeries: Meter

    /// The part of one core's time that counting the queue may take.
    static let share = 0.02
    /// The number of seconds for which a count is reused, however short it was.
    static let shortestPause = 1.0
    /// The number of seconds after which the queue is counted again, however long it takes. Those who watch must see
    /// changes.
    static let longestPause = 60.0

    /// - Parameters:
    ///   - sources: where the gauges' values come from. They are read in this order.
    ///   - limit: how long the page waits for the database.
    public init(
        _ metrics: RelayMetrics, _ sources: [ScrapeSource], clock: any RelayClock, limit: Duration = .seconds(5)
    ) {
        self.metrics = metrics
        self.clock = clock
        self.limit = limit
        readings = sources.map { $0.reading(metrics.registry, clock) }
        droppedSeries = metrics.registry.gauge(Catalogue.droppedSeries)
    }

    static let contentType = PrometheusRegistry.contentType

    /// The text of the page now. It is also returned when the database does not answer.
    func text() async -> String {
        if let counting = counting() {
            // A result that comes later is shown at the next request.
            if await within(limit, { await counting.value }) == nil {
                for case .counted(_, let showUnknown) in readings { showUnknown() }
            }
        }
        for case .fresh(let read) in readings { await read(limit) }
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
        for case .counted(let read, _) in readings { await read() }
        let ended = clock.monotonicNow()
        let pause = min(
            max(ended.seconds(since: began) / MetricsPage.share, MetricsPage.shortestPause), MetricsPage.longestPause)
        state.withLock { state in
            state.counting = nil
            state.countAgainAt = ended.advanced(bySeconds: pause)
        }
    }
}
