import Logging
import NIOCore
import NIOExtras
import NIOPosix
import RelayCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Where a server accepts connections.
public enum ListenPlace: Hashable, Sendable, CustomStringConvertible {
    case address(host: String, port: Int)
    /// The path of a Unix socket, with at most 107 octets.
    case unix(path: String)
    /// A listening socket that another process has bound (socket activation).
    case descriptor(CInt)

    /// Nil when the system chooses the port, or when there is none.
    public var port: Int? {
        switch self {
        case .address(_, let port): return port == 0 ? nil : port
        case .unix: return nil
        case .descriptor(let descriptor):
            var address = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let port = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer -> Int? in
                    guard getsockname(descriptor, pointer, &length) == 0,
                        [sa_family_t(AF_INET), sa_family_t(AF_INET6)].contains(pointer.pointee.sa_family)
                    else { return nil }
                    // Both families have the port in network order after the family (RFC 3493 section 3.3).
                    return Int(
                        UInt16(bigEndian: UnsafeRawPointer(pointer).loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
                }
            }
            return port == 0 ? nil : port
        }
    }

    public var description: String {
        switch self {
        case .address(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        case .descriptor(let descriptor): "the inherited socket \(descriptor)"
        }
    }

    /// Whether connections come over a Unix socket.
    var isUnixSocket: Bool {
        switch self {
        case .address: return false
        case .unix: return true
        case .descriptor(let descriptor):
            var family: CInt = 0
            var length = socklen_t(MemoryLayout<CInt>.size)
            return getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 && family == AF_UNIX
        }
    }
}

/// The error when a listener could not be bound.
public struct ListenError: Error, CustomStringConvertible {
    /// The place that could not be bound.
    public var place: ListenPlace
    /// The reason, in a few words.
    public var cause: String

    public var description: String { "can't listen on \(place): \(cause)" }
}

/// One bound place where a server accepts connections. All servers of the relay use it, for every protocol.
///
/// When the process has no free file descriptors, the listener stops accepting for a second (`AcceptPause`). A listener
/// ends in two steps, ``stopAccepting()`` and then ``quiesce()``. So no client that was just accepted is disconnected.
public final class Listener: Sendable {
    private let channel: any Channel
    private let quiescing: ServerQuiescingHelper
    private let group: any EventLoopGroup

    private init(channel: any Channel, quiescing: ServerQuiescingHelper, group: any EventLoopGroup) {
        self.channel = channel
        self.quiescing = quiescing
        self.group = group
    }

    /// The address that the listener is bound to. If port 0 was requested, it has the port that was chosen.
    public var address: SocketAddress? { channel.localAddress }

    /// The address as text, for the log: `192.0.2.1:587`, `unix:/run/relay.sock`.
    public var boundAddress: String {
        guard let address else { return "?" }
        if let host = address.ipAddress, let port = address.port {
            return ListenPlace.address(host: host, port: port).description
        }
        return address.pathname.map { ListenPlace.unix(path: $0).description } ?? "?"
    }

    /// Whether the listener accepts connections.
    public var isActive: Bool { channel.isActive }

    /// With a short backlog, clients would believe that they are connected, and hang while they wait for the greeting.
    private static let backlog: Int32 = 4096

    /// Adds the handlers of a connection to its pipeline. It is called on the connection's event loop.
    ///
    /// `client` is the address of the client: the peer's address, or the address in the PROXY header. It is nil only
    /// over a Unix socket.
    public typealias Initializer = @Sendable (_ channel: any Channel, _ client: IPAddress?) throws -> Void

