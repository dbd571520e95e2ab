import NIOCore

/// The server's side of TLS in a channel pipeline. It exchanges ciphertext with the socket and plaintext with the
/// application.
///
/// It is at the front of the pipeline. It is there from the beginning (implicit TLS) or is added after a plaintext
/// dialogue (STARTTLS). It writes nothing until a ClientHello arrives. It fires ``TLSEvent`` and, through
/// `errorCaught`, ``TLSError``. After an error it sends the alert, closes the channel and delivers nothing more.
///
/// Writes before the end of the handshake are held back and sent after it. What is written between two flushes is sent
/// in as few records as possible.
///
/// If the channel allows half-closure, a peer that sends FIN without `close_notify` can still be answered. The
/// application is notified (``TLSError/Code/truncated``, then `ChannelEvent.inputClosed`) and must close the channel.
///
/// The application enforces timeouts. See ``isHandshakeComplete``.
///
/// The handler can't be removed from a live pipeline (it is not a `RemovableChannelHandler`). If it could be removed,
/// the application could continue in plaintext by accident. The handler releases everything when the channel closes.
public final class TLSServerHandler: ChannelDuplexHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = ByteBuffer
    public typealias OutboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    /// The largest number of octets that a client may send before its handshake is complete. A ClientHello with every
    /// known extension, including post-quantum key shares, is under 10 KiB.
    public static let maximumHandshakeInput = 65_536
    /// The largest number of octets that the application may write before the handshake is complete.
    public static let maximumHeldBackOutput = 1_048_576
    /// The largest plaintext that one `channelRead` delivers, in octets.
    public static let maximumRead = 262_144

    private enum Phase {
        case handshaking
        case established
        /// The connection was closed by this side, failed, or ended. Nothing more is read or written.
        case closed
    }

    private struct PendingWrite {
        var data: ByteBuffer
        var promise: EventLoopPromise<Void>?
    }

    private let tlsContext: TLSServerContext
    private var phase = Phase.handshaking
    /// Nil until the first ciphertext arrives, so that a client that sends nothing costs nothing. Nil again after the
    /// end.
    private var connection: TLSConnection?
    private var handshakeInput = 0
    private var closeNotifyReceived = false
    private var closeNotifySent = false
    /// Whether the stream from the peer has ended without `close_notify`.
    private var isInputTruncated = false

    private var pending: [PendingWrite] = []
    private var pendingBytes = 0
    /// How many of the `pending` writes were flushed before the handshake was complete.
    private var flushedPending = 0
    /// Whether the application closed its output before the handshake was complete.
    private var outputCloseHeldBack = false
    private var outputClosePromise: EventLoopPromise<Void>?

    /// Whether ciphertext is being processed. A `channelRead` during another one then only adds its ciphertext, because
    /// plaintext must be delivered in order.
    private var processing = false
    /// Whether the application has requested a read and has got no plaintext since.
    private var readWanted = false
    private var readForwarded = false

    /// - Parameter context: certificates and rules. The connection keeps this context until it ends.
    public init(context: TLSServerContext) {
        self.tlsContext = context
    }

    /// Whether the handshake is complete, for timeouts. Read it only on the channel's event loop.
    public private(set) var isHandshakeComplete = false

    // MARK: - Inbound

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard self.phase != .closed, !self.closeNotifyReceived else { return }
        let ciphertext = self.unwrapInboundIn(data)
        guard ciphertext.readableBytes > 0 else { return }
        let connection: TLSConnection
        if let existing = self.connection {
            connection = existing
        } else {
            do {
                connection = try TLSConnection(context: self.tlsContext, allocator: context.channel.allocator)
            } catch {
                self.fail(context, error)
                return
            }
            self.connection = connection
        }
        if self.phase == .handshaking { self.handshakeInput += ciphertext.readableBytes }
        connection.received(ciphertext)
        guard !self.processing else { return }
        self.processing = true
        self.process(context, connection)
        self.processing = false
    }

    /// Reads everything that `connection` has. After each event the application may have closed the channel, so `phase`
    /// is checked again.
    private func process(_ context: ChannelHandlerContext, _ connection: TLSConnection) {
        if self.phase == .handshaking, !self.handshake(context, connection) { return }
        while self.phase == .established, !self.closeNotifyReceived {
            let (plaintext, result) = connection.read(limit: Self.maximumRead)
            if let plaintext {
                self.readWanted = false
                context.fireChannelRead(self.wrapInboundOut(plaintext))
                guard self.phase == .established else { return }
            }
            switch result {
            case .limitReached: continue
            case .needsInput:
                // While the application handled the plaintext, it may have caused another `channelRead`.
                guard connection.hasInput else { return }
            case .closeNotify:
                self.closeNotifyReceived = true
                context.fireUserInboundEventTriggered(TLSEvent.closeNotifyReceived)
            case .failed(let error): self.fail(context, error)
            }
        }
    }

    /// - Returns: whether the handshake is complete and the channel is still open.
    private func handshake(_ context: ChannelHandlerContext, _ connection: TLSConnection) -> Bool {
        switch connection.handshake() {
        case .needsInput:
            if self.handshakeInput > Self.maximumHandshakeInput {
                let limit = Self.maximumHandshakeInput
                self.fail(
                    context,
                    TLSError(.limitExceeded, "handshake failed: not complete after \(limit) octets from the client"))
            }
            return false
        case .failed(let error):
            self.fail(context, error)
            return false
        case .complete(let info):
            self.phase = .established
            self.isHandshakeComplete = true
            // The held-back writes are sent before the event is fired, because the application may write more in
            // response to the event.
            self.sendHeldBack(context)
            guard self.phase == .established else { return false }
            context.fireUserInboundEventTriggered(TLSEvent.handshakeCompleted(info))
            return self.phase == .established
        }
    }

    public func channelReadComplete(context: ChannelHandlerContext) {
        // Handshake messages, including the ticket, wait until now. If the application answered at once, its answer has
        // already been sent with them in one segment.
        self.writeOutbound(context)
        self.readForwarded = false
        context.fireChannelReadComplete()
        // The ciphertext contained no plaintext, so the application still waits for its `read()`.
        if self.readWanted, !self.readForwarded, self.phase != .closed { context.read() }
    }

    public func read(context: ChannelHandlerContext) {
        self.readWanted = true
        self.readForwarded = true
        context.read()
    }

    public func channelInactive(context: ChannelHandlerContext) {
        self.inputEnded(context)
        self.end(failing: TLSError.closed("the connection was closed by the peer or the network"))
        context.fireChannelInactive()
    }

    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent, !self.closeNotifyReceived {
            let wasHandshaking = self.phase == .handshaking
            self.inputEnded(context)
            context.fireUserInboundEventTriggered(event)
            if wasHandshaking {
                self.end(failing: TLSError.closed("the connection was cut off by the peer or the network"))
                context.close(promise: nil)
            }
            return
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// The TCP stream from the peer has ended. Fires an error if the peer had not ended the TLS connection before.
    private func inputEnded(_ context: ChannelHandlerContext) {
        guard !self.closeNotifyReceived, !self.isInputTruncated else { return }
        switch self.phase {
        case .closed: return
        case .established:
            self.isInputTruncated = true
            context.fireErrorCaught(
                TLSError(.truncated, "the client's connection ended without close_notify: the input may be cut off"))
        case .handshaking:
            let text =
                switch (self.handshakeInput, self.connection?.clientHello) {
                case (0, _): "the client closed the connection without sending anything"
                case (_, nil): "the client closed the connection before its ClientHello was complete"
                default: "the client closed the connection in the middle of the handshake"
                }
            let code: TLSError.Code = self.handshakeInput == 0 ? .notBegun : .handshakeFailed
            context.fireErrorCaught(TLSError(code, "handshake failed: " + text))
        }
    }

    public func handlerRemoved(context: ChannelHandlerContext) {
        self.end(failing: TLSError.closed())
    }

    // MARK: - Outbound

    public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard self.phase != .closed, !self.closeNotifySent, !self.outputCloseHeldBack else {
            promise?.fail(TLSError.closed("cannot write: the TLS connection is closed"))
            return
        }
        let data = self.unwrapOutboundIn(data)
        self.pendingBytes += data.readableBytes
        self.pending.append(PendingWrite(data: data, promise: promise))
        if self.phase == .handshaking, self.pendingBytes > Self.maximumHeldBackOutput {
            let limit = Self.maximumHeldBackOutput
            self.fail(
                context,
                TLSError(.limitExceeded, "the application wrote over \(limit) octets before the TLS handshake's end"))
        }
    }

    public func flush(context: ChannelHandlerContext) {
        switch self.phase {
        case .handshaking: self.flushedPending = self.pending.count
        case .established:
            if let error = self.encrypt(context, count: self.pending.count) { self.fail(context, error) }
        case .closed: context.flush()
        }
    }

    public func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch mode {
        case .all:
            if self.phase == .established, !self.closeNotifySent, let connection = self.connection {
                self.closeNotifySent = true
                // A failure is ignored, because the connection ends here in any case.
                _ = connection.closeOutput()
                self.writeOutbound(context)
            }
            self.end(failing: TLSError.closed("the TLS connection was closed before this was sent"))
            context.close(promise: promise)
        case .output:
            switch self.phase {
            case .handshaking where !self.outputCloseHeldBack:
                self.outputCloseHeldBack = true
                self.outputClosePromise = promise
            case .established where !self.closeNotifySent: self.closeOutput(context, promise)
            default: promise?.fail(TLSError.closed("the output of the TLS connection is closed already"))
            }
        case .input: context.close(mode: .input, promise: promise)
        }
    }

    /// Sends what was flushed and held back during the handshake.
    private func sendHeldBack(_ context: ChannelHandlerContext) {
        if self.flushedPending > 0, let error = self.encrypt(context, count: self.flushedPending) {
            self.fail(context, error)
            return
        }
        self.flushedPending = 0
        if self.outputCloseHeldBack {
            self.outputCloseHeldBack = false
            let promise = self.outputClosePromise
            self.outputClosePromise = nil
            self.closeOutput(context, promise)
        }
    }

    private func closeOutput(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        guard let connection = self.connection else { return }
        // This is set first, because promises that fail below may run code that calls this function again.
        self.closeNotifySent = true
        self.failPending(TLSError.closed("the output was closed before this was flushed"))
        if let error = connection.closeOutput() {
            promise?.fail(error)
            self.fail(context, error)
            return
        }
        self.writeOutbound(context)
        context.close(mode: .output, promise: promise)
    }

    /// Encrypts the first `count` pending writes and sends them in one write. When that write completes, the promises
    /// of the pending writes are completed in order. Returns the failure, or nil.
    private func encrypt(_ context: ChannelHandlerContext, count: Int) -> TLSError? {
        guard let connection = self.connection, count > 0 else {
            self.writeOutbound(context, flushAnyway: true)
            return nil
        }
        let bytes = self.pending[..<count].reduce(0) { $0 + $1.data.readableBytes }
        self.pendingBytes -= bytes
        connection.willWrite(bytes)
        let error = Self.encrypt(self.pending[..<count], bytes, connection, context.channel.allocator)
        let promise = Self.tie(self.pending[..<count])
        // The writes are encrypted and removed from the queue before promises are completed, because callbacks of the
        // promises may write again. A short queue keeps its storage.
        if count == self.pending.count {
            self.pending.removeAll(keepingCapacity: count <= 16)
        } else {
            self.pending.removeFirst(count)
        }
        if let error {
            promise?.fail(error)
        } else {
            self.writeOutbound(context, promise: promise, flushAnyway: true)
        }
        return error
    }

    private static func encrypt(
        _ writes: ArraySlice<PendingWrite>, _ bytes: Int, _ connection: TLSConnection, _ allocator: ByteBufferAllocator
    ) -> TLSError? {
        if writes.count == 1, let only = writes.first { return connection.write(only.data) }
        let record = TLSConnection.maximumRecord
        // Several writes are gathered, so that every record except the last is full.
        var gathered = allocator.buffer(capacity: min(bytes, record))
        for write in writes {
            var data = write.data
            while data.readableBytes > 0 {
                if gathered.readableBytes == 0, data.readableBytes >= record {
                    let whole = data.readableBytes / record * record
                    // In range: `whole` is not more than what is readable.
                    guard let slice = data.readSlice(length: whole) else { break }
                    if let error = connection.write(slice) { return error }
                    continue
                }
                let length = min(record - gathered.readableBytes, data.readableBytes)
                guard var part = data.readSlice(length: length) else { break }
                gathered.writeBuffer(&part)
                if gathered.readableBytes == record {
                    if let error = connection.write(gathered) { return error }
                    gathered.clear()
                }
            }
        }
        return connection.write(gathered)
    }

    /// Returns one promise that completes those of all `writes`, in their order; nil if no write has a promise.
    private static func tie(_ writes: ArraySlice<PendingWrite>) -> EventLoopPromise<Void>? {
        if writes.count == 1 { return writes.first?.promise }
        let promises = writes.compactMap(\.promise)
        guard let first = promises.first else { return nil }
        if promises.count > 1 {
            let others = promises.dropFirst()
            first.futureResult.whenComplete { result in
                for promise in others { promise.completeWith(result) }
            }
        }
        return first
    }

    private func writeOutbound(
        _ context: ChannelHandlerContext, promise: EventLoopPromise<Void>? = nil, flushAnyway: Bool = false
    ) {
        if let ciphertext = self.connection?.takeOutbound(), ciphertext.readableBytes > 0 {
            context.writeAndFlush(self.wrapOutboundOut(ciphertext), promise: promise)
        } else {
            // There is no ciphertext. If there is a promise, all writes were empty. An empty write to the channel
            // completes the promise after those of earlier writes.
            if let promise { context.write(self.wrapOutboundOut(ByteBuffer()), promise: promise) }
            if flushAnyway { context.flush() }
        }
    }

    // MARK: - The end

    /// Sends the alert that OpenSSL wrote, releases everything, notifies the application and closes the channel.
    private func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
        guard self.phase != .closed else { return }
        self.writeOutbound(context)
        self.end(failing: error)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    /// Frees the connection, and fails the promises of everything that was not sent. A second call does nothing.
    private func end(failing error: TLSError) {
        self.phase = .closed
        self.connection = nil
        let promise = self.outputClosePromise
        self.outputClosePromise = nil
        promise?.fail(error)
        self.failPending(error)
    }

    private func failPending(_ error: TLSError) {
        let writes = self.pending
        self.pending = []
        self.pendingBytes = 0
        self.flushedPending = 0
        for write in writes { write.promise?.fail(error) }
    }
}
