import Admission
import Logging
import NIOCore
import NIOExtras
import NIOOpenSSL
import NIOPosix
import RelayCore
import Synchronization

/// The SMTP face: listeners, and a connection handler for each client.
public final class SMTPServer: Sendable {
    /// A listener that is up.
    public struct Bound: Sendable {
        public var listener: SMTPListener
        public var address: SocketAddress?
    }

    private let group: any EventLoopGroup
    private let listeners: [any Channel]
    /// One for each listener, which is what they can see to.
    private let quiescing: [ServerQuiescingHelper]
    private let service: SMTPService
    private let configuration: CurrentConfiguration
    public let bound: [Bound]

    private init(
        group: any EventLoopGroup, listeners: [any Channel], quiescing: [ServerQuiescingHelper], service: SMTPService,
        configuration: CurrentConfiguration, bound: [Bound]
    ) {
        self.group = group
        self.listeners = listeners
        self.quiescing = quiescing
        self.service = service
        self.configuration = configuration
        self.bound = bound
    }

    /// Whether clients can connect: all listeners are up, and the server is not shutting down.
    public var isListening: Bool { service.shutdown.limit == nil && listeners.allSatisfy(\.isActive) }

    /// Connections that are open now.
    public var openConnections: Int { service.limiter.count }

    /// Binds all `listeners`, or none. `observe` is called on the event loops; it must be quick.
    ///
    /// - Throws: ``SMTPListenError``, which names the listener.
    public static func start(
        _ listeners: [SMTPListener], configuration: SMTPServerConfiguration, admission: Admission,
        clock: any RelayClock,
        tls: ReloadableTLSContext, group: any EventLoopGroup, logger: Logger,
        observe: @escaping @Sendable (SMTPEvent) -> Void = { _ in }
    ) async throws -> SMTPServer {
        let service = SMTPService(
            configuration: configuration, admission: admission, clock: clock, tls: tls,
            limiter: ConnectionLimiter(
                maximum: configuration.maximumConnections, maximumPerClient: configuration.maximumConnectionsPerClient),
            logger: logger, observe: observe)
        let current = CurrentConfiguration(configuration)
        var quiescing: [ServerQuiescingHelper] = []
        var channels: [any Channel] = []
        var bound: [Bound] = []
        do {
            for listener in listeners {
                let helper = ServerQuiescingHelper(group: group)
                let channel = try await bind(listener, service, current, helper, group)
                quiescing.append(helper)
                channels.append(channel)
                bound.append(Bound(listener: listener, address: channel.localAddress))
            }
        } catch {
            for channel in channels { try? await channel.close() }
            throw error
        }
        return SMTPServer(
            group: group, listeners: channels, quiescing: quiescing, service: service, configuration: current,
            bound: bound)
    }

    /// What clients are held to from now on. A connection keeps what held when it was made, so that what the client was
    /// told stays true; the number of connections is limited anew at once.
    public func reconfigure(_ configuration: SMTPServerConfiguration) {
        self.configuration.value = configuration
        service.limiter.change(
            maximum: configuration.maximumConnections, maximumPerClient: configuration.maximumConnectionsPerClient)
    }

    /// A short one leaves clients hanging that believe to be connected and wait for the greeting.
    private static let backlog: Int32 = 4096

