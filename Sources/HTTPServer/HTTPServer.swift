import Admission
import Domains
import HTTPTypes
import HummingbirdCore
import Listening
import Logging
import NIOCore
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOOpenSSL
import RelayCore

/// The HTTP face: listeners, and a connection for each client. Hummingbird serves HTTP/1.1, behind the relay's own TLS.
public final class HTTPServer: Sendable {
    private let listeners: ListenerGroup<HTTPListener>
    private let service: HTTPService

    private init(listeners: ListenerGroup<HTTPListener>, service: HTTPService) {
        self.listeners = listeners
        self.service = service
    }

    /// The listeners that are bound, with their addresses, in the order in which `start` got them.
    public var bound: [ListenerGroup<HTTPListener>.Bound] { listeners.bound }

    /// Whether clients can connect: all listeners are up, and the server is not shutting down.
    public var isListening: Bool { listeners.isListening }

    /// Binds all `listeners`, or none. `observe` is called on any thread; it must be quick.
    ///
    /// - Parameters:
    ///   - tls: used by listeners with TLS.
    ///   - limiter: counts the connections; shared with the relay's other servers.
    ///   - proxy: the rules for connections that begin with a PROXY header.
    /// - Throws: `ListenError` of `Listening`, which names the listener.
    package static func start(
        _ listeners: [HTTPListener], configuration: HTTPServerConfiguration, admission: Admission,
        store: any RelayStore, domains: SendingDomains, tls: ReloadableTLSContext, limiter: ConnectionLimiter,
        proxy: ProxyPolicy,
        clock: any RelayClock, group: any EventLoopGroup, logger: Logger,
        observe: @escaping @Sendable (HTTPEvent) -> Void = { _ in }
    ) async throws -> HTTPServer {
        let service = HTTPService(
            configuration: Current(configuration), admission: admission, store: store, domains: domains,
            clock: clock,
            tls: tls, limiter: limiter, turns: LargeBodyTurns(capacity: HTTPServer.largeBodies),
            renderingTurns: LargeBodyTurns(capacity: HTTPServer.largeBodies),
            shutdown: ShutdownNotice(), timeouts: HTTPTimeouts(), logger: logger, observe: observe)
        let bound = try await ListenerGroup.bind(listeners, shutdown: service.shutdown) { listener in
            try await Listener.bind(
                listener.place, proxy: listener.takesProxyHeader ? proxy : nil, group: group, logger: logger
            ) { channel, client in
                try addHandlers(to: channel, client, listener, service)
            }
        }
        return HTTPServer(listeners: bound, service: service)
    }

    /// The largest number of octets of large bodies that are in memory at a time.
    private static let largeBodies = 48 << 20

    /// The address that clients of a Unix socket get: they are processes on this machine.
    private static let localPeer = IPAddress(ipv4: 0x7F00_0001)

    private static func addHandlers(
        to channel: any Channel, _ client: IPAddress?, _ listener: HTTPListener, _ service: HTTPService
    ) throws {
        let isTLS = listener.isTLS
        let peer = client ?? localPeer
        // Behind a load balancer, the connection comes from the balancer, but `peer` is the client's address.
        guard isTLS || listener.takesProxyHeader || service.takesClearText(from: peer) else {
            service.log.write(
                .notice, "connection refused", client: peer, kind: "clear",
                metadata: [
                    "remedy":
                        "HTTP without TLS is accepted only from this machine and from http.trusted_proxies; use https"
                ])
            channel.close(promise: nil)
            return
        }
        guard service.admit(channel, peer, isTLS: isTLS) else { return }
        let connection = HTTPConnection(service, peer: peer, isSecure: isTLS)
        if isTLS {
            try channel.pipeline.syncOperations.addHandler(TLSServerHandler(context: service.tls.current))
        } else {
            try channel.pipeline.syncOperations.addHandler(
                WrongProtocolHandler(isBehindProxyHeader: listener.takesProxyHeader) { service.tell($0, peer) })
        }
        try HTTPPipeline(
            timeouts: service.timeouts, shutdown: service.shutdown, clock: service.clock, logger: service.logger
        )
        .addHandlers(to: channel, tell: { service.tell($0, connection.client) }) { request, writer in
            try await connection.respond(to: request, writer)
        }
    }

    /// Replaces the configuration. Open connections use it from their next request.
    public func reconfigure(_ configuration: HTTPServerConfiguration) { service.configuration.value = configuration }

    /// Stops listening, lets each connection finish the request that it is answering, and closes the remaining ones
    /// after `limit`.
    ///
    /// Returns when all connections have ended. Each connection enforces the limit itself, on its event loop.
    public func shutdown(within limit: Duration) async { await listeners.shutDown(within: limit) }
}
