import NIOCore
import NIOOpenSSL
import NIOPosix
import Testing

/// Sends back the data that it receives, over TLS on a port of the loopback interface. After a line `quit` it closes
/// the connection. After a line `half` it closes only its output.
final class EchoServer: Sendable {
    /// What happened in one connection.
    struct Report: Sendable {
        var info: TLSConnectionInfo?
        var handshakes = 0
        var closeNotifyReceived = false
        var outputClosed = false
        var errors: [String] = []
    }

    private let channel: any Channel
    private let reports: AsyncStream<Report>

    private init(channel: any Channel, reports: AsyncStream<Report>) {
        self.channel = channel
        self.reports = reports
    }

    /// Runs a server with an ECDSA and an RSA certificate. In the directory, the file `trusted` has the certificates to
    /// verify them.
    static func with(
        _ compatibility: TLSCompatibility = .modern, _ body: (EchoServer, TemporaryDirectory) async throws -> Void
    ) async throws {
        let material = try await Material.shared
        let directory = try TemporaryDirectory()
        try directory.write(material.trusted, to: "trusted")
        let context = try TLSServerContext(
            TLSConfiguration(
                identities: [material.ecIdentity, material.rsaIdentity], compatibility: compatibility))
        let (reports, sink) = AsyncStream.makeStream(of: Report.self)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        [TLSServerHandler(context: context), EchoHandler(sink)] as [any ChannelHandler])
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let server = EchoServer(channel: channel, reports: reports)
        do {
            try await body(server, directory)
        } catch {
            try? await channel.close()
            throw error
        }
        try await channel.close()
    }

    var port: Int { get throws { try #require(try self.address().port) } }

    private func address() throws -> SocketAddress { try #require(self.channel.localAddress) }

    /// The report on the next connection that ended.
    func nextReport() async throws -> Report {
        for await report in self.reports { return report }
        throw CancellationError()
    }

    /// Runs `openssl s_client` to its end.
    func client(_ arguments: [String], input: String) async throws -> OpenSSLTool.Outcome {
        let port = try #require(try self.address().port)
        return try await OpenSSLTool.run(["s_client", "-connect", "127.0.0.1:\(port)"] + arguments, input: input)
    }

    func plainClient() async throws -> any Channel {
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(to: self.address()).get()
    }
}

private final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var report = EchoServer.Report()
    private let sink: AsyncStream<EchoServer.Report>.Continuation
    /// The last octets that were read, because a line may arrive in pieces.
    private var tail = ""

    init(_ sink: AsyncStream<EchoServer.Report>.Continuation) { self.sink = sink }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = self.unwrapInboundIn(data)
        self.tail = String((self.tail + String(buffer: buffer)).suffix(5))
        let written = context.writeAndFlush(self.wrapOutboundOut(buffer)).assumeIsolated()
        if self.tail.hasSuffix("quit\n") {
            written.whenComplete { _ in context.close(promise: nil) }
        } else if self.tail.hasSuffix("half\n") {
            context.close(mode: .output).assumeIsolated().whenSuccess { self.report.outputClosed = true }
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSEvent.handshakeCompleted(let info):
            self.report.info = info
            self.report.handshakes += 1
        case TLSEvent.closeNotifyReceived:
            self.report.closeNotifyReceived = true
            context.close(promise: nil)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.report.errors.append("\(error)")
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { self.sink.yield(self.report) }
}
