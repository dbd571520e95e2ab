import Listening
import Metrics
import NIOOpenSSL
import PrometheusMetrics

/// Counts what happens on connections of any protocol.
struct ConnectionMetrics: Sendable {
    private let overTotal: Counter
    private let overClient: Counter
    private let overSite: Counter
    private let handshakes: [Handshake: Counter]
    private let tlsFailures: [TLSError.Code: Counter]

    private struct Handshake: Hashable {
        var version: TLSVersion
        var resumed: Bool
    }

    init(_ registry: PrometheusRegistry) {
        overTotal = registry.counter(Catalogue.refusedConnections, [("limit", "total")])
        overClient = registry.counter(Catalogue.refusedConnections, [("limit", "client")])
        overSite = registry.counter(Catalogue.refusedConnections, [("limit", "site")])
        let kinds = TLSVersion.allCases.flatMap { version in
            [false, true].map { Handshake(version: version, resumed: $0) }
        }
        handshakes = Dictionary(
            uniqueKeysWithValues: kinds.map { kind in
                let labels = [("version", "\(kind.version)"), ("resumed", "\(kind.resumed)")]
                return (kind, registry.counter(Catalogue.handshakes, labels))
            })
        tlsFailures = Dictionary(
            uniqueKeysWithValues: TLSError.Code.all.map { code in
                (code, registry.counter(Catalogue.tlsFailures, [("reason", "\(code)")]))
            })
    }

    func refused(_ scope: ConnectionLimiter.Scope) {
        switch scope {
        case .all: overTotal.increment()
        case .client: overClient.increment()
        case .site: overSite.increment()
        }
    }

    func secured(_ version: TLSVersion, resumed: Bool) {
        handshakes[Handshake(version: version, resumed: resumed)]?.increment()
    }

    func tlsFailed(_ code: TLSError.Code) { tlsFailures[code]?.increment() }
}
