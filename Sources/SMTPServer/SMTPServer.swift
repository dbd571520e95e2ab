import Admission
import Listening
import Logging
import NIOCore
import NIOOpenSSL
import RelayCore

/// The SMTP face: the listeners, and a connection handler for each client.
public final class SMTPServer: Sendable {
    private let listeners: ListenerGroup<SMTPListener>
    /// The settings that apply to new connections.
    private let configuration: Current<SMTPServerConfiguration>

    private init(listeners: ListenerGroup<SMTPListener>, configuration: Current<SMTPServerConfiguration>) {
        self.listeners = listeners
        self.configuration = configuration
    }

    /// The listeners that are bound, with the addresses that they got.
    public var bound: [ListenerGroup<SMTPListener>.Bound] { listeners.bound }

    /// Whether clients can connect: all listeners are up, and the server is not shutting down.
    public var isListening: Bool { listeners.isListening }

    /// Binds all `listeners`, or none. `observe` is called on the event loops, so it must be quick.
    ///
    /// - Parameters:
    ///   - limiter: counts the connections. The relay's other servers share it.
    ///   - proxy: the policy for listeners whose connections begin with a PROXY header.
    /// - Throws: `ListenError` of `Listening`, which names the listener.
    public static func start(
        _ listeners: [SMTPListener], configuration: SMTPServerConfiguration, admission: Admission,
        tls: ReloadableTLSContext, limiter: ConnectionLimiter, proxy: ProxyPolicy,
        group: any EventLoopGroup, logger: Logger,
        observe: @escaping @Sendable (SMTPEvent) -> Void = { _ in }
    ) async throws -> SMTPServer {
        let service = SMTPService(
            configuration: configuration, admission: admission, tls: tls, limiter: limiter,
            ports: PortHint(listeners), observe: observe)
        let current = Current(configuration)
        let bound = try await ListenerGroup.bind(listeners, shutdown: service.shutdown) { listener in
            let isImplicitTLS = listener.security == .implicitTLS
            return try await Listener.bind(
                listener.place, proxy: listener.takesProxyHeader ? proxy : nil, group: group, logger: logger
            ) { channel, client in
                try addHandlers(to: channel, client, isImplicitTLS: isImplicitTLS, service, current)
            }
        }
        return SMTPServer(listeners: bound, configuration: current)
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
        // A client on a Unix socket, which systemd may have passed on, has no address.
        try handlers.addHandler(
            SMTPChannelHandler(
                service: service, client: client ?? IPAddress(ipv4: 0), isImplicitTLS: isImplicitTLS))
    }

    /// Sets the configuration for connections from now on. A connection keeps the configuration that it began with,
    /// because its limits were announced to the client.
    public func reconfigure(_ configuration: SMTPServerConfiguration) { self.configuration.value = configuration }

    /// Stops listening and lets each connection finish its transaction. Connections that are left after `limit` are
    /// closed.
    ///
    /// Returns when all connections have ended. Each connection enforces the limit itself, on its event loop.
    public func shutdown(within limit: Duration) async { await listeners.shutDown(within: limit) }
}

/// The port that is named to the operator of a client that connected to the wrong port.
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
