import Admission
import HTTPTypes
import Listening
import Logging
import NIOCore
import NIOOpenSSL
import RelayCore
import Synchronization

/// What all connections of the HTTP face share.
struct HTTPService: Sendable {
    let configuration: CurrentHTTPConfiguration
    let admission: Admission
    let store: any RelayStore
    let clock: any RelayClock
    let tls: ReloadableTLSContext?
    let limiter: ConnectionLimiter
    let turns: LargeBodyTurns
    let shutdown: ShutdownNotice
    let timeouts: HTTPTimeouts
    let logger: Logger
    let observe: @Sendable (HTTPEvent) -> Void

    var log: ClientLog { admission.clientLog }

    /// Counts and logs a refusal. Reasons that SMTP has too are told by admission.
    func tell(_ problem: Problem, client: IPAddress, key: KeyID?) {
        if let reason = RefusalReason(rawValue: problem.code) {
            // Without the full stop, as all of its lines.
            return admission.tell(Refusal(reason, String(problem.detail.dropLast())), client: client, key: key)
        }
        log.write(
            .notice, "refused", client: client, kind: problem.code,
            metadata: ["reason": "\(problem.code)", "text": "\(problem.detail.dropLast())"])
    }
}

extension HTTPService {
    /// Whether a peer may speak HTTP without TLS: one on this machine, or a trusted proxy.
    func takesClearText(from peer: IPAddress) -> Bool { peer.isLoopback || isTrustedProxy(peer) }

    private func isTrustedProxy(_ peer: IPAddress) -> Bool {
        configuration.value.trustedProxies.contains { $0.contains(peer) }
    }

    /// Counts a connection, or closes it where there are too many.
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
            // There is no way to say so over TLS without a handshake, which is what a limit is there to save.
            channel.close(promise: nil)
            return false
        }
    }

    /// What a connection's guard has to tell, for the log and for metrics.
    func tell(_ event: RequestGuard.Event, _ client: (address: IPAddress, key: KeyID?)) {
        let peer = client.address
        switch event {
        case .timedOut(.idle):
            observe(.timedOut(.request))
            log.write(.debug, "idle connection closed", client: peer)
        case .timedOut(.body):
            observe(.timedOut(.body))
            tell(.tooSlow, client: peer, key: client.key)
        case .timedOut(.response):
            observe(.timedOut(.response))
            log.write(.info, "response not taken, connection closed", client: peer)
        case .timedOut(.linger): break
        case .unreadable(let problem):
            observe(.answered("none", status: problem.status.code))
            tell(problem, client: peer, key: nil)
        case .secured(let info): observe(.secured(info.version, resumed: info.resumed))
        case .tlsFailed(let error):
            observe(.tlsFailed(error.code))
            // That TLS came to no agreement is what an operator looks for; that a client hung up is nothing to speak of, nor
            // that somebody looked whether the port is open.
            let isUsual = [.closed, .truncated, .notBegun].contains(error.code)
            log.write(
                isUsual ? .debug : .info, "connection failed", client: peer, kind: "\(error.code)",
                metadata: error.code == .notTLS
                    ? ["error": "\(error)", "remedy": "this port takes HTTPS; use an https:// address"]
                    : ["error": "\(error)"])
        }
    }
}

/// What happened on a connection or to a request, for metrics.
public enum HTTPEvent: Sendable {
    case connected(isTLS: Bool)
    /// Over a limit of connections.
    case connectionRefused(ConnectionLimiter.Scope)
    /// A TLS handshake came to its end.
    case secured(TLSVersion, resumed: Bool)
    /// TLS ended, or never began, otherwise than it should.
    case tlsFailed(TLSError.Code)
    /// The client took too long: no request came, or its body too slowly.
    case timedOut(HTTPTimeoutKind)
    /// A request was answered: what it asked for, one of ``routes``, and the status.
    case answered(String, status: Int)

    /// What requests ask for; `none` for what is not known.
    public static let routes = ["send", "batch", "messages", "cancel", "openapi", "none"]
}

/// What a client that ran out of time was waited for.
public enum HTTPTimeoutKind: String, CaseIterable, Hashable, Sendable {
    case request
    case body
    /// That it takes its response.
    case response
}

/// What requests are held to; it may change while the server runs.
final class CurrentHTTPConfiguration: Sendable {
    private let state: Mutex<HTTPServerConfiguration>

    init(_ configuration: HTTPServerConfiguration) { state = Mutex(configuration) }

    var value: HTTPServerConfiguration {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}

/// Tells connections that the server is shutting down, and how long they may take.
final class ShutdownNotice: Sendable {
    private let state = Mutex<TimeAmount?>(nil)

    /// Nil: the server is up.
    var limit: TimeAmount? { state.withLock { $0 } }

    func give(limit: TimeAmount) { state.withLock { $0 = limit } }
}
