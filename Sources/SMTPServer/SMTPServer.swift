import Admission
import Listening
import Logging
import NIOCore
import NIOOpenSSL
import RelayCore

/// The SMTP face: listeners, and a connection handler for each client.
public final class SMTPServer: Sendable {
    /// A listener that is up.
    public struct Bound: Sendable {
        public var listener: SMTPListener
        public var address: SocketAddress?
        /// ``address`` in words, for the log.
        public var description: String
    }

    private let listeners: [Listener]
    private let service: SMTPService
    /// What new connections are held to.
    private let configuration: Current<SMTPServerConfiguration>
    public let bound: [Bound]

    private init(
        listeners: [Listener], service: SMTPService, configuration: Current<SMTPServerConfiguration>, bound: [Bound]
    ) {
        self.listeners = listeners
        self.service = service
        self.configuration = configuration
        self.bound = bound
    }

    /// Whether clients can connect: all listeners are up, and the server is not shutting down.
    public var isListening: Bool { service.shutdown.limit == nil && listeners.allSatisfy(\.isActive) }

    /// Binds all `listeners`, or none. `observe` is called on the event loops; it must be quick.
    ///
    /// - Parameters:
    ///   - limiter: counts the connections; shared with the relay's other servers.
    ///   - proxyNetworks: load balancers whose PROXY headers are taken.
    /// - Throws: `ListenError` of `Listening`, which names the listener.
    public static func start(
        _ listeners: [SMTPListener], configuration: SMTPServerConfiguration, admission: Admission,
        tls: ReloadableTLSContext, limiter: ConnectionLimiter, proxyNetworks: ProxyNetworks,
        group: any EventLoopGroup, logger: Logger,
        observe: @escaping @Sendable (SMTPEvent) -> Void = { _ in }
    ) async throws -> SMTPServer {
        let service = SMTPService(
            configuration: configuration, admission: admission, tls: tls, limiter: limiter,
            ports: PortHint(listeners), observe: observe)
        let proxy = ProxyPolicy(networks: proxyNetworks, limiter: limiter) { admission.clientLog.write($0) }
        let current = Current(configuration)
        var channels: [Listener] = []
        var bound: [Bound] = []
        do {
            for listener in listeners {
                let isImplicitTLS = listener.security == .implicitTLS
                let channel = try await Listener.bind(
                    listener.place, proxy: listener.takesProxyHeader ? proxy : nil, group: group, logger: logger
                ) { channel, client in
                    try addHandlers(to: channel, client, isImplicitTLS: isImplicitTLS, service, current)
                }
                channels.append(channel)
                bound.append(
                    Bound(listener: listener, address: channel.address, description: channel.boundAddress))
            }
        } catch {
            for channel in channels { await channel.close() }
            throw error
        }
        return SMTPServer(listeners: channels, service: service, configuration: current, bound: bound)
    }

    private static func addHandlers(
        to channel: any Channel, _ client: IPAddress?, isImplicitTLS: Bool, _ service: SMTPService,
        _ configuration: Current<SMTPServerConfiguration>
    ) throws {
        let handlers = channel.pipeline.syncOperations
        var service = service
        service.configuration = configuration.value
        if isImplicitTLS, let tls = service.tls {
            try handlers.addHandler(TLSServerHandler(context: tls.current))
        }
        // A peer that is gone already has no address; the channel closes by itself.
        try handlers.addHandler(
            SMTPChannelHandler(
                service: service, client: client ?? IPAddress(ipv4: 0), isImplicitTLS: isImplicitTLS))
    }

    /// What clients are held to from now on. A connection keeps what held when it was made, so that what the client was
    /// told stays true.
    public func reconfigure(_ configuration: SMTPServerConfiguration) { self.configuration.value = configuration }

    /// Stops listening, lets each connection finish the transaction it is in, and closes what is left after `limit`.
    ///
    /// Returns when all connections have ended. Each sees to the limit itself, on its event loop.
    public func shutdown(within limit: Duration) async {
        for listener in listeners { await listener.stopAccepting() }
        service.shutdown.give(limit: TimeAmount(limit))
        await withTaskGroup(of: Void.self) { group in
            for listener in listeners { group.addTask { await listener.quiesce() } }
        }
    }
}

/// Which port the operator of a client that came to the wrong one is told.
struct PortHint: Sendable {
    private var startTLS: Int?
    private var implicitTLS: Int?

    init(_ listeners: [SMTPListener] = []) {
        startTLS = PortHint.port(.startTLS, listeners)
        implicitTLS = PortHint.port(.implicitTLS, listeners)
    }

    private static func port(_ security: SMTPListener.Security, _ listeners: [SMTPListener]) -> Int? {
        listeners.lazy.compactMap { $0.security == security ? $0.place.port : nil }.first
    }

    var forStartTLS: String {
        "this port takes TLS from the first octet; for STARTTLS use port \(startTLS ?? 587), or set the client to TLS (SSL)"
    }

    var forImplicitTLS: String {
        "this port takes STARTTLS; for TLS from the first octet use port \(implicitTLS ?? 465), or set the client to STARTTLS"
    }
}
