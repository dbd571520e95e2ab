import Metrics
import Testing

@testable import PrometheusMetrics

@Suite struct RegistryTests {
    @Test func labelOrderDoesNotMakeAnotherSeries() {
        let registry = PrometheusRegistry()
        Counter(label: "c", dimensions: [("a", "1"), ("b", "2")], factory: registry).increment()
        Counter(label: "c", dimensions: [("b", "2"), ("a", "1")], factory: registry).increment()
        #expect(registry.exposition() == "# TYPE c counter\nc{a=\"1\",b=\"2\"} 2\n")
    }

    @Test func lastValueOfADuplicateLabelCounts() {
        let registry = PrometheusRegistry()
        Counter(label: "c", dimensions: [("a", "1"), ("a", "2")], factory: registry).increment()
        #expect(registry.exposition() == "# TYPE c counter\nc{a=\"2\"} 1\n")
    }

    @Test func theNumberOfSeriesIsBounded() {
        let registry = PrometheusRegistry(maximumSeries: 3)
        for n in 0..<10 { Counter(label: "c", dimensions: [("n", "\(n)")], factory: registry).increment() }
        let lines = registry.exposition().split(separator: "\n")
        #expect(lines == ["# TYPE c counter", "c{n=\"0\"} 1", "c{n=\"1\"} 1", "c{n=\"2\"} 1"])
        #expect(registry.droppedSeries == 7)
        // Series that exist already still count.
        Counter(label: "c", dimensions: [("n", "1")], factory: registry).increment()
        #expect(registry.exposition().contains("c{n=\"1\"} 2"))
        #expect(registry.droppedSeries == 7)
    }

    @Test func metricNameHasOneKind() {
        let registry = PrometheusRegistry()
        Counter(label: "x", factory: registry).increment()
        Gauge(label: "x", factory: registry).record(5)
        Timer(label: "x", factory: registry).recordSeconds(5)
        #expect(registry.exposition() == "# TYPE x counter\nx 1\n")
        #expect(registry.droppedSeries == 2)
    }

    @Test func bucketLabelIsReserved() {
        let registry = PrometheusRegistry()
        Timer(label: "x", dimensions: [("le", "5")], factory: registry).recordSeconds(5)
        #expect(registry.exposition() == "")
        #expect(registry.droppedSeries == 1)
    }

    @Test func destroyedSeriesMakeRoomForOthers() {
        let registry = PrometheusRegistry(maximumSeries: 1)
        let meter = Meter(label: "m", factory: registry)
        meter.set(1)
        meter.destroy()
        #expect(registry.exposition() == "")
        Counter(label: "c", factory: registry).increment()
        #expect(registry.exposition() == "# TYPE c counter\nc 1\n")
        #expect(registry.droppedSeries == 0)
    }

    @Test func countersNeverGoBack() {
        let counter = CounterSeries()
        counter.increment(by: 5)
        counter.increment(by: -3)
        counter.increment(by: 0)
        #expect(counter.current == 5)
        counter.reset()
        #expect(counter.current == 0)
    }

    @Test func fractionsAddUp() {
        let registry = PrometheusRegistry()
        let counter = FloatingPointCounter(label: "f", factory: registry)
        for _ in 0..<4 { counter.increment(by: 0.75) }
        #expect(registry.exposition() == "# TYPE f counter\nf 3\n")
    }

    @Test func metersGoUpAndDown() {
        let gauge = GaugeSeries()
        gauge.set(Int64(10))
        gauge.increment(by: 2.5)
        gauge.decrement(by: 0.5)
        #expect(gauge.current == 12)
    }

    @Test func timersCountSeconds() {
        let series = HistogramSeries(bounds: [0.1, 1])
        series.recordNanoseconds(100_000_000)
        series.recordNanoseconds(2_000_000_000)
        #expect(series.current.buckets == [1, 0, 1])
        #expect(series.current.sum == 2.1)
    }

    @Test func nanValuesAreNotCounted() {
        let series = HistogramSeries(bounds: [1])
        series.record(.nan)
        series.record(.infinity)
        #expect(series.current.buckets == [0, 1])
    }

    @Test func bucketsAreSortedAndUnique() {
        let registry = PrometheusRegistry([.init("h", .histogram(buckets: [2, 1, .infinity, 2]), "H.")])
        Recorder(label: "h", factory: registry).record(1.5)
        #expect(
            registry.exposition().split(separator: "\n").dropFirst(2).prefix(3).map(String.init)
                == ["h_bucket{le=\"1\"} 0", "h_bucket{le=\"2\"} 1", "h_bucket{le=\"+Inf\"} 1"])
    }

    @Test func nothingIsLostBetweenThreads() async {
        let registry = PrometheusRegistry([.init("h", .histogram(buckets: [1]), "H.")])
        await withTaskGroup(of: Void.self) { group in
            for n in 0..<8 {
                group.addTask {
                    let counter = Counter(label: "c", dimensions: [("n", "\(n % 2)")], factory: registry)
                    let meter = Meter(label: "m", factory: registry)
                    let histogram = Recorder(label: "h", factory: registry)
                    for _ in 0..<1000 {
                        counter.increment()
                        meter.increment(by: 1)
                        histogram.record(0.5)
                    }
                }
            }
        }
        let text = registry.exposition()
        #expect(text.contains("c{n=\"0\"} 4000\nc{n=\"1\"} 4000\n"))
        #expect(text.contains("m 8000\n"))
        #expect(text.contains("h_bucket{le=\"1\"} 8000\n") && text.contains("h_sum 4000\n"))
    }
}
