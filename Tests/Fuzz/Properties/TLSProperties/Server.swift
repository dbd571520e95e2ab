import FuzzSupport
import NIOCore
import NIOEmbedded
import NIOOpenSSL

/// The handler under test in an embedded channel.
final class Server {
    let application = Application()
    private let channel = EmbeddedChannel()
    private var sent = 0

    private static let context = Result {
        // 2026-01-01. No client verifies the certificate.
        let identity = try TLSIdentity.selfSigned(hostnames: ["mail.example"], now: 1_767_225_600)
        return try TLSServerContext(TLSConfiguration(identities: [identity]))
    }

    init() throws {
        let handler = TLSServerHandler(context: try Server.context.get())
        try channel.pipeline.syncOperations.addHandlers([handler, application] as [any ChannelHandler])
    }

    func deliver(_ ciphertext: some Collection<UInt8>) {
        guard !ciphertext.isEmpty else { return }
        channel.pipeline.fireChannelRead(ByteBuffer(bytes: ciphertext))
        channel.pipeline.fireChannelReadComplete()
    }

    func takeOutput() -> [UInt8] {
        var all: [UInt8] = []
        // Only the handler writes, and it writes buffers.
        while let next = try? channel.readOutbound(as: ByteBuffer.self) { all += next.readableBytesView }
        sent += all.count
        return all
    }

    /// Cuts the connection off, and checks what the server has sent and reported.
    func finish() throws {
        _ = try? channel.finish(acceptAlreadyClosed: true)
        _ = takeOutput()
        try require(sent <= 65_536, "the server answers with \(sent) octets")
        // Only one error may be reported: the failure, or that the connection was cut off.
        try require(application.errors <= 1, "the server fails \(application.errors) times")
        try require(!application.isReadAfterFailure, "plaintext after a failure")
    }
}

/// Takes the place of the SMTP handler.
final class Application: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private(set) var received: [UInt8] = []
    private(set) var errors = 0
    private(set) var isEstablished = false
    private(set) var isReadAfterFailure = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received += unwrapInboundIn(data).readableBytesView
        if errors > 0 { isReadAfterFailure = true }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSEvent { isEstablished = true }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { errors += 1 }
}