    private static func bind(
        _ listener: SMTPListener, _ service: SMTPService, _ configuration: CurrentConfiguration,
        _ quiescing: ServerQuiescingHelper, _ group: any EventLoopGroup
    ) async throws -> any Channel {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handlers = channel.pipeline.syncOperations
                    try handlers.addHandler(quiescing.makeServerChannelHandler(channel: channel))
                    try handlers.addHandler(AcceptPause(logger: service.logger))
                }
            }
            // Without it each TLS 1.3 connection waits 40 ms: the session ticket is a small write, the next reply another.
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handlers = channel.pipeline.syncOperations
                    var service = service
                    service.configuration = configuration.value
                    let isImplicitTLS = listener.security == .implicitTLS
                    if isImplicitTLS, let tls = service.tls {
                        try handlers.addHandler(TLSServerHandler(context: tls.current))
                    }
                    // A peer that is gone before it was looked at has no address; the channel closes by itself.
                    let client = channel.remoteAddress.flatMap(IPAddress.init) ?? IPAddress(ipv4: 0)
                    try handlers.addHandler(
                        SMTPChannelHandler(service: service, client: client, isImplicitTLS: isImplicitTLS))
                }
            }
        do {
            switch listener.place {
            case .descriptor(let descriptor):
                let channel = try await bootstrap.withBoundSocket(descriptor).get()
                // NIO has listened on it with a backlog of its own, before it looked at the option.
                guard listen(descriptor, backlog) == 0 else { throw IOError(errnoCode: errno, reason: "listen") }
                return channel
            case .address(let host, let port):
                return try await bootstrap.bind(to: resolve(host, port)).get()
            }
        } catch {
            throw SMTPListenError(listener: listener, cause: "\(error)")
        }
    }

    /// Names are looked up on a thread that may wait, not on an event loop.
    private static func resolve(_ host: String, _ port: Int) async throws -> SocketAddress {
        if let address = try? SocketAddress(ipAddress: host, port: port) { return address }
        return try await NIOThreadPool.singleton.runIfActive {
            try SocketAddress.makeAddressResolvingHost(host, port: port)
        }
    }

    /// Stops listening, lets each connection finish the transaction it is in, and closes what is left after `limit`.
    ///
    /// Returns when all connections have ended. Each sees to the limit itself, on its event loop.
    public func shutdown(within limit: Duration) async {
        await stopAccepting()
        service.shutdown.give(limit: TimeAmount(limit))
        let loop = group.any()
        let ends = quiescing.map { helper in
            let promise = loop.makePromise(of: Void.self)
            helper.initiateShutdown(promise: promise)
            return promise.futureResult
        }
        // The connections' end is all that is waited for: a listener that failed to close changes nothing about it.
        try? await EventLoopFuture.andAllComplete(ends, on: loop).get()
    }
}

extension SMTPServer {
    /// Leaves what has not been accepted yet to who holds the socket next, and sees what has been accepted through to its
    /// handler. A listener that is closed while it hands over a connection would hang up on it.
    private func stopAccepting() async {
        for listener in listeners { try? await listener.triggerUserOutboundEvent(AcceptPause.Stop()).get() }
        // A new connection goes from the listener's loop to its own and back.
        for _ in 0..<2 {
            for loop in group.makeIterator() { try? await loop.submit {}.get() }
        }
    }
}

/// What new connections are held to; it may change while the server runs.
private final class CurrentConfiguration: Sendable {
    private let state: Mutex<SMTPServerConfiguration>

    init(_ configuration: SMTPServerConfiguration) { state = Mutex(configuration) }

    var value: SMTPServerConfiguration {
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

/// A listener that could not be bound.
public struct SMTPListenError: Error, CustomStringConvertible {
    public var listener: SMTPListener
    public var cause: String

    public var description: String {
        switch listener.place {
        case .address(let host, let port):
            "can't listen on \(host):\(port): \(cause)"
        case .descriptor(let descriptor): "can't listen on the inherited socket \(descriptor): \(cause)"
        }
    }
}

extension IPAddress {
    /// Nil for a Unix domain socket.
    init?(_ address: SocketAddress) {
        // Behind family and port stand the IPv4 address at once, the IPv6 one behind four octets of flow label (RFC 3493).
        let (offset, length): (Int, Int)
        switch address {
        case .v4: (offset, length) = (4, 4)
        case .v6: (offset, length) = (8, 16)
        case .unixDomainSocket: return nil
        }
        let bytes = address.withSockAddr { pointer, size in
            Array(UnsafeRawBufferPointer(start: pointer, count: size).dropFirst(offset).prefix(length))
        }
        self.init(bytes: bytes)
    }
}
