import NIOCore
import NIOEmbedded
import NIOOpenSSL
import Synchronization
import Testing

/// The handler under test in an embedded channel. One recorder takes the place of the socket, and another takes the
/// place of the application.
final class EmbeddedServer {
    let channel = EmbeddedChannel()
    let wire = Wire()
    let handler: TLSServerHandler
    let application = Application()

    init(_ context: TLSServerContext) throws {
        self.handler = TLSServerHandler(context: context)
        let pipeline = self.channel.pipeline.syncOperations
        try pipeline.addHandlers([self.wire, self.handler, self.application] as [any ChannelHandler])
    }

    /// Makes a server with its own certificate.
    convenience init(minimumVersion: TLSVersion = .tls12) throws {
        try self.init(selfSignedContext(minimumVersion: minimumVersion))
    }

    deinit {
        // A channel and its pipeline keep each other in memory until it has ended.
        _ = try? self.channel.finish(acceptAlreadyClosed: true)
    }

    // MARK: - The wire

    /// Delivers ciphertext as the socket would: in reads of at most `piece` octets.
    func deliver(_ ciphertext: ByteBuffer, piece: Int = .max) {
        var rest = ciphertext
        while let part = rest.readSlice(length: min(piece, rest.readableBytes)), part.readableBytes > 0 {
            self.channel.pipeline.fireChannelRead(part)
            self.channel.pipeline.fireChannelReadComplete()
        }
    }

    func deliver(_ text: String) { self.deliver(ByteBuffer(string: text)) }

    func takeOutput() throws -> ByteBuffer? {
        var all: ByteBuffer?
        while var next = try self.channel.readOutbound(as: ByteBuffer.self) {
            all.setOrWriteBuffer(&next)
        }
        return all.flatMap { $0.readableBytes > 0 ? $0 : nil }
    }

    /// Moves octets both ways until neither side has any more.
    func exchange(with client: TLSClient, piece: Int = .max) throws {
        var moved = true
        while moved {
            moved = false
            client.advance()
            if let ciphertext = client.takeOutput() {
                moved = true
                self.deliver(ciphertext, piece: piece)
            }
            if let ciphertext = try self.takeOutput() {
                moved = true
                client.receive(ciphertext)
            }
        }
    }

    /// Delivers the output of the client. The server's answer stays for ``takeOutput()``.
    func deliverOutput(of client: TLSClient, piece: Int = .max) {
        if let ciphertext = client.takeOutput() { self.deliver(ciphertext, piece: piece) }
    }

    /// Ends the TCP connection in both directions.
    func disconnect() { self.wire.context?.close(promise: nil) }

    // MARK: - The application

    /// Writes, and records the result of the write in `log` under `name`.
    func write(_ bytes: [UInt8], as name: String = "", log: Log? = nil) {
        let promise = self.channel.eventLoop.makePromise(of: Void.self)
        self.channel.write(ByteBuffer(bytes: bytes), promise: promise)
        if let log { promise.futureResult.whenComplete { log.append(name, $0) } }
    }

    func write(_ text: String, as name: String = "", log: Log? = nil) {
        self.write(Array(text.utf8), as: name, log: log)
    }

    func flush() { self.channel.flush() }

    func close(_ mode: CloseMode, as name: String = "", log: Log? = nil) {
        let promise = self.channel.eventLoop.makePromise(of: Void.self)
        self.channel.close(mode: mode, promise: promise)
        if let log { promise.futureResult.whenComplete { log.append(name, $0) } }
    }
}

