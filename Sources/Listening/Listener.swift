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
    /// A listening socket that somebody else has bound (socket activation).
    case descriptor(CInt)

    /// Nil where the system chooses it, or it has none.
    public var port: Int? {
        switch self {
        case .address(_, let port): return port == 0 ? nil : port
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
        case .descriptor(let descriptor): "the inherited socket \(descriptor)"
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

    public var isActive: Bool { channel.isActive }

    /// A short one leaves clients hanging that believe they are connected and wait for the greeting.
    private static let backlog: Int32 = 4096

    /// Binds `place`. `initialize` puts the handlers of a connection into its pipeline, on its event loop. It reads when its
    /// handlers ask for it, and stays open for replies when the client has said that it sends nothing more.
    ///
    /// - Throws: ``ListenError``, which names the place.
    public static func bind(
        _ place: ListenPlace, group: any EventLoopGroup, logger: Logger,
        initialize: @escaping @Sendable (any Channel) throws -> Void
    ) async throws -> Listener {
        let quiescing = ServerQuiescingHelper(group: group)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handlers = channel.pipeline.syncOperations
                    try handlers.addHandler(quiescing.makeServerChannelHandler(channel: channel))
                    try handlers.addHandler(AcceptPause(logger: logger))
                }
            }
            // Without it each TLS 1.3 connection waits 40 ms: the session ticket is a small write, the next reply another.
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try initialize(channel) }
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
            }
            return Listener(channel: channel, quiescing: quiescing, group: group)
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