    /// Binds `place`. A connection reads only when its handlers request a read. It stays open for replies after the
    /// client has ended its side.
    ///
    /// The file of a Unix socket is accessible to the relay's user and group, and is removed with the listener. A file
    /// that no process listens on is replaced.
    ///
    /// - Parameters:
    ///   - proxy: nil when connections begin with the client's first octet. Otherwise each connection must begin with a
    ///     PROXY header, and its handlers are added after the header. The channel is active by then, and the handlers
    ///     get `channelActive`.
    ///   - initialize: adds the handlers of a connection.
    /// - Throws: ``ListenError``, which names the place.
    public static func bind(
        _ place: ListenPlace, proxy: ProxyPolicy? = nil, group: any EventLoopGroup, logger: Logger,
        initialize: @escaping Initializer
    ) async throws -> Listener {
        let quiescing = ServerQuiescingHelper(group: group)
        let isUnixSocket = place.isUnixSocket
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: backlog)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handlers = channel.pipeline.syncOperations
                    try handlers.addHandler(quiescing.makeServerChannelHandler(channel: channel))
                    try handlers.addHandler(AcceptPause(logger: logger))
                }
            }
            // NIO's own buffers shrink after a command. A message of 4 KB would then take two reads, and two rounds
            // through TLS.
            .childChannelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 8192, initial: 8192, maximum: 65536)
            )
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let proxy else {
                        let client = channel.remoteAddress.flatMap(IPAddress.init)
                        // A client that has reset its connection has no address any more. Its octets could still be
                        // read, but without an address the relay can't decide what the client is allowed to do.
                        guard isUnixSocket || client != nil else { throw ChannelError.ioOnClosedChannel }
                        return try initialize(channel, client)
                    }
                    let handler = ProxyHeaderHandler(policy: proxy, initialize: initialize)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        if !isUnixSocket {
            bootstrap =
                bootstrap
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                // Without TCP_NODELAY, each TLS 1.3 connection waits 40 ms: the session ticket and the next reply are
                // two small writes.
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        }
        do {
            let channel: any Channel
            switch place {
            case .descriptor(let descriptor):
                channel = try await bootstrap.withBoundSocket(descriptor).get()
                // Call listen again with this backlog: NIO has already called it with its own, before it looked at the
                // option.
                guard listen(descriptor, backlog) == 0 else { throw IOError(errnoCode: errno, reason: "listen") }
            case .address(let host, let port):
                channel = try await bootstrap.bind(to: resolve(host, port)).get()
            case .unix(let path):
                let file = UnixSocketFile(path)
                if let problem = file.makeRoom() { throw ListenError(place: place, cause: problem) }
                // NIO removes the file when the channel closes.
                channel = try await bootstrap.bind(unixDomainSocketPath: path).get()
                if let problem = file.open() {
                    try? await channel.close()
                    throw ListenError(place: place, cause: "the file can't be opened to the relay's group: \(problem)")
                }
            }
            return Listener(channel: channel, quiescing: quiescing, group: group)
        } catch let error as ListenError {
            throw error
        } catch {
            throw ListenError(place: place, cause: (error as? IOError)?.words ?? "\(error)")
        }
    }

    /// Looks names up on a thread that is allowed to block, not on an event loop.
    private static func resolve(_ host: String, _ port: Int) async throws -> SocketAddress {
        if let address = try? SocketAddress(ipAddress: host, port: port) { return address }
        return try await NIOThreadPool.singleton.runIfActive {
            try SocketAddress.makeAddressResolvingHost(host, port: port)
        }
    }

    /// Closes a listener that is not needed after all, before its first connection.
    public func close() async { try? await channel.close() }

    /// Stops accepting. Waiting connections stay in the backlog for the next process that has the socket. Returns when
    /// each accepted connection has its handler: if the listener were closed before that, the client would be
    /// disconnected.
    public func stopAccepting() async {
        try? await channel.triggerUserOutboundEvent(AcceptPause.Stop()).get()
        // A new connection is passed from the listener's event loop to its own event loop and back. Two rounds over all
        // event loops wait for that.
        for _ in 0..<2 {
            for loop in group.makeIterator() { try? await loop.submit {}.get() }
        }
    }

    /// Closes the listener, notifies each connection (`ChannelShouldQuiesceEvent`), and returns when all connections
    /// have ended.
    public func quiesce() async {
        let promise = group.any().makePromise(of: Void.self)
        quiescing.initiateShutdown(promise: promise)
        // Only the end of the connections matters here, not whether the listener could be closed.
        try? await promise.futureResult.get()
    }
}