/// Takes the place of the socket, and records what the handler requests.
final class Wire: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private(set) var context: ChannelHandlerContext?
    private(set) var reads = 0
    private(set) var outputIsClosed = false
    /// Whether it acts as a socket with a full buffer: it accepts writes, and completes them after ``release()``.
    var isFull = false
    private var held: [(data: NIOAny, promise: EventLoopPromise<Void>?)] = []

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func read(context: ChannelHandlerContext) { self.reads += 1 }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard self.isFull else { return context.write(data, promise: promise) }
        self.held.append((data, promise))
    }

    func release() {
        self.isFull = false
        for (data, promise) in self.held { self.context?.writeAndFlush(data, promise: promise) }
        self.held = []
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .output else { return context.close(mode: mode, promise: promise) }
        // An embedded channel would close in both directions.
        self.outputIsClosed = true
        promise?.succeed(())
    }
}

/// Takes the place of the application, and records what the handler reports.
final class Application: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// Everything in order: plaintext as text, events and errors by name.
    private(set) var story: [String] = []
    private(set) var received: [UInt8] = []
    private(set) var readSizes: [Int] = []
    private(set) var events: [TLSEvent] = []
    private(set) var errors: [TLSError] = []
    private(set) var isInactive = false

    var onRead: ((ChannelHandlerContext, [UInt8]) -> Void)?
    var onEvent: ((ChannelHandlerContext, TLSEvent) -> Void)?
    var onError: ((ChannelHandlerContext) -> Void)?

    var receivedText: String { String(decoding: self.received, as: UTF8.self) }
    var info: TLSConnectionInfo? {
        for case .handshakeCompleted(let info) in self.events { return info }
        return nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Array(self.unwrapInboundIn(data).readableBytesView)
        self.story.append(bytes.count <= 64 ? String(decoding: bytes, as: UTF8.self) : "\(bytes.count) octets")
        self.received += bytes
        self.readSizes.append(bytes.count)
        self.onRead?(context, bytes)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? TLSEvent else {
            self.story.append("<\(event)>")
            return
        }
        switch event {
        case .handshakeCompleted: self.story.append("<handshakeCompleted>")
        case .closeNotifyReceived: self.story.append("<closeNotifyReceived>")
        }
        self.events.append(event)
        self.onEvent?(context, event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? TLSError else {
            self.story.append("<\(error)>")
            return
        }
        self.story.append("<error \(error.code)>")
        self.errors.append(error)
        self.onError?(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.story.append("<inactive>")
        self.isInactive = true
    }
}

extension ByteBuffer {
    /// Takes the first `count` octets, so that a test can deliver them in a separate read.
    mutating func take(_ count: Int) throws -> ByteBuffer {
        let part = self.readSlice(length: count)
        return try #require(part, "there are no \(count) octets")
    }
}

/// The results of promises, in the order in which they were completed.
final class Log: Sendable {
    private let lines = Mutex<[String]>([])

    var entries: [String] { self.lines.withLock { $0 } }

    func append(_ name: String, _ result: Result<Void, any Error>) {
        let text =
            switch result {
            case .success: name
            case .failure(let error as TLSError): "\(name): \(error.code)"
            case .failure(let error): "\(name): \(error)"
            }
        self.lines.withLock { $0.append(text) }
    }
}

/// 2026-01-01: the fixed time of certificates that nobody verifies.
let testTime: Int64 = 1_767_225_600

func selfSignedContext(
    minimumVersion: TLSVersion = .tls12, ticketKeys: TLSTicketKeys? = nil
) throws -> TLSServerContext {
    let identity = try TLSIdentity.selfSigned(hostnames: ["mail.example"], now: testTime)
    return try TLSServerContext(
        TLSConfiguration(identities: [identity], minimumVersion: minimumVersion), ticketKeys: ticketKeys)
}

/// A server and a client that have completed their handshake.
func connect(
    _ options: TLSClient.Options = TLSClient.Options(), to context: TLSServerContext? = nil
) throws -> (EmbeddedServer, TLSClient) {
    let server = try context.map { try EmbeddedServer($0) } ?? EmbeddedServer()
    let client = try TLSClient(options)
    try server.exchange(with: client)
    try #require(client.isEstablished, "\(server.application.errors) \(client.failure ?? "")")
    return (server, client)
}
