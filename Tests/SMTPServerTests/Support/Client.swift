import Foundation
import NIOCore
import NIOEmbedded
import NIOOpenSSL
import RelayCore
import Synchronization
import TestSupport
import Testing

@testable import SMTPServer

/// Takes the place of the socket. It delivers one read for each requested read, and accepts writes.
final class Wire: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    /// Octets that the client has sent and the server has not read.
    private(set) var unread = ByteBuffer()
    private var isReadWanted = false
    /// The most octets of one read.
    var readSize = 65_536
    /// Whether the client reads nothing, so that written octets stay unsent.
    var isStuck = false
    private(set) var unsent = ByteBuffer()
    private var context: ChannelHandlerContext?

    /// NIO's default for a socket.
    static let highWatermark = 64 * 1024

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func send(_ bytes: ByteBuffer) {
        unread.writeImmutableBuffer(bytes)
        deliver()
    }

    func read(context: ChannelHandlerContext) {
        isReadWanted = true
        // Octets are not delivered within this call, because a socket delivers them in another turn of the event loop.
        context.eventLoop.assumeIsolated().execute { self.deliver() }
    }

    private func deliver() {
        guard isReadWanted, unread.readableBytes > 0, let context,
            let piece = unread.readSlice(length: min(readSize, unread.readableBytes))
        else { return }
        isReadWanted = false
        // Octets enter at the head of the pipeline, where STARTTLS adds its handler.
        context.channel.pipeline.syncOperations.fireChannelRead(NIOAny(piece))
        context.channel.pipeline.syncOperations.fireChannelReadComplete()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isStuck else { return context.write(data, promise: promise) }
        unsent.writeImmutableBuffer(unwrapOutboundIn(data))
        promise?.succeed()
        if unsent.readableBytes > Wire.highWatermark { setWritable(false) }
    }

    func release() {
        isStuck = false
        context?.writeAndFlush(NIOAny(unsent), promise: nil)
        unsent = ByteBuffer()
        setWritable(true)
    }

    private func setWritable(_ isWritable: Bool) {
        guard let context, let channel = context.channel as? NIOAsyncTestingChannel, channel.isWritable != isWritable
        else { return }
        channel.isWritable = isWritable
        context.fireChannelWritabilityChanged()
    }
}

/// A client on a virtual connection. It shares the virtual time of its fixture.
final class Client: Sendable {
    let channel: NIOAsyncTestingChannel
    private let loop: NIOAsyncTestingEventLoop
    private let bound: NIOLoopBound<(wire: Wire, handler: WeakHandler)>
    private let received = Mutex("")

    private struct WeakHandler {
        weak var handler: SMTPChannelHandler?
    }

    init(service: SMTPService, loop: NIOAsyncTestingEventLoop, address: IPAddress, implicitTLS: Bool) async throws {
        let channel = NIOAsyncTestingChannel(loop: loop)
        bound = try await loop.executeInContext {
            let wire = Wire()
            let handler = SMTPChannelHandler(service: service, client: address, isImplicitTLS: implicitTLS)
            try channel.pipeline.syncOperations.addHandlers([wire, handler] as [any ChannelHandler])
            return NIOLoopBound((wire, WeakHandler(handler: handler)), eventLoop: loop)
        }
        self.channel = channel
        self.loop = loop
        try await channel.register()
    }

    func connect() async throws {
        try await channel.connect(to: SocketAddress(ipAddress: "192.0.2.7", port: 1024)).get()
    }

    // MARK: Talking

    func send(_ text: String) async { await send(ByteBuffer(string: text)) }

    func send(_ bytes: ByteBuffer) async { await onWire { $0.send(bytes) } }

    /// The next reply, with its lines separated by LF. Throws if the connection ends before there is a reply.
    func reply() async throws -> String {
        while true {
            if let reply = takeReply() { return reply }
            let buffer: ByteBuffer = try await withTaskCancellationHandler {
                try await channel.waitForOutboundWrite()
            } onCancel: {
                // The test is over its time limit. A reply that never comes must not keep the run from ending.
                channel.close(promise: nil)
            }
            received.withLock { $0 += String(buffer: buffer) }
        }
    }

    /// Sends a command line and returns the reply.
    @discardableResult
    func say(_ line: String) async throws -> String {
        await send(line + "\r\n")
        return try await reply()
    }

