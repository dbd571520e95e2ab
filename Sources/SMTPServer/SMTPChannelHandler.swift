import Admission
import InternetMessage
import Listening
import Logging
import NIOCore
import NIOExtras
import NIOOpenSSL
import RelayCore
import SMTP

/// The parts and settings that all connections of a server share.
struct SMTPService: Sendable {
    var configuration: SMTPServerConfiguration
    var admission: Admission
    /// Nil when TLS is not available (only in tests of the plaintext dialogue).
    var tls: ReloadableTLSContext?
    var limiter: ConnectionLimiter
    var shutdown = ShutdownNotice()
    /// The port for each kind of TLS. The log names it when a client has connected to the wrong port.
    var ports = PortHint()
    var observe: @Sendable (SMTPEvent) -> Void = { _ in }
}

/// One connection. It passes the input to the ``SMTP/Session`` and carries out the resulting actions.
/// ``Admission/Admission/Reception`` decides what happens to a message.
///
/// One read is requested at a time. No read is requested while a decision is awaited or while the client leaves replies
/// unread. So a client can pipeline no more into memory than one read delivers. Replies are gathered until nothing is
/// left to process or until there are ``repliesPerWrite`` octets of them. They are then sent in one write.
///
/// The clock is the event loop's, so that tests can control it.
final class SMTPChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What the connection is doing.
    private enum Mode {
        case commands
        case data(IncomingMessage)
        case waiting(Wait)
        case closed
    }

    /// What a connection that reads nothing is waiting for.
    private enum Wait {
        case authentication
        /// The time at which the answer to an authentication is sent.
        case authenticationDelay(Scheduled<Void>)
        /// The store's answer about the key's rate.
        case rate
        /// The time at which the key's rate allows the message.
        case rateDelay(Scheduled<Void>)
        /// The last piece of a message is being written to the spool.
        case spool(IncomingMessage)
        case store
    }

    /// What the client is allowed to do.
    private enum Standing {
        case anonymous
        case authenticated(Grant)
        /// The client is within a mail transaction.
        case sending(IncomingMessage)

        var key: KeyID? {
            switch self {
            case .anonymous: nil
            case .authenticated(let grant): grant.id
            case .sending(let message): message.reception.grant.id
            }
        }
    }

    private let service: SMTPService
    private let client: IPAddress
    private let isImplicitTLS: Bool
    private var context: ChannelHandlerContext?
    private var session: Session
    private var mode = Mode.commands
    private var standing = Standing.anonymous
    private var times: ConnectionTimes
    private var lines = CommandLineDecoder()
    private var inbound = ByteBuffer()
    private var outbound = ByteBuffer()
    private var isAdmitted = false
    private var isProcessing = false
    /// Whether any data from the client has been looked at.
    private var hasSpoken = false
    /// Whether the channel accepts more replies. If it does not, the client has not read the earlier ones yet.
    private var isWritable = true
    /// Whether the client has ended its side of the connection. It must still get the replies to its commands.
    private var hasInputEnded = false
    private var isQuiescing = false
    private var hasBegunTransaction = false
    private var timer: Scheduled<Void>?
    private var timerDeadline = NIODeadline.distantFuture
    /// Closes a connection whose client does not read its last replies.
    private var lingering: Scheduled<Void>?

    /// The most octets of replies that are gathered, since one read may hold thousands of commands.
    static let repliesPerWrite = 16 * 1024
    /// The most octets that a client may send ahead of the replies before it has authenticated. When the client ends
    /// its side, NIO delivers all remaining octets at once, even if no read was requested.
    static let maximumAhead = 256 * 1024
    /// How long a client may take to read the last replies.
    static let lingerTime = TimeAmount.seconds(30)

    init(service: SMTPService, client: IPAddress, isImplicitTLS: Bool) {
        self.service = service
        self.client = client
        self.isImplicitTLS = isImplicitTLS
        let configuration = service.configuration
        times = ConnectionTimes(configuration.timeouts, connectedAt: .uptimeNanoseconds(0))
        session = Session(
            configuration: Session.Configuration(
                hostname: configuration.hostname, maximumMessageSize: configuration.maximumMessageSize,
                maximumRecipients: configuration.maximumRecipients, offersStartTLS: service.tls != nil,
                allowsPlaintextAuthentication: configuration.plaintextAuthenticationNetworks.contains {
                    $0.contains(client)
                }),
            isSecure: isImplicitTLS)
    }

    private var hostname: String { service.configuration.hostname }

    private var now: NIODeadline { context?.eventLoop.now ?? times.lastCommandAt }

    private var log: ClientLog { service.admission.clientLog }

    private var isClosed: Bool { if case .closed = mode { true } else { false } }

    /// The message in progress, if there is one.
    private var message: IncomingMessage? {
        switch (mode, standing) {
        case (.data(let message), _), (.waiting(.spool(let message)), _), (_, .sending(let message)): message
        default: nil
        }
    }

    /// The number of octets that this connection holds in buffers.
    var buffered: Int { inbound.capacity + outbound.capacity + (message?.reception.buffered ?? 0) }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        guard !isClosed else { return }
        guard admit() else { return }
        times = ConnectionTimes(service.configuration.timeouts, connectedAt: now)
        // The connection was accepted during the shutdown, too late to be notified.
        if let limit = service.shutdown.limit {
            isQuiescing = true
            times.shutdownBegan(at: now, limit: limit)
        }
        armTimer()
        if !isImplicitTLS {
            perform(session.connected())
            flushReplies()
        }
        context.read()
    }

    private func admit() -> Bool {
        switch service.limiter.admit(client) {
        case .admitted:
            isAdmitted = true
            service.observe(.connected(isImplicitTLS ? .implicitTLS : .startTLS))
            return true
        case .refused(let limit, let scope):
            service.observe(.connectionRefused(scope))
            log.write(
                .notice, "connection refused", client: client, kind: "\(scope)",
                metadata: ["limit": "\(limit)", "of": "\(scope)"])
            mode = .closed
            if isImplicitTLS {
                // Implicit TLS could send a reply only after a handshake, and the limit is there to avoid that cost.
                context?.close(promise: nil)
            } else {
                let reply = Reply.tooManyConnections(hostname, limit: limit, from: scope.clients)
                send([reply], thenClose: true)
            }
            return false
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        lingering?.cancel()
        release()
        leave()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosed else { return }
        var data = unwrapInboundIn(data)
        if inbound.readableBytes == 0 {
            inbound = data
        } else {
            // Without this, the buffer would grow without a limit if every read ended within a line.
            inbound.discardReadBytes()
            inbound.writeBuffer(&data)
        }
        if inbound.readableBytes > Self.maximumAhead, !session.isAuthenticated {
            log.write(.notice, "too much data sent before authentication, connection closed", client: client)
            close(afterReplies: false)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        process()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        if isWritable { process() }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as TLSEvent: tlsEvent(event)
        case is ChannelShouldQuiesceEvent: quiesce()
        case ChannelEvent.inputClosed:
            inputEnded()
            process()
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// The server is shutting down. Within the time limit, a client may finish its transaction, and a client that has
    /// connected to send its first message may send it. The clients of a gateway seldom try again.
    private func quiesce() {
        guard !isQuiescing, !isClosed else { return }
        isQuiescing = true
        times.shutdownBegan(at: now, limit: service.shutdown.limit)
        if mayShutDown { shutDown() } else { armTimer() }
    }

    /// Whether the connection can be closed without a loss for the client.
    private var mayShutDown: Bool {
        guard case .commands = mode, !session.isInTransaction else { return false }
        return hasBegunTransaction || times.isQuiet(at: now)
    }

    private func tlsEvent(_ event: TLSEvent) {
        guard !isClosed else { return }
        switch event {
        case .handshakeCompleted(let info):
            service.observe(.secured(info.version, resumed: info.resumed))
            log.write(
                .debug, "tls established", client: client,
                metadata: [
                    "version": "\(info.version)", "cipher": "\(info.cipher)", "resumed": "\(info.resumed)",
                ])
            if isImplicitTLS {
                perform(session.connected())
                flushReplies()
            } else {
                giveUpMessage()
                session.secured()
                standing = .anonymous
            }
        case .closeNotifyReceived:
            // What came before is processed when the read is complete.
            inputEnded()
        }
    }

    /// The client has ended its side of the connection.
    private func inputEnded() {
        guard !isClosed else { return }
        hasInputEnded = true
        // If all input has been processed, the content of the message can no longer come.
        guard isAbandoned else { return }
        switch mode {
        case .waiting(.rate), .waiting(.rateDelay): close()
        case .commands, .data, .waiting, .closed: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !isClosed else { return }
        let tlsError = error as? TLSError
        if let tlsError { service.observe(.tlsFailed(tlsError.code)) }
        // An operator searches for failed TLS handshakes. A client that disconnected, or that only checked whether the
        // port is open, is normal.
        let level: Logger.Level =
            switch tlsError?.code {
            case nil, .closed?, .truncated?, .notBegun?: .debug
            default: .info
            }
        log.write(
            level, "connection failed", client: client, kind: tlsError.map { "\($0.code)" } ?? "",
            metadata: failure(error))
        // A client may end the connection without a TLS close_notify and still wait for replies (RFC 8446 section 6.1).
        // A truncated message is never accepted, because only CRLF.CRLF ends a message. The event `inputClosed` follows
        // this error.
        if tlsError?.code == .truncated { return }
        close(afterReplies: false)
    }

    private func failure(_ error: any Error) -> Logger.Metadata {
        var metadata: Logger.Metadata = ["error": "\((error as? IOError)?.words ?? "\(error)")"]
        if isImplicitTLS, (error as? TLSError)?.code == .notTLS {
            metadata["remedy"] = "\(service.ports.forStartTLS)"
        }
        return metadata
    }

    // MARK: Processing

    /// Processes the input that has arrived, as far as possible, and requests more.
    private func process() {
        guard !isProcessing else { return }
        isProcessing = true
        let needsMore = workOff()
        isProcessing = false
        if inbound.readableBytes == 0 {
            // An idle connection holds no buffer.
            inbound = ByteBuffer()
        }
        flushReplies()
        if isQuiescing, mayShutDown { shutDown() }
        if hasInputEnded, needsMore { close() }
        guard needsMore, isWritable else { return }
        switch mode {
        case .commands, .data: context?.read()
        case .waiting, .closed: break
        }
    }

    /// Processes the input that has arrived. Returns true if it needs more input to continue.
    private func workOff() -> Bool {
        while isWritable {
            switch mode {
            case .commands:
                if !hasSpoken, inbound.readableBytes > 0 {
                    hasSpoken = true
                    if !session.isSecure, isTLS(inbound) { return false }
                }
                switch lines.next(from: &inbound, limit: session.lineLimit) {
                case .line(let line):
                    times.commandReceived(at: now)
                    answer(session.received(line: line))
                case .tooLong(let beginning): answer(session.receivedTooLongLine(beginning: beginning))
                case .bareLineFeed(let line): answer(session.receivedBareLineFeed(line: line))
                case .needMoreData: return true
                }
            case .data(let message):
                if message.reception.isSpoolBehind { return false }
                if !receiveContent(message) { return !message.reception.isSpoolBehind }
            case .waiting, .closed:
                return false
            }
            if outbound.readableBytes >= SMTPChannelHandler.repliesPerWrite { flushReplies() }
        }
        return false
    }

    /// Whether the client begins with TLS where a command is expected: with a handshake record, version 3 (RFC 8446
    /// section 5.1). If so, the connection is closed.
    private func isTLS(_ bytes: ByteBuffer) -> Bool {
        guard bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) == 0x16,
            [nil, 3].contains(bytes.getInteger(at: bytes.readerIndex + 1, as: UInt8.self))
        else { return false }
        log.write(
            .notice, "TLS handshake where an SMTP command was expected, connection closed", client: client,
            metadata: ["remedy": "\(service.ports.forImplicitTLS)"])
        close()
        return true
    }

    /// Carries out the session's action. Refusals that the session made itself are logged here, as nothing else has
    /// logged them.
    private func answer(_ action: Session.Action) {
        switch action {
        case .reply(let reply): tell(reply)
        case .close(let replies):
            if let first = replies.first {
                tell(first)
                if replies.count > 1 { log.write(.notice, "too many errors, connection closed", client: client) }
            } else {
                log.write(.notice, "HTTP request on an SMTP port, connection closed", client: client)
            }
        default: break
        }
        perform(action)
    }

    private func tell(_ reply: Reply) {
        guard !reply.isPositive else { return }
        let text = reply.lines.joined(separator: " ")
        if let reason = reply.reason.flatMap(RefusalReason.init(rawValue:)) {
            service.admission.tell(Refusal(reason, text), client: client, key: standing.key)
        } else {
            var metadata: Logger.Metadata = ["code": "\(reply.code)", "text": "\(text)"]
            if let key = standing.key { metadata["key"] = "\(key)" }
            log.write(.notice, "refused", client: client, kind: "\(reply.code)", metadata: metadata)
        }
    }

    private func perform(_ action: Session.Action) {
        switch action {
        case .reply(let reply): queue(reply)
        case .close(let replies): send(replies, thenClose: true)
        case .startTLS(let reply): startTLS(reply)
        case .authenticate(let credentials): authenticate(credentials)
        case .checkSender(let path): checkSender(path)
        case .checkRecipient(let mailbox):
            guard case .sending(let message) = standing else {
                return perform(session.recipientRefused(.authenticationLost))
            }
            if let refusal = message.reception.add(mailbox) {
                perform(session.recipientRefused(Reply(refusal, at: .envelope)))
            } else {
                perform(session.recipientAccepted())
            }
        case .openData: openData()
        case .endTransaction(let reply):
            giveUpMessage()
            queue(reply)
        case .receiveData(let reply):
            queue(reply)
            beginContent()
        }
    }

    // MARK: TLS

    private func startTLS(_ reply: Reply) {
        guard let context, let tls = service.tls else { return close() }
        guard inbound.readableBytes == 0 else {
            // RFC 3207 section 4.2 and CVE-2011-0411: octets that came with STARTTLS were not protected by TLS. A
            // correct client sends nothing before the handshake.
            log.write(.notice, "plaintext data after STARTTLS, connection closed", client: client)
            close()
            return
        }
        queue(reply)
        flushReplies()
        do {
            try context.pipeline.syncOperations.addHandler(TLSServerHandler(context: tls.current), position: .first)
            lines = CommandLineDecoder()
        } catch {
            close()
        }
    }

    // MARK: Authentication

    private func authenticate(_ credentials: Credentials) {
        guard let context else { return }
        mode = .waiting(.authentication)
        let eventLoop = context.eventLoop
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        service.admission.authenticate(
            userName: credentials.userName, password: credentials.password, client: client
        ) { result in
            eventLoop.execute { bound.value.authenticated(result) }
        }
    }

    private func authenticated(_ result: Result<Grant, AuthenticationRefusal>) {
        guard case .waiting = mode else { return }
        switch result {
        case .success(let grant):
            standing = .authenticated(grant)
            goOn { $0.perform($0.session.authenticated()) }
        case .failure(let failure):
            let reply = Reply(failure.refusal, at: .authentication)
            let last = failure.endsConnection ? Reply(closing: failure.refusal) : nil
            goOn(after: failure.delay) {
                $0.perform($0.session.authenticationRefused(reply, thenClose: last))
            } waiting: {
                .authenticationDelay($0)
            }
        }
    }

    /// A decision has been made; `answer` passes it to the session.
    private func goOn(_ answer: (SMTPChannelHandler) -> Void) {
        mode = .commands
        times.commandReceived(at: now)
        answer(self)
        process()
    }

    /// Does the same as `goOn(_:)`, but after `delay`. A delayed answer costs no thread and no task, only a timer.
    /// ``release()`` cancels the timer of each case of ``Wait`` that has one.
    private func goOn(
        after delay: Duration, _ answer: @escaping (SMTPChannelHandler) -> Void, waiting: (Scheduled<Void>) -> Wait
    ) {
        guard delay > .zero, let context else { return goOn(answer) }
        mode = .waiting(
            waiting(
                context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(delay)) { [weak self] in
                    guard let self, case .waiting = mode else { return }
                    goOn(answer)
                }))
    }

    // MARK: Message

    private func checkSender(_ path: ReversePath) {
        guard case .authenticated(let grant) = standing else {
            return perform(session.senderRefused(.authenticationLost))
        }
        let origin = Admission.Origin(
            clientName: session.clientName ?? "unknown", client: client, with: session.isSecure ? "ESMTPSA" : "ESMTPA")
        let begun = service.admission.begin(
            from: path, origin: origin, grant, maximumRecipients: session.configuration.maximumRecipients)
        switch begun {
        case .success(let reception):
            hasBegunTransaction = true
            standing = .sending(IncomingMessage(reception))
            perform(session.senderAccepted())
        case .failure(let refusal): perform(session.senderRefused(Reply(refusal, at: .envelope)))
        }
    }

    /// The transaction ended without a message.
    private func giveUpMessage() {
        guard case .sending(let message) = standing else { return }
        message.giveUp()
        standing = .authenticated(message.reception.grant)
    }

    private func openData() {
        guard case .sending(let message) = standing else {
            return perform(session.dataRefused(.authenticationLost))
        }
        let opening = message.reception.open()
        switch opening {
        case .now: perform(session.dataOpened())
        case .refused(let refusal): perform(session.dataRefused(Reply(refusal, at: .envelope)))
        case .after, .ask: follow(opening)
        }
    }

    /// Passes the answer about the key's rate to the session, now or later.
    private func follow(_ opening: Admission.Reception.Opening) {
        switch opening {
        case .now: goOn { $0.perform($0.session.dataOpened()) }
        case .refused(let refusal): goOn { $0.perform($0.session.dataRefused(Reply(refusal, at: .envelope))) }
        // The client has left: it can't send the content, and there is no one to slow down.
        case .after where isAbandoned, .ask where isAbandoned: close()
        case .after(let delay):
            goOn(after: delay) {
                $0.perform($0.session.dataOpened())
            } waiting: {
                .rateDelay($0)
            }
        case .ask(let question): ask(question)
        }
    }

    /// Whether the client has sent everything that it will ever send.
    private var isAbandoned: Bool { hasInputEnded && inbound.readableBytes == 0 }

    private func ask(_ question: Admission.RateQuestion) {
        guard let context else { return }
        mode = .waiting(.rate)
        let eventLoop = context.eventLoop
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        service.admission.ask(question) { answer in
            eventLoop.execute { bound.value.rateAnswered(answer) }
        }
    }

    /// If the connection no longer waits for the answer, the answer is released, and its emails go back to the key's
    /// rate.
    private func rateAnswered(_ answer: Admission.RateAnswer) {
        guard case .waiting(.rate) = mode, case .sending(let message) = standing else { return }
        follow(message.reception.opened(answer))
    }

    private func beginContent() {
        guard case .sending(let message) = standing else { return close() }
        standing = .authenticated(message.reception.grant)
        mode = .data(message)
        times.contentResumed(at: now, received: 0)
        armTimer()
    }

    /// Takes the content that has arrived. Returns false when nothing can be done until more arrives or has been
    /// written.
    private func receiveContent(_ message: IncomingMessage) -> Bool {
        let ended = message.decoder.decode(&inbound) { message.reception.consume($0) }
        spool(message)
        guard ended else { return false }
        mode = .waiting(.spool(message))
        endMessage(message)
        return true
    }

    /// Writes to the spool, or deletes from it, as the message requires.
    private func spool(_ message: IncomingMessage) {
        switch message.reception.next() {
        case .more, .hold: break
        case .forget: message.spooler?.discard()
        case .spool(let piece):
            guard let context, let id = message.reception.id else { return close() }
            let spooler =
                message.spooler ?? MessageSpooler(admission: service.admission, id: id, eventLoop: context.eventLoop)
            message.spooler = spooler
            spooler.write(piece) { [weak self] in self?.pieceWritten(message, failed: spooler.hasFailed) }
        }
    }

    private func pieceWritten(_ message: IncomingMessage, failed: Bool) {
        let wasBehind = message.reception.isSpoolBehind
        if failed { message.reception.spoolFailed() } else { message.reception.pieceWritten() }
        switch mode {
        case .data:
            // The time in which the disk was behind does not count against the client.
            if wasBehind { times.contentResumed(at: now, received: message.reception.received) }
            spool(message)
            process()
        case .waiting(.spool): endMessage(message)
        case .commands, .waiting, .closed: break
        }
    }

    /// All content has arrived. Gets the reception's decision on the message, and passes the message to the store.
    ///
    /// If a piece of the message is still being written, this function is called again afterwards. Until then, the
    /// message is given up if the client leaves. From the decision on, the message no longer depends on the client.
    private func endMessage(_ message: IncomingMessage) {
        switch message.reception.finish(defect: message.decoder.defect.map { Refusal($0) }) {
        case .wait: break
        case .refused(let refusal):
            message.spooler?.discard()
            messageFinished(.failure(refusal))
        case .complete(let message): submit(message)
        case .spool(let last, let incomplete):
            mode = .waiting(.store)
            guard let spooler = message.spooler else { return messageFinished(.failure(incomplete.spoolFailed())) }
            spooler.finish(last) { [self] body in
                if let body {
                    submit(incomplete.spooled(body))
                } else {
                    messageFinished(.failure(incomplete.spoolFailed()))
                }
            }
        }
    }

    private func submit(_ message: Admission.CompleteMessage) {
        guard let context else {
            // The client has left, but the message is complete. It is accepted as if the client were waiting for the
            // reply.
            return service.admission.submit(message) { _ in }
        }
        if !isClosed { mode = .waiting(.store) }
        let eventLoop = context.eventLoop
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        service.admission.submit(message) { result in
            eventLoop.execute { bound.value.messageFinished(result) }
        }
    }

    private func messageFinished(_ result: Result<MessageID, Refusal>) {
        let reply: Reply =
            switch result {
            case .success(let id): Reply(250, EnhancedStatus(0, 0), "Ok: queued as \(id)")
            case .failure(let refusal): Reply(refusal, at: .content)
            }
        guard case .waiting = mode else { return }
        goOn { $0.perform($0.session.messageFinished(reply)) }
    }

    // MARK: Time

    private var activity: ConnectionTimes.Activity {
        switch mode {
        case .commands, .closed: session.isAuthenticated ? .authenticated : .unauthenticated
        case .waiting: .waiting
        case .data(let message):
            .content(received: message.reception.received, isDiskSlow: message.reception.isSpoolBehind)
        }
    }

    /// Makes sure that the time-outs are checked when one of them may have expired.
    ///
    /// A timer that fires earlier is left in place. Commands move the deadline without touching the timer, because the
    /// cost of removing a timer from the event loop's queue grows with the number of connections.
    private func armTimer() {
        guard let context, !isClosed else { return }
        let deadline = times.nextLook(
            activity, awaitsFirstMessage: isQuiescing && !hasBegunTransaction, at: now)
        if timer != nil, timerDeadline <= deadline { return }
        timer?.cancel()
        timerDeadline = deadline
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            self?.timer = nil
            self?.checkTime()
        }
    }

    private func checkTime() {
        if isClosed { return }
        let expiry = times.expired(activity, isUnderStress: service.limiter.isUnderStress, at: now)
        if expiry != .cutOff, isQuiescing, mayShutDown { return shutDown() }
        switch expiry {
        case nil: armTimer()
        case .cutOff: cutOff()
        case .idle: timeOut(.command, [.idleTooLong(hostname)])
        case .authentication(let seconds, let isUnderStress):
            timeOut(
                isImplicitTLS && !hasSpoken ? .handshake : .authentication,
                [.authenticationTooSlow(hostname, seconds: seconds, isUnderStress: isUnderStress)])
        case .content: timeOutContent()
        }
    }

    private func timeOutContent() {
        var replies: [Reply] = []
        if case .data(let message) = mode, message.decoder.defect == .bareLineFeed {
            // A client that ends its lines with LF alone has also ended its message that way, and is waiting for the
            // reply.
            let refusal = Refusal(
                .lineEnding,
                "The message has lines that end with LF alone, so its end was never seen; end all lines with CRLF")
            service.admission.tell(refusal, client: client, key: message.reception.grant.id)
            replies.append(Reply(refusal, at: .content))
        }
        replies.append(.transferTooSlow(hostname, octetsPerSecond: SMTPServerConfiguration.minimumTransferRate))
        timeOut(.content, replies)
    }

    private func timeOut(_ kind: TimeoutKind, _ replies: [Reply]) {
        service.observe(.timedOut(kind))
        var metadata: Logger.Metadata = ["waited_for": "\(kind.rawValue)"]
        if let key = standing.key { metadata["key"] = "\(key)" }
        if kind == .handshake { metadata["remedy"] = "\(service.ports.forStartTLS)" }
        log.write(.info, "timed out", client: client, kind: kind.rawValue, metadata: metadata)
        send(replies, thenClose: true)
    }

    /// The time limit of the shutdown has passed.
    private func cutOff() {
        log.write(.warning, "connection cut off by the shutdown", client: client)
        switch mode {
        case .waiting(.store), .waiting(.spool):
            // The message is on its way to the store, so no reply can say yet whether it was accepted.
            close(afterReplies: false)
        default:
            send([.shuttingDown(hostname)], thenClose: false)
            close(afterReplies: false)
        }
    }

    // MARK: Output and end

    private func queue(_ reply: Reply) {
        if !isClosed { reply.write(into: &outbound) }
    }

    private func flushReplies() {
        guard outbound.readableBytes > 0, let context else { return }
        let replies = outbound
        outbound = ByteBuffer()
        context.writeAndFlush(wrapOutboundOut(replies), promise: nil)
    }

    private func send(_ replies: [Reply], thenClose: Bool) {
        for reply in replies { reply.write(into: &outbound) }
        flushReplies()
        if thenClose { close() }
    }

    private func shutDown() {
        send([.shuttingDown(hostname)], thenClose: true)
    }

    /// Ends the connection.
    ///
    /// - Parameter afterReplies: whether the client first gets the replies that it has not read yet. It has
    ///   ``lingerTime`` to read them.
    private func close(afterReplies: Bool = true) {
        guard let context else { return }
        flushReplies()
        release()
        let unsent = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)
        guard afterReplies, let unsent, unsent > 0 else {
            leave()
            context.close(promise: nil)
            return
        }
        // The connection counts for the limit until the client is gone.
        let (channel, loop) = (context.channel, context.eventLoop)
        lingering = loop.assumeIsolated().scheduleTask(in: Self.lingerTime) { channel.close(promise: nil) }
        // This empty write completes when all earlier ones have.
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in channel.close(promise: nil) }
    }

    /// Releases everything that is held for this connection, except its place in the limit. A second call does nothing.
    private func release() {
        timer?.cancel()
        timer = nil
        if case .waiting(.authenticationDelay(let delay)) = mode { delay.cancel() }
        if case .waiting(.rateDelay(let delay)) = mode { delay.cancel() }
        message?.giveUp()
        mode = .closed
        standing = .anonymous
        inbound = ByteBuffer()
    }

    private func leave() {
        guard isAdmitted else { return }
        isAdmitted = false
        service.limiter.released(client)
    }
}

/// A message that is being received over SMTP.
private final class IncomingMessage {
    var reception: Admission.Reception
    var decoder = DataDecoder()
    var spooler: MessageSpooler?

    init(_ reception: Admission.Reception) { self.reception = reception }

    /// Gives up the message. A message that is complete is not affected.
    func giveUp() {
        reception.giveUp()
        spooler?.discard()
    }
}

extension Reply {
    /// The reply when the session has authenticated the client, but the connection has no grant. This can't happen,
    /// because a successful authentication gives a grant. The code needs a reply nevertheless.
    fileprivate static let authenticationLost = Reply(
        530, EnhancedStatus(7, 0), "Authentication is required", reason: RefusalReason.authRequired.rawValue)
}

extension ConnectionLimiter.Scope {
    /// How a reply names the clients that share the limit. Nil when the limit is for all clients together.
    fileprivate var clients: String? {
        switch self {
        case .all: nil
        case .client: "one address"
        case .site: "one IPv6 network of /48"
        }
    }
}
