import Metrics
import NIOOpenSSL
import PrometheusMetrics
import RelayCore
import SMTPServer

/// What happens on connections.
struct SMTPMetrics: Sendable {
    private let startTLS: Counter
    private let implicitTLS: Counter
    private let overTotal: Counter
    private let overClient: Counter
    private let handshakes: [Handshake: Counter]
    private let tlsFailures: [TLSError.Code: Counter]
    private let authenticated: Counter
    private let failedAuthentications: [RefusalReason: Counter]
    private let refusals: [String: Counter]
    private let delays: Recorder

    private struct Handshake: Hashable {
        var version: TLSVersion
        var resumed: Bool
    }

    init(_ registry: PrometheusRegistry) {
        startTLS = registry.counter(Catalogue.connections, [("tls", "starttls")])
        implicitTLS = registry.counter(Catalogue.connections, [("tls", "implicit")])
        overTotal = registry.counter(Catalogue.refusedConnections, [("limit", "total")])
        overClient = registry.counter(Catalogue.refusedConnections, [("limit", "client")])
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
        authenticated = registry.counter(Catalogue.authentications, [("result", "ok")])
        failedAuthentications = Dictionary(
            uniqueKeysWithValues: SMTPMetrics.authenticationReasons.map { reason in
                (reason, registry.counter(Catalogue.authentications, [("result", reason.rawValue)]))
            })
        refusals = Dictionary(
            uniqueKeysWithValues: RefusalReason.allCases.map { reason in
                (reason.rawValue, registry.counter(Catalogue.refusals, [("reason", reason.rawValue)]))
            })
        delays = registry.histogram(Catalogue.rateDelays)
    }

    /// What an authentication may be refused for.
    private static let authenticationReasons: [RefusalReason] = [
        .keyUnknown, .keyMalformed, .keyRevoked, .keyExpired, .scope, .network, .authThrottled, .storage,
    ]

    func observe(_ event: SMTPEvent) {
        switch event {
        case .connected(.startTLS): startTLS.increment()
        case .connected(.implicitTLS): implicitTLS.increment()
        case .connectionRefused(let perClient): (perClient ? overClient : overTotal).increment()
        case .secured(let version, let resumed):
            handshakes[Handshake(version: version, resumed: resumed)]?.increment()
        case .tlsFailed(let code): tlsFailures[code]?.increment()
        case .authenticated(nil): authenticated.increment()
        case .authenticated(let reason?): failedAuthentications[reason]?.increment()
        case .refused(let reason): refusals[reason]?.increment()
        case .slowedDown(let delay): delays.record(delay.inSeconds)
        }
    }
}
