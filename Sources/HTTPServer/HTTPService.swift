import Admission
import Domains
import HTTPTypes
import Listening
import Logging
import NIOCore
import NIOOpenSSL
import RelayCore

/// What all connections of the HTTP face share.
struct HTTPService: Sendable {
    /// What requests are held to.
    let configuration: Current<HTTPServerConfiguration>
    let admission: Admission
    let store: any RelayStore
    let domains: SendingDomains
    let clock: any RelayClock
    let tls: ReloadableTLSContext
    let limiter: ConnectionLimiter
    let turns: LargeBodyTurns
    /// For what templates make. Nobody who has one of these waits for one of ``turns``.
    let renderingTurns: LargeBodyTurns
    let shutdown: ShutdownNotice
    let timeouts: HTTPTimeouts
    let logger: Logger
    let observe: @Sendable (HTTPEvent) -> Void

    var log: ClientLog { admission.clientLog }

    /// Counts and logs a refusal. Reasons that SMTP has too are told by admission.
    func tell(_ problem: Problem, client: IPAddress, key: KeyID?) {
        // Without the full stop, as all lines of the log.
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
            let problem = Problem.tooSlow(timeouts)
            observe(.answered(.none, status: problem.status.code))
            tell(problem, client: peer, key: client.key)
        case .timedOut(.response):
            observe(.timedOut(.response))
            log.write(.info, "response not taken, connection closed", client: peer)
        case .timedOut(.linger): break
        case .unreadable(let problem):
            observe(.answered(.none, status: problem.status.code))
            tell(problem, client: peer, key: nil)
        case .secured(let info): observe(.secured(info.version, resumed: info.resumed))
        case .tlsFailed(let error):
            observe(.tlsFailed(error.code))
            // An operator looks for failed TLS handshakes. A client that hung up, or that only looked whether the port is
            // open, is usual.
            let isUsual = [.closed, .truncated, .notBegun].contains(error.code)
            log.write(
                isUsual ? .debug : .info, "connection failed", client: peer, kind: "\(error.code)",
                metadata: error.code == .notTLS
                    ? ["error": "\(error)", "remedy": "this port takes HTTPS; use an https:// address"]
                    : ["error": "\(error)"])
        }
    }
}

extension HTTPService {
    /// Logs a connection to a clear listener whose client speaks another protocol.
    func tell(_ wrong: WrongProtocol, _ peer: IPAddress) {
        log.write(
            .info, "connection failed", client: peer, kind: wrong.rawValue,
            metadata: ["error": "\(wrong.error)", "remedy": "\(wrong.remedy)"])
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
    /// A request was answered with this status.
    case answered(HTTPRouteName, status: Int)
}

/// What a request asks for, without ids, for metrics.
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
    /// The request asks for nothing that the server knows, or could not be read.
    case none
}

/// What a client that ran out of time was waited for.
public enum HTTPTimeoutKind: String, CaseIterable, Hashable, Sendable {
    case request
    case body
    /// That it takes its response.
    case response
}
