import Admission
import Domains
import HTTPTypes
import Listening
import Logging
import NIOCore
import NIOOpenSSL
import RelayCore

/// The parts and settings that all connections of the HTTP face share.
struct HTTPService: Sendable {
    /// The limits and rules for requests.
    let configuration: Current<HTTPServerConfiguration>
    let admission: Admission
    let store: any RelayStore
    let domains: SendingDomains
    let clock: any RelayClock
    let tls: ReloadableTLSContext
    let limiter: ConnectionLimiter
    /// Limits how many large bodies are in memory at a time.
    let turns: LargeBodyTurns
    /// Limits how many emails made from templates are in memory at a time. A request that has such a turn never waits
    /// for a turn of ``turns``.
    let renderingTurns: LargeBodyTurns
    let shutdown: ShutdownNotice
    let timeouts: HTTPTimeouts
    let logger: Logger
    let observe: @Sendable (HTTPEvent) -> Void

    var log: ClientLog { admission.clientLog }

    /// Counts and logs a refusal. A refusal for a reason that SMTP also has is counted and logged by Admission.
    func tell(_ problem: Problem, client: IPAddress, key: KeyID?) {
        // Without the full stop, like all log lines.
        let text = problem.detail.hasSuffix(".") ? String(problem.detail.dropLast()) : problem.detail
        if case .refusal(let reason) = problem.code {
            return admission.tell(Refusal(reason, text), client: client, key: key)
        }
        let word = problem.code.word
        var metadata: Logger.Metadata = ["reason": "\(word)", "text": "\(text)"]
        if let key { metadata["key"] = "\(key)" }
        log.write(.notice, "refused", client: client, kind: word, metadata: metadata)
    }
}

extension HTTPService {
    /// Whether a peer may use HTTP without TLS. The peer must be on this machine, or a trusted proxy.
    func takesClearText(from peer: IPAddress) -> Bool { peer.isLoopback || isTrustedProxy(peer) }

    private func isTrustedProxy(_ peer: IPAddress) -> Bool {
        configuration.value.trustedProxies.contains { $0.contains(peer) }
    }

    /// Counts a connection, or closes it if there are too many.
    func admit(_ channel: any Channel, _ peer: IPAddress, isTLS: Bool) -> Bool {
        // A proxy has connections for all of its clients.
        let isShared = isTrustedProxy(peer)
        switch limiter.admit(peer, isShared: isShared) {
        case .admitted:
            observe(.connected(isTLS: isTLS))
            channel.closeFuture.whenComplete { [limiter] _ in limiter.released(peer, isShared: isShared) }
            return true
        case .refused(let limit, let scope):
            observe(.connectionRefused(scope))
            log.write(
                .notice, "connection refused", client: peer, kind: "\(scope)",
                metadata: ["limit": "\(limit)", "of": "\(scope)"])
            // Over TLS, the reason could be sent only after a handshake. The limit exists to avoid the cost of that.
            channel.close(promise: nil)
            return false
        }
    }

    /// Counts and logs an event of a connection's guard.
    func tell(_ event: RequestGuard.Event, _ client: (address: IPAddress, key: KeyID?)) {
        let peer = client.address
        switch event {
        case .timedOut(.idle):
            observe(.timedOut(.request))
            log.write(.debug, "idle connection closed", client: peer)
        case .timedOut(.body):
            observe(.timedOut(.body))
            let problem = Problem.tooSlow(timeouts)
            observe(.answered(.none, status: problem.status.code))
            tell(problem, client: peer, key: client.key)
        case .timedOut(.response):
            observe(.timedOut(.response))
            log.write(.info, "client does not read its response, connection closed", client: peer)
        case .timedOut(.linger): break
        case .unreadable(let problem):
            observe(.answered(.none, status: problem.status.code))
            tell(problem, client: peer, key: nil)
        case .secured(let info): observe(.secured(info.version, resumed: info.resumed))
        case .tlsFailed(let error):
            observe(.tlsFailed(error.code))
            // Failed TLS handshakes are logged, because an operator searches for them. It is normal that a client
            // closes the connection, or only checks whether the port is open, so this is logged at level debug.
            let isUsual = [.closed, .truncated, .notBegun].contains(error.code)
            log.write(
                isUsual ? .debug : .info, "connection failed", client: peer, kind: "\(error.code)",
                metadata: error.code == .notTLS
                    ? ["error": "\(error)", "remedy": "this port expects HTTPS; use an https:// address"]
                    : ["error": "\(error)"])
        }
    }
}

extension HTTPService {
    /// Logs a connection to a listener without TLS whose client uses another protocol.
    func tell(_ wrong: WrongProtocol, _ peer: IPAddress) {
        log.write(
            .info, "connection failed", client: peer, kind: wrong.rawValue,
            metadata: ["error": "\(wrong.error)", "remedy": "\(wrong.remedy)"])
    }
}

/// An event of a connection or a request, for metrics.
public enum HTTPEvent: Sendable {
    case connected(isTLS: Bool)
    /// A limit of connections was exceeded.
    case connectionRefused(ConnectionLimiter.Scope)
    /// A TLS handshake was completed.
    case secured(TLSVersion, resumed: Bool)
    /// TLS failed, or ended without its closing message.
    case tlsFailed(TLSError.Code)
    /// The client took too long.
    case timedOut(HTTPTimeoutKind)
    /// A request was answered with this status.
    case answered(HTTPRouteName, status: Int)
}

/// The name of a request's route, without ids, for metrics.
public enum HTTPRouteName: String, CaseIterable, Hashable, Sendable {
    case send
    case batch
    case messages
    case cancel
    case suppressions
    case webhooks
    case templates
    case tags
    case domains
    case openapi
    /// The request asks for something that the server does not have, or could not be read.
    case none
}

/// What the server was waiting for when the time ran out.
public enum HTTPTimeoutKind: String, CaseIterable, Hashable, Sendable {
    case request
    case body
    /// For the client to receive its response.
    case response
}
