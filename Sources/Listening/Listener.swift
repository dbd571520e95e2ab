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

/// Where a server takes connections.
public enum ListenPlace: Hashable, Sendable, CustomStringConvertible {
    case address(host: String, port: Int)
    /// The file of a Unix socket; at most 107 octets.
    case unix(path: String)
    /// A listening socket that somebody else has bound (socket activation).
    case descriptor(CInt)

    /// Nil where the system chooses it, or it has none.
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
                    // Both have it in network order behind the family (RFC 3493 section 3.3).
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

/// A listener that could not be bound.
public struct ListenError: Error, CustomStringConvertible {
    public var place: ListenPlace
    public var cause: String

    public var description: String { "can't listen on \(place): \(cause)" }
}

/// One place where a server takes connections, bound: what every server of the relay needs of it, whatever it speaks.
///
/// Without descriptors it pauses (`AcceptPause`). It ends in two steps, so that no client that has just been accepted is hung up on:
/// ``stopAccepting()``, then ``quiesce()``.
public final class Listener: Sendable {
    private let channel: any Channel
    private let quiescing: ServerQuiescingHelper
    private let group: any EventLoopGroup

    private init(channel: any Channel, quiescing: ServerQuiescingHelper, group: any EventLoopGroup) {
        self.channel = channel
        self.quiescing = quiescing
        self.group = group
    }

    /// Where it listens: with the port that was chosen where 0 was asked for.
    public var address: SocketAddress? { channel.localAddress }

    /// The same in words, for the log: `192.0.2.1:587`, `unix:/run/relay.sock`.
    public var boundAddress: String {
        guard let address else { return "?" }
        if let host = address.ipAddress, let port = address.port {
            return ListenPlace.address(host: host, port: port).description
        }
        return address.pathname.map { ListenPlace.unix(path: $0).description } ?? "?"
    }

    public var isActive: Bool { channel.isActive }

    /// A short one leaves clients hanging that believe they are connected and wait for the greeting.
    private static let backlog: Int32 = 4096

    /// Adds the handlers of a connection to its pipeline. Called on the connection's event loop.
    ///
    /// `client` is the address of the client: that of the connection's peer, or the one that the PROXY header gives. Nil over a Unix
    /// socket only.
    public typealias Initializer = @Sendable (_ channel: any Channel, _ client: IPAddress?) throws -> Void

    /// Binds `place`. A connection reads when its handlers ask for it, and stays open for replies when the client has said that it
    /// sends nothing more.
    ///
    /// The file of a Unix socket is for the relay's user and group, and goes when the listener does. One that nobody listens at is
    /// replaced.
    ///
    /// - Parameters:
    ///   - proxy: nil where connections begin with the client's first octet. Else each must begin with a PROXY header, and its
    ///     handlers are added behind it: the channel is active then, and they are told so.
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
            // A command shrinks NIO's own choice to where a message of 4 KB takes two reads, and two rounds through TLS.
            .childChannelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 8192, initial: 8192, maximum: 65536)
            )
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let proxy else {
                        let client = channel.remoteAddress.flatMap(IPAddress.init)
                        // A client that has reset its connection has no address any more. Its octets could still be read, and nobody
                        // knows what it may do.
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
                // Without it each TLS 1.3 connection waits 40 ms: the session ticket is a small write, the next reply another.
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        }
        do {
            let channel: any Channel
            switch place {
            case .descriptor(let descriptor):
                channel = try await bootstrap.withBoundSocket(descriptor).get()
                // NIO has listened on it with a backlog of its own, before it looked at the option.
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

    /// Names are looked up on a thread that may wait, not on an event loop.
    private static func resolve(_ host: String, _ port: Int) async throws -> SocketAddress {
        if let address = try? SocketAddress(ipAddress: host, port: port) { return address }
        return try await NIOThreadPool.singleton.runIfActive {
            try SocketAddress.makeAddressResolvingHost(host, port: port)
        }
    }

    /// For one that is not needed after all, before any connection.
    public func close() async { try? await channel.close() }

    /// Leaves what has not been accepted yet to the next holder of the socket, and waits until what has been accepted is with its
    /// handler. A listener that is closed while it hands over a connection would hang up on it.
    public func stopAccepting() async {
        try? await channel.triggerUserOutboundEvent(AcceptPause.Stop()).get()
        // A new connection goes from the listener's loop to its own and back.
        for _ in 0..<2 {
            for loop in group.makeIterator() { try? await loop.submit {}.get() }
        }
    }

    /// Closes, tells each connection (`ChannelShouldQuiesceEvent`), and returns when all have ended.
    public func quiesce() async {
        let promise = group.any().makePromise(of: Void.self)
        quiescing.initiateShutdown(promise: promise)
        // The connections' end is all that is waited for: a listener that failed to close changes nothing about it.
        try? await promise.futureResult.get()
    }
}
