import HTTPServer
import Listening
import Metrics
import NIOOpenSSL
import PrometheusMetrics

/// Counts what happens on HTTP connections, and the answers to requests.
struct HTTPMetrics: Sendable {
    private let https: Counter
    private let http: Counter
    private let connections: ConnectionMetrics
    private let timeouts: [HTTPTimeoutKind: Counter]
    private let requests: [Request: Counter]

    private struct Request: Hashable {
        var route: HTTPRouteName
        /// The first digit of the status code.
        var kind: Int
    }

    init(_ registry: PrometheusRegistry, _ connections: ConnectionMetrics) {
        self.connections = connections
        https = registry.counter(Catalogue.connections, [("tls", "https")])
        http = registry.counter(Catalogue.connections, [("tls", "none")])
        timeouts = Dictionary(
            uniqueKeysWithValues: HTTPTimeoutKind.allCases.map { kind in
                (kind, registry.counter(Catalogue.timeouts, [("waited_for", "http-\(kind.rawValue)")]))
            })
        let kinds = HTTPRouteName.allCases.flatMap { route in [2, 4, 5].map { Request(route: route, kind: $0) } }
        requests = Dictionary(
            uniqueKeysWithValues: kinds.map { kind in
                let labels = [("route", kind.route.rawValue), ("status", "\(kind.kind)xx")]
                return (kind, registry.counter(Catalogue.httpRequests, labels))
            })
    }

    func observe(_ event: HTTPEvent) {
        switch event {
        case .connected(isTLS: true): https.increment()
        case .connected(isTLS: false): http.increment()
        case .connectionRefused(let scope): connections.refused(scope)
        case .secured(let version, let resumed): connections.secured(version, resumed: resumed)
        case .tlsFailed(let code): connections.tlsFailed(code)
        case .timedOut(let kind): timeouts[kind]?.increment()
        case .answered(let route, let status): requests[Request(route: route, kind: status / 100)]?.increment()
        }
    }
}
