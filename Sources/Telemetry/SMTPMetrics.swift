import Listening
import Metrics
import NIOOpenSSL
import PrometheusMetrics
import SMTPServer

/// What happens on connections.
struct SMTPMetrics: Sendable {
    private let startTLS: Counter
    private let implicitTLS: Counter
    private let overTotal: Counter
    private let overClient: Counter
    private let overSite: Counter
    private let handshakes: [Handshake: Counter]
    private let tlsFailures: [TLSError.Code: Counter]
    private let timeouts: [TimeoutKind: Counter]

    private struct Handshake: Hashable {
        var version: TLSVersion
        var resumed: Bool
    }

    init(_ registry: PrometheusRegistry) {
        startTLS = registry.counter(Catalogue.connections, [("tls", "starttls")])
        implicitTLS = registry.counter(Catalogue.connections, [("tls", "implicit")])
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
        timeouts = Dictionary(
            uniqueKeysWithValues: TimeoutKind.allCases.map { kind in
                (kind, registry.counter(Catalogue.timeouts, [("waited_for", kind.rawValue)]))
            })
    }

    func observe(_ event: SMTPEvent) {
        switch event {
        case .connected(.startTLS): startTLS.increment()
        case .connected(.implicitTLS): implicitTLS.increment()
        case .connectionRefused(.all): overTotal.increment()
        case .connectionRefused(.client): overClient.increment()
        case .connectionRefused(.site): overSite.increment()
        case .secured(let version, let resumed):
            handshakes[Handshake(version: version, resumed: resumed)]?.increment()
        case .tlsFailed(let code): tlsFailures[code]?.increment()
        case .timedOut(let kind): timeouts[kind]?.increment()
        }
    }
}
