import Metrics
import Testing

@testable import PrometheusMetrics

/// The exact octets of the metrics page (Prometheus' text exposition format 0.0.4).
@Suite struct ExpositionTests {
    @Test func allKinds() {
        let registry = PrometheusRegistry([
            MetricDescription("requests_total", .counter, "Requests."),
            MetricDescription("size", .histogram(buckets: [10, 100]), "Sizes."),
            MetricDescription("load", .gauge, "How much there is to do."),
        ])
        Counter(label: "requests_total", dimensions: [("code", "200")], factory: registry).increment(by: 3)
        Counter(label: "requests_total", dimensions: [("code", "100")], factory: registry).increment()
        Gauge(label: "load", factory: registry).record(1.5)
        let size = Recorder(label: "size", dimensions: [("of", "all")], factory: registry)
        for value in [0.5, 10, 10.5, 1000] { size.record(value) }
        #expect(
            registry.exposition() == """
                # HELP load How much there is to do.
                # TYPE load gauge
                load 1.5
                # HELP requests_total Requests.
                # TYPE requests_total counter
                requests_total{code="100"} 1
                requests_total{code="200"} 3
                # HELP size Sizes.
                # TYPE size histogram
                size_bucket{of="all",le="10"} 2
                size_bucket{of="all",le="100"} 3
                size_bucket{of="all",le="+Inf"} 4
                size_sum{of="all"} 1021
                size_count{of="all"} 4

                """)
    }

    @Test func emptyRegistryExposesNothing() { #expect(PrometheusRegistry().exposition() == "") }

    @Test(arguments: [
        (#"plain"#, #"plain"#), (#"a "quoted" word"#, #"a \"quoted\" word"#), (#"back\slash"#, #"back\\slash"#),
        ("two\nlines", #"two\nlines"#), (#"\n is no line feed"#, #"\\n is no line feed"#), ("é €\t", "é €\t"),
        ("", ""), ("\r\n", "\r\\n"),
    ])
    func labelValuesAreEscaped(value: String, written: String) {
        let registry = PrometheusRegistry()
        Counter(label: "c", dimensions: [("l", value)], factory: registry).increment()
        #expect(registry.exposition() == "# TYPE c counter\nc{l=\"\(written)\"} 1\n")
    }

    @Test(arguments: [
        (#"says "hello""#, #"says "hello""#), ("two\nlines", #"two\nlines"#), (#"C:\"#, #"C:\\"#),
    ])
    func helpTextIsEscapedExceptForQuotes(help: String, written: String) {
        let registry = PrometheusRegistry([MetricDescription("c", .counter, help)])
        Counter(label: "c", factory: registry).increment()
        #expect(registry.exposition() == "# HELP c \(written)\n# TYPE c counter\nc 1\n")
    }

    @Test(arguments: [
        (0.0, "0"), (-0.0, "0"), (1, "1"), (-17, "-17"), (0.1, "0.1"), (1e-7, "1e-07"), (1e21, "1e+21"),
        (1_764_057_600, "1764057600"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
    ])
    func numbers(value: Double, written: String) { #expect(Exposition.number(value) == written) }

    @Test(arguments: [
        ("http.requests", "http_requests"), ("a:b", "a:b"), ("9lives", "_9lives"), ("", "_"), ("é", "__"),
        ("fine_Name1", "fine_Name1"), ("with space", "with_space"), ("a\nb 1", "a_b_1"),
    ])
    func namesOfMetrics(name: String, corrected: String) { #expect(MetricName.ofMetric(name) == corrected) }

    @Test(arguments: [
        ("lane", "lane"), ("a:b", "a_b"), ("__name__", "label__name__"), ("1", "_1"), ("x\"} 5\ny{", "x___5_y_"),
    ])
    func namesOfLabels(name: String, corrected: String) { #expect(MetricName.ofLabel(name) == corrected) }
}