    private func takeReply() -> String? {
        received.withLock { received in
            var lines: [Substring] = []
            var rest = received[...]
            while let end = rest.firstRange(of: "\r\n") {
                let line = rest[..<end.lowerBound]
                rest = rest[end.upperBound...]
                lines.append(line)
                guard line.dropFirst(3).first == "-" else {
                    received = String(rest)
                    return lines.joined(separator: "\n")
                }
            }
            return nil
        }
    }

    /// All output that has arrived and that no other call has returned.
    func pending() async throws -> String {
        await loop.run()
        while let buffer: ByteBuffer = try await channel.readOutbound() {
            received.withLock { $0 += String(buffer: buffer) }
        }
        return received.withLock { received in
            defer { received = "" }
            return received
        }
    }

    /// All replies up to the end of the connection.
    func remainingReplies() async throws -> [String] {
        var replies: [String] = []
        do {
            while true { replies.append(try await reply()) }
        } catch ChannelError.ioOnClosedChannel {
            return replies
        }
    }

    func authenticate(_ key: APIKey) async throws -> String { try await say(Client.plain(key.revealed)) }

    static func plain(_ password: String) -> String {
        "AUTH PLAIN " + Data("\u{0}apikey\u{0}\(password)".utf8).base64EncodedString()
    }

    /// Sends the commands of a transaction up to DATA. Returns the reply to DATA.
    func openData(recipients: Int = 1) async throws -> String {
        await sendEnvelope(recipients: recipients)
        for _ in 0...recipients { #expect(try await reply().hasPrefix("250 2.1.")) }
        return try await say("DATA")
    }

    func sendEnvelope(recipients: Int = 1) async {
        await send(
            "MAIL FROM:<from@example.com>\r\n"
                + (0..<recipients).map { "RCPT TO:<r\($0)@example.net>\r\n" }.joined())
    }

    static let header = "From: from@example.com\r\nSubject: Hello\r\n\r\n"

    /// Content with a body of at least `size` octets.
    static func content(_ size: Int = 0) -> String {
        let line = String(repeating: "x", count: 70) + "\r\n"
        return header + String(repeating: line, count: (size + 71) / 72)
    }

    func sendMessage(_ size: Int = 0) async throws -> String {
        #expect(try await openData() == "354 End data with <CR><LF>.<CR><LF>")
        await send(Client.content(size) + ".\r\n")
        return try await reply()
    }

    // MARK: Events

    func disconnect() async throws { try await channel.close() }

    func fire(_ event: any Sendable) async {
        await onLoop { channel, _ in channel.pipeline.fireUserInboundEventTriggered(event) }
    }

    func completeHandshake() async {
        await fire(
            TLSEvent.handshakeCompleted(
                TLSConnectionInfo(
                    version: .tls13, cipher: "TLS_AES_128_GCM_SHA256", resumed: false, serverName: nil, group: nil)))
    }

    /// Delivers a text and then `close_notify`, as the TLS handler would.
    func sendLast(_ text: String) async {
        await onLoop { channel, _ in
            if !text.isEmpty { channel.pipeline.fireChannelRead(ByteBuffer(string: text)) }
            channel.pipeline.fireUserInboundEventTriggered(TLSEvent.closeNotifyReceived)
            channel.pipeline.fireChannelReadComplete()
        }
    }

    func fail(_ error: any Error) async { await onLoop { channel, _ in channel.pipeline.fireErrorCaught(error) } }

    // MARK: The state of the connection

    var isClosed: Bool { !channel.isActive }

    /// Octets that the client has sent and the server has not read.
    var unread: Int { get async { await onWire { $0.unread.readableBytes } } }
    var unsent: Int { get async { await onWire { $0.unsent.readableBytes } } }

    /// Octets that the server holds for the connection.
    var buffered: Int {
        get async {
            let bound = bound
            return await value { bound.value.handler.handler?.buffered ?? 0 }
        }
    }

    /// Whether the connection's handler is no longer in memory.
    var isForgotten: Bool {
        get async {
            let bound = bound
            return await value { bound.value.handler.handler == nil }
        }
    }

    @discardableResult
    func onWire<T: Sendable>(_ body: @escaping @Sendable (Wire) -> T) async -> T {
        await onLoop { _, wire in body(wire) }
    }

    private func onLoop<T: Sendable>(_ body: @escaping @Sendable (NIOAsyncTestingChannel, Wire) -> T) async -> T {
        let (channel, bound) = (channel, bound)
        let result = await value { body(channel, bound.value.wire) }
        await loop.run()
        return result
    }

    private func value<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
        await withCheckedContinuation { continuation in
            loop.execute { continuation.resume(returning: body()) }
        }
    }
}
