import Foundation
import Listening
import Logging
import NIOCore
import NIOPosix
import RelayCore
import Synchronization
import TestSupport
import Testing

/// Listeners on real sockets, at each kind of `ListenPlace`.
@Suite(.timeLimit(.minutes(1))) struct ListenerTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private static let group = MultiThreadedEventLoopGroup.singleton

    /// Sends the client's address, then everything that it reads.
    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let client: IPAddress?

        init(client: IPAddress?) { self.client = client }

        func channelActive(context: ChannelHandlerContext) {
            let greeting = client.map { "\($0)" } ?? "unknown"
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: greeting + "\n")), promise: nil)
            context.read()
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }

        func channelReadComplete(context: ChannelHandlerContext) {
            context.flush()
            context.read()
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is ChannelShouldQuiesceEvent || event as? ChannelEvent == .inputClosed {
                context.close(promise: nil)
            }
        }
    }

    private static func listen(at place: ListenPlace, proxy: ProxyPolicy? = nil) async throws -> Listener {
        try await Listener.bind(place, proxy: proxy, group: group, logger: logger) { channel, client in
            try channel.pipeline.syncOperations.addHandler(Echo(client: client))
        }
    }

    /// Sends `text`. Returns the answer, up to `end` or to the end of the connection.
    private static func talk(_ listener: Listener, _ text: String, until end: String) async throws -> String {
        let address = try #require(listener.address)
        let channel = try await ClientBootstrap(group: group).connect(to: address) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
        return try await channel.executeThenClose { inbound, outbound in
            // The listener may have closed the connection already.
            if !text.isEmpty { try await outbound.write(ByteBuffer(string: text)) }
            var heard = ""
            for try await buffer in inbound {
                heard += String(buffer: buffer)
                if heard.hasSuffix(end) { break }
            }
            return heard
        }
    }

    @Test func overTCPTheClientIsThePeer() async throws {
        let listener = try await Self.listen(at: .address(host: "127.0.0.1", port: 0))
        #expect(try await Self.talk(listener, "hello", until: "hello") == "127.0.0.1\nhello")
        let port = try #require(listener.address?.port)
        #expect(listener.boundAddress == "127.0.0.1:\(port)")
        await listener.quiesce()
        #expect(!listener.isActive)
    }

    @Test func clientBehindAProxyIsTakenFromTheProxyHeader() async throws {
        let refusals = Mutex<[ProxyRefusal]>([])
        let networks = ProxyNetworks([try NetworkBlock("127.0.0.1")])
        let limiter = ConnectionLimiter(maximum: 10, maximumPerClient: 10)
        let listener = try await Self.listen(
            at: .address(host: "127.0.0.1", port: 0),
            proxy: ProxyPolicy(networks: networks, limiter: limiter) { refusal in
                refusals.withLock { $0.append(refusal) }
            }
        )
        let line = "PROXY TCP4 192.0.2.7 192.0.2.1 40000 587\r\n"
        #expect(try await Self.talk(listener, line + "hello", until: "hello") == "192.0.2.7\nhello")
        #expect(refusals.withLock { $0 }.isEmpty)
        networks.change(to: [try NetworkBlock("192.0.2.64/26")])
        #expect(try await Self.talk(listener, "", until: "\n") == "")
        #expect(refusals.withLock { $0 } == [ProxyRefusal(peer: IPAddress(ipv4: 0x7F00_0001), reason: .network)])
        await listener.quiesce()
        #expect(limiter.unidentifiedCount == 0)
    }

    // MARK: Unix sockets

    /// Leaves the file of a socket at which no process listens, as a process that crashed does.
    private static func leaveSocket(at path: String) throws {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let address = try SocketAddress(unixDomainSocketPath: path)
        try #require(address.withSockAddr { bind(descriptor, $0, socklen_t($1)) } == 0)
    }

    private static func mode(of path: String) throws -> Int? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.posixPermissions] as? NSNumber)?.intValue
    }

    @Test func unixSocketHasMode0660AndIsRemovedWithItsListener() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("http.sock")
        let listener = try await Self.listen(at: .unix(path: path))
        #expect(try Self.mode(of: path) == 0o660)
        #expect(listener.boundAddress == "unix:\(path)")
        #expect(try await Self.talk(listener, "hello", until: "hello") == "unknown\nhello")
        await listener.quiesce()
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func staleSocketIsReplaced() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("http.sock")
        try Self.leaveSocket(at: path)
        #expect(FileManager.default.fileExists(atPath: path))
        let listener = try await Self.listen(at: .unix(path: path))
        #expect(try await Self.talk(listener, "hello", until: "hello") == "unknown\nhello")
        await listener.close()
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func socketInUseIsNotReplaced() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("http.sock")
        let first = try await Self.listen(at: .unix(path: path))
        let error = await #expect(throws: ListenError.self) { try await Self.listen(at: .unix(path: path)) }
        #expect(error?.description.mentions("unix:\(path)", "process") == true)
        #expect(try await Self.talk(first, "hello", until: "hello") == "unknown\nhello")
        await first.quiesce()
    }

    @Test func ordinaryFileAtTheSocketPathIsNotReplaced() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("http.sock")
        try Data("precious".utf8).write(to: URL(filePath: path))
        let error = await #expect(throws: ListenError.self) { try await Self.listen(at: .unix(path: path)) }
        #expect(error?.description.mentions("unix:\(path)", "file", "socket") == true)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
    }

    @Test func missingSocketDirectoryIsReported() async throws {
        let directory = try TemporaryDirectory()
        let error = await #expect(throws: ListenError.self) {
            try await Self.listen(at: .unix(path: directory.file("none/http.sock")))
        }
        #expect(error?.cause == "No such file or directory")
    }
}
