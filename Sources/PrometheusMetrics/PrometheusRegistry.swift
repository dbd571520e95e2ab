import Metrics
import Synchronization

/// Holds a program's metrics and writes them in Prometheus' format.
///
/// It is a backend for swift-metrics. Pass it to `Counter(label:dimensions:factory:)` and similar, and keep the result.
/// To find a series by its labels takes a lock and a look-up. To count in it takes an atomic addition.
///
/// The number of series is bounded. Series beyond the limit can be used but are not exposed, and ``droppedSeries`` has
/// their number. The same holds for a series whose name is already used for another kind of metric.
public final class PrometheusRegistry: Sendable {
    /// The `Content-Type` of ``exposition()``.
    public static let contentType = Exposition.contentType

    private enum Series {
        case counter(CounterSeries)
        case gauge(GaugeSeries)
        case histogram(HistogramSeries)

        var handler: AnyObject {
            switch self {
            case .counter(let series): series
            case .gauge(let series): series
            case .histogram(let series): series
            }
        }
    }

    private struct Family {
        var kind: MetricDescription.Kind
        var series: [Labels: Series] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        var count = 0
        var dropped = 0
    }

    private let descriptions: [String: MetricDescription]
    private let maximumSeries: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - descriptions: the known metrics. Other metrics work too, but have no help text, and their histogram buckets
    ///     may not suit them.
    ///   - maximumSeries: the largest number of series that are exposed, for all metrics together. A histogram counts
    ///     once.
    public init(_ descriptions: [MetricDescription] = [], maximumSeries: Int = 1000) {
        self.descriptions = Dictionary(descriptions.map { ($0.name, $0) }) { _, last in last }
        self.maximumSeries = maximumSeries
    }

    /// The number of series that were requested and are not exposed.
    public var droppedSeries: Int { state.withLock { $0.dropped } }

    /// The text of all metrics, ordered by name.
    public func exposition() -> String {
        // The values are read without the lock, so that counting never waits for a reader.
        let families = state.withLock { $0.families }
        var exposition = Exposition()
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            exposition.begin(name, family.kind, help: descriptions[name]?.help)
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                PrometheusRegistry.write(series, name, labels, to: &exposition)
            }
        }
        return exposition.text
    }

    private static func write(_ series: Series, _ name: String, _ labels: Labels, to exposition: inout Exposition) {
        switch series {
        case .counter(let counter): exposition.sample(name, labels, "\(counter.current)")
        case .gauge(let gauge): exposition.sample(name, labels, Exposition.number(gauge.current))
        case .histogram(let histogram):
            let counts = histogram.current
            var sum: UInt64 = 0
            for (bound, count) in zip(histogram.bounds + [.infinity], counts.buckets) {
                sum += count
                exposition.sample("\(name)_bucket", labels, le: bound, "\(sum)")
            }
            exposition.sample("\(name)_sum", labels, Exposition.number(counts.sum))
            exposition.sample("\(name)_count", labels, "\(counts.count)")
        }
    }

    /// The series with this name and these labels. If no series can be added, returns a new one that is not exposed.
    private func series(_ label: String, _ dimensions: [(String, String)], _ kind: MetricDescription.Kind) -> Series {
        let name = MetricName.ofMetric(label)
        let labels = Labels(dimensions)
        return state.withLock { state in
            var family = state.families[name] ?? Family(kind: kind)
            if let known = family.series[labels], family.kind.word == kind.word { return known }
            let series = PrometheusRegistry.makeSeries(kind)
            let isWrong = family.kind.word != kind.word || (kind.word == "histogram" && labels.names("le"))
            guard !isWrong, state.count < maximumSeries else {
                state.dropped += 1
                return series
            }
            family.series[labels] = series
            state.families[name] = family
            state.count += 1
            return series
        }
    }

    private static func makeSeries(_ kind: MetricDescription.Kind) -> Series {
        switch kind {
        case .counter: .counter(CounterSeries())
        case .gauge: .gauge(GaugeSeries())
        case .histogram(let buckets):
            .histogram(HistogramSeries(bounds: Set(buckets).filter(\.isFinite).sorted()))
        }
    }

    private func histogram(_ label: String, _ dimensions: [(String, String)]) -> HistogramSeries {
        var kind = MetricDescription.Kind.times
        if case .histogram(let buckets)? = descriptions[MetricName.ofMetric(label)]?.kind {
            kind = .histogram(buckets: buckets)
        }
        guard case .histogram(let series) = series(label, dimensions, kind) else { return HistogramSeries(bounds: []) }
        return series
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeSeries {
        guard case .gauge(let series) = series(label, dimensions, .gauge) else { return GaugeSeries() }
        return series
    }

    private func remove(_ handler: AnyObject) {
        state.withLock { state in
            for (name, var family) in state.families {
                guard let labels = family.series.first(where: { $0.value.handler === handler })?.key else { continue }
                family.series[labels] = nil
                state.families[name] = family.series.isEmpty ? nil : family
                state.count -= 1
                return
            }
        }
    }
}

extension PrometheusRegistry: MetricsFactory {
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        guard case .counter(let series) = series(label, dimensions, .counter) else { return CounterSeries() }
        return series
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        aggregate ? histogram(label, dimensions) : gauge(label, dimensions)
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions)
    }

    public func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
    public func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
    public func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
    public func destroyTimer(_ handler: any TimerHandler) { remove(handler) }
}

extension Labels: Comparable {
    static func < (left: Labels, right: Labels) -> Bool {
        left.pairs.lexicographicallyPrecedes(right.pairs) { ($0.name, $0.value) < ($1.name, $1.value) }
    }
}
