import Admission
import PrometheusMetrics
import RelayCore
import SMTPServer
import Testing

@testable import Telemetry

@Suite struct CatalogueTests {
    @Test func namesAreThoseThatPrometheusExpects() {
        #expect(Set(Catalogue.all.map(\.name)).count == Catalogue.all.count)
        for metric in Catalogue.all {
            #expect(metric.name.hasPrefix("hiveku_relay_"))
            #expect(metric.name.hasSuffix("_total") == (metric.kind == .counter), "\(metric.name)")
            #expect(metric.help.hasSuffix(".") && !metric.help.contains("|"), "\(metric.name)")
        }
    }

    @Test func everySeriesIsThereFromTheStartAndThereIsRoomForThem() {
        let metrics = RelayMetrics(version: "1")
        let before = metrics.registry.exposition()
        for reason in RefusalReason.allCases {
            metrics.observe(.refused(reason))
            #expect(metrics.registry.exposition().contains("refusals_total{reason=\"\(reason.rawValue)\"} 1\n"))
        }
        let series = { (text: String) in text.split(separator: "\n").map { $0.prefix { $0 != " " } } }
        #expect(series(metrics.registry.exposition()) == series(before))
        #expect(metrics.registry.droppedSeries == 0)
    }

    /// No authentication is refused for this reason. An event with such a reason is a mistake in the code, and makes no
    /// series.
    @Test func unexpectedReasonCreatesNoSeries() {
        let metrics = RelayMetrics(version: "1")
        let before = metrics.registry.exposition()
        metrics.observe(.authenticationRefused(.size))
        #expect(metrics.registry.exposition() == before)
    }
}
