import Metrics
import PrometheusMetrics
import SMTPServer

/// Counts what happens on SMTP connections.
struct SMTPMetrics: Sendable {
    private let startTLS: Counter
    private let implicitTLS: Counter
    private let connections: ConnectionMetrics
    private let timeouts: [TimeoutKind: Counter]

    init(_ registry: PrometheusRegistry, _ connections: ConnectionMetrics) {
        self.connections = connections
        startTLS = registry.counter(Catalogue.connections, [("tls", "starttls")])
        implicitTLS = registry.counter(Catalogue.connections, [("tls", "implicit")])
        timeouts = Dictionary(
            uniqueKeysWithValues: TimeoutKind.allCases.map { kind in
                (kind, registry.counter(Catalogue.timeouts, [("waited_for", kind.rawValue)]))
            })
    }

    func observe(_ event: SMTPEvent) {
        switch event {
        case .connected(.startTLS): startTLS.increment()
        case .connected(.implicitTLS): implicitTLS.increment()
        case .connectionRefused(let scope): connections.refused(scope)
        case .secured(let version, let resumed): connections.secured(version, resumed: resumed)
        case .tlsFailed(let code): connections.tlsFailed(code)
        case .timedOut(let kind): timeouts[kind]?.increment()
        }
    }
}
