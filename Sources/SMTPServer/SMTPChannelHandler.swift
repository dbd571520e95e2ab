import Admission
import InternetMessage
import Logging
import NIOCore
import NIOExtras
import NIOOpenSSL
import RelayCore
import SMTP

/// What all connections of a server share.
struct SMTPService: Sendable {
    var configuration: SMTPServerConfiguration
    var admission: Admission
    var clock: any RelayClock
    /// Nil: TLS is not to be had (tests of the plaintext dialogue only).
    var tls: ReloadableTLSContext?
    var limiter: ConnectionLimiter
    var shutdown = ShutdownNotice()
    var logger: Logger
    var observe: @Sendable (SMTPEvent) -> Void = { _ in }
}

/// One connection: drives the ``SMTP/Session`` with what arrives, and does what it says.
///
/// Reads are asked for one at a time, never while a decision is awaited nor while the client leaves replies unread, so what
/// a client can pipeline into memory is what one read delivers. Replies are gathered until there is nothing more to
/// process, or ``repliesPerWrite`` octets of them, then go out in one write.
///
/// Time is the event loop's own, so that tests can move it.
final class SMTPChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Mode {
        case commands
        case data
        /// Somebody is deciding: the store, the clock, the spool.
        case waiting
        case closed
    }

    /// A message on its way in.
    fileprivate struct Reception {
        var id: MessageID
        var decoder = DataDecoder()
        var intake: MessageIntake
        var spooler: MessageSpooler?
        /// When the speed of the client was last looked at, and how much was there then.
        var windowStart: NIODeadline
        var receivedAtWindowStart = 0

        mutating func startWindow(at now: NIODeadline) {
            windowStart = now
            receivedAtWindowStart = intake.received
        }
    }

    private let service: SMTPService
    private let client: IPAddress
    private let isImplicitTLS: Bool
    private let allowsPlaintextAuthentication: Bool
    private var context: ChannelHandlerContext?
    private var session: Session
    private var mode = Mode.commands
    private var lines = CommandLineDecoder()
    private var inbound = ByteBuffer()
    private var outbound = ByteBuffer()
    private var grant: Grant?
    private var reception: Reception?
    private var reservation: Admission.Reservation?
    private var isAdmitted = false
    private var isProcessing = false
    /// Whether the channel takes more replies; what it does not take yet, the client has not read.
    private var isWritable = true
    /// The client has said that it sends nothing more.
    private var hasInputEnded = false
    private var isQuiescing = false
    private var hasBegunTransaction = false
    /// The reason word that was given last in the envelope of this transaction: a long list of recipients may be refused for one
    /// reason, which is worth one line in the log.
    private var loggedReason: String?
    /// When a connection that has not come to its end in a shutdown is cut off.
    private var cutOffAt: NIODeadline?

    private var connectedAt = NIODeadline.uptimeNanoseconds(0)
    private var lastCommandAt = NIODeadline.uptimeNanoseconds(0)
    private var timer: Scheduled<Void>?
    private var timerDeadline = NIODeadline.distantFuture
    private var hold: Scheduled<Void>?

    /// Octets of replies that are gathered at most: one read may hold thousands of commands.
    static let repliesPerWrite = 16 * 1024
    /// How long a client may be silent on its way to its first message while the server shuts down.
    static let quietTime = TimeAmount.seconds(5)

    init(service: SMTPService, client: IPAddress, isImplicitTLS: Bool) {
        self.service = service
        self.client = client
        self.isImplicitTLS = isImplicitTLS
        let configuration = service.configuration
        allowsPlaintextAuthentication = configuration.plaintextAuthenticationNetworks.contains { $0.contains(client) }
        session = Session(
            configuration: Session.Configuration(
                hostname: configuration.hostname, maximumMessageSize: configuration.maximumMessageSize,
                maximumRecipients: configuration.maximumRecipients, offersStartTLS: service.tls != nil,
                allowsPlaintextAuthentication: allowsPlaintextAuthentication),
            isSecure: isImplicitTLS)
    }

    private var hostname: String { service.configuration.hostname }

    private var now: NIODeadline { context?.eventLoop.now ?? lastCommandAt }

    /// Octets that this connection holds in buffers.
    var buffered: Int { inbound.capacity + outbound.capacity + (reception?.intake.buffered ?? 0) }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        guard mode != .closed else { return }
        switch service.limiter.admit(client) {
        case .admitted:
            isAdmitted = true
            service.observe(.connected(isImplicitTLS ? .implicitTLS : .startTLS))
        case .refused(let limit, let perClient):
            service.observe(.connectionRefused(perClient: perClient))
            service.logger.notice(
                "connection refused",
                metadata: ["client": "\(client)", "limit": "\(limit)", "per_client": "\(perClient)"])
            mode = .closed
            if isImplicitTLS {
                // There is no way to say so without a handshake, which is what a limit is there to save.
                context.close(promise: nil)
            } else {
                send([.tooManyConnections(hostname, limit: limit, perClient: perClient)], thenClose: true)
            }
            return
        }
        connectedAt = now
        lastCommandAt = connectedAt
        // Accepted while the server was being shut down, too late to be told.
        if let limit = service.shutdown.limit {
            isQuiescing = true
            cutOffAt = now + limit
        }
        armTimer()
        if !isImplicitTLS {
            perform(session.connected())
            flushReplies()
        }
        context.read()
    }

    func channelInactive(context: ChannelHandlerContext) {
        mode = .closed
        release()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard mode != .closed else { return }
        var data = unwrapInboundIn(data)
        if inbound.readableBytes == 0 {
            inbound = data
        } else {
            // Else a client whose reads all end within a line would make it grow for ever.
            inbound.discardReadBytes()
            inbound.writeBuffer(&data)
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
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// The server is shutting down: within the limit a transaction may be finished, and who has come to send a first message
    /// may send it. A client of a gateway seldom tries again.
    private func quiesce() {
        guard !isQuiescing, mode != .closed else { return }
        isQuiescing = true
        cutOffAt = service.shutdown.limit.map { now + $0 }
        if mayShutDown { shutDown() } else { armTimer() }
    }

    /// Whether the end of the connection takes nothing from the client.
    private var mayShutDown: Bool {
        mode == .commands && session.transaction == nil
            && (hasBegunTransaction || now >= lastCommandAt + SMTPChannelHandler.quietTime)
    }

    private func tlsEvent(_ event: TLSEvent) {
        guard mode != .closed else { return }
        switch event {
        case .handshakeCompleted(let info):
            service.observe(.secured(info.version, resumed: info.resumed))
            service.logger.debug(
                "tls established",
                metadata: [
                    "client": "\(client)", "version": "\(info.version)", "cipher": "\(info.cipher)",
                    "resumed": "\(info.resumed)",
                ])
            if isImplicitTLS {
                perform(session.connected())
                flushReplies()
            } else {
                session.secured()
                grant = nil
            }
        case .closeNotifyReceived:
            // The client has said all it will. What came before is worked off when the read is complete, and what it is
            // owed is written; then the connection ends.
            hasInputEnded = true
            // Nobody is there to send the content, or to be slowed down.
            if hold != nil { close() }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard mode != .closed else { return }
        if let error = error as? TLSError { service.observe(.tlsFailed(error.code)) }
        // That TLS came to no agreement is what an operator looks for; that a client hung up is nothing to speak of, nor
        // that somebody looked whether the port is open.
        let level: Logger.Level =
            switch (error as? TLSError)?.code {
            case nil, .closed?, .truncated?, .notBegun?: .debug
            default: .info
            }
        service.logger.log(
            level: level, "connection failed", metadata: ["client": "\(client)", "error": "\(error)"])
        close()
    }

    // MARK: Processing

    /// Works off what has arrived, as far as it goes, and asks for more.
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
        if needsMore, isWritable, mode == .commands || mode == .data { context?.read() }
    }

    /// Whether it came to a point from where only more input leads on.
    private func workOff() -> Bool {
        while isWritable {
            switch mode {
            case .commands:
                switch lines.next(from: &inbound, limit: session.lineLimit) {
                case .line(let line):
                    lastCommandAt = now
                    answer(session.received(line: line))
                case .tooLong(let beginning): answer(session.receivedTooLongLine(beginning: beginning))
                case .bareLineFeed(let line): answer(session.receivedBareLineFeed(line: line))
                case .needMoreData: return true
                }
            case .data:
                if !receiveContent() { return !isSpoolBehind }
            case .waiting, .closed:
                return false
            }
            if outbound.readableBytes >= SMTPChannelHandler.repliesPerWrite { flushReplies() }
        }
        return false
    }

    /// Performs what the session made of a line. What it refuses by itself, nobody has logged yet.
    private func answer(_ action: Session.Action) {
        switch action {
        case .reply(let reply): logRefusal(reply)
        case .close(let replies): replies.first.map { logRefusal($0) }
        default: break
        }
        perform(action)
    }

    private func perform(_ action: Session.Action) {
        switch action {
        case .reply(let reply): queue(reply)
        case .close(let replies): send(replies, thenClose: true)
        case .startTLS(let reply): startTLS(reply)
        case .authenticate(let credentials): authenticate(credentials)
        case .checkSender(let path):
            guard let grant else { return perform(session.senderRefused(.authenticationLost)) }
            if let refusal = service.admission.refusalOfSender(path, grant) {
                let reply = Reply(refusal, at: .envelope)
                logRefusal(reply)
                perform(session.senderRefused(reply))
            } else {
                hasBegunTransaction = true
                loggedReason = nil
                perform(session.senderAccepted())
            }
        case .checkRecipient:
            guard let grant else { return perform(session.recipientRefused(.authenticationLost)) }
            if let refusal = service.admission.refusalOfUse(grant) {
                let reply = Reply(refusal, at: .envelope)
                logRefusal(reply)
                perform(session.recipientRefused(reply))
            } else {
                perform(session.recipientAccepted())
            }
        case .openData(let recipients): openData(recipients)
        case .receiveData(let reply):
            queue(reply)
            beginMessage()
        }
    }

    // MARK: TLS

    private func startTLS(_ reply: Reply) {
        guard let context, let tls = service.tls else { return close() }
        guard inbound.readableBytes == 0 else {
            // RFC 3207 section 4.2, and CVE-2011-0411: whatever came with STARTTLS was not protected by it, and a client that
            // means well has nothing to say before the handshake.
            service.logger.notice("plaintext behind STARTTLS, connection closed", metadata: ["client": "\(client)"])
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
        if let refusal = service.admission.refusalOfTrying(client: client) {
            log(refusal)
            service.observe(.authenticated(refusal.reason))
            return perform(session.authenticationRefused(Reply(refusal, at: .authentication)))
        }
        guard let context else { return }
        mode = .waiting
        let eventLoop = context.eventLoop
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        service.admission.authenticate(
            userName: credentials.userName, password: credentials.password, client: client
        ) { result in
            eventLoop.execute { bound.value.authenticated(result) }
        }
    }

    private func authenticated(_ result: Result<Grant, Refusal>) {
        guard mode == .waiting else { return }
        switch result {
        case .success(let grant):
            self.grant = grant
            service.observe(.authenticated(nil))
            service.logger.debug("authenticated", metadata: ["client": "\(client)", "key": "\(grant.id)"])
            goOn { $0.perform($0.session.authenticated()) }
        case .failure(let refusal):
            log(refusal)
            service.observe(.authenticated(refusal.reason))
            let reply = Reply(refusal, at: .authentication)
            goOn(after: service.admission.delay(of: refusal, client: client)) {
                $0.perform($0.session.authenticationRefused(reply))
            }
        }
    }

    /// A decision is there: `answer` brings it to the session, after `delay`.
    ///
    /// What is held back costs no thread and no task, a timer only, which goes when the client goes.
    private func goOn(after delay: Duration = .zero, _ answer: @escaping (SMTPChannelHandler) -> Void) {
        guard delay > .zero, let context else { return resume(answer) }
        // Who sends nothing more gets no answer out of turn.
        if hasInputEnded { return close() }
        mode = .waiting
        hold = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(delay)) { [weak self] in
            guard let self, mode == .waiting else { return }
            hold = nil
            resume(answer)
        }
    }

    private func resume(_ answer: (SMTPChannelHandler) -> Void) {
        mode = .commands
        lastCommandAt = now
        answer(self)
        process()
    }

    // MARK: Message

    private func openData(_ recipients: Int) {
        guard let grant else { return perform(session.dataRefused(.authenticationLost)) }
        switch service.admission.open(recipients: recipients, grant) {
        case .now(let reservation):
            self.reservation = reservation
            perform(session.dataOpened())
        case .after(let delay, let reservation):
            self.reservation = reservation
            service.observe(.slowedDown(delay))
            goOn(after: delay) { $0.perform($0.session.dataOpened()) }
        case .refused(let refusal):
            log(refusal)
            perform(session.dataRefused(Reply(refusal, at: .envelope)))
        }
    }

    private func beginMessage() {
        guard let grant else { return close() }
        let origin = Admission.Origin(
            clientName: session.clientName ?? "unknown", client: client, with: session.isSecure ? "ESMTPSA" : "ESMTPA")
        let (id, intake) = service.admission.receive(from: origin, expectedSize: nil, grant)
        reception = Reception(id: id, intake: intake, windowStart: now)
        mode = .data
        armTimer()
    }

    /// Takes what has arrived of the content; false when there is nothing to do until more arrives or is written.
    private func receiveContent() -> Bool {
        guard reception != nil, !isSpoolBehind else { return false }
        let ended = reception?.decode(&inbound) ?? false
        // It is refused in any case, and the rest may take its time.
        if reception?.intake.keepsNothing == true { reception?.spooler?.discard() }
        spoolIfMany()
        if ended {
            mode = .waiting
            // A piece under way comes first; it calls `endMessage` when it is written.
            if reception?.spooler?.isWriting != true { endMessage() }
            return true
        }
        return false
    }

    /// Whether the disk is slower than the client: then nothing more is read until it has caught up.
    private var isSpoolBehind: Bool {
        guard let reception else { return false }
        return reception.spooler?.isWriting == true && reception.intake.buffered >= MessageIntake.chunkSize
    }

    private func spoolIfMany() {
        guard let context, let reception, reception.intake.buffered >= MessageIntake.inlineLimit else { return }
        let spooler =
            reception.spooler
            ?? MessageSpooler(admission: service.admission, id: reception.id, eventLoop: context.eventLoop)
        self.reception?.spooler = spooler
        if spooler.hasFailed {
            self.reception?.intake.abandon()
        } else if !spooler.isWriting, let piece = self.reception?.intake.takeBuffered() {
            spooler.write(piece) { [weak self] in self?.pieceWritten() }
        }
    }

    private func pieceWritten() {
        if reception?.spooler?.hasFailed == true { reception?.intake.abandon() }
        switch mode {
        case .data:
            // While the disk was behind, it was not the client who was slow.
            if let reception, reception.intake.buffered >= MessageIntake.chunkSize {
                self.reception?.startWindow(at: now)
            }
            spoolIfMany()
            process()
        case .waiting: endMessage()
        case .commands, .closed: break
        }
    }

    /// All content is here. Decides on it, and takes it to the store.
    private func endMessage() {
        guard var reception, let grant, let reservation, let transaction = session.transaction else { return close() }
        // From here on the message does not depend on the client any more, and neither does its place.
        self.reception = nil
        self.reservation = nil
        let summary: HeaderSummary
        switch verdict(on: &reception, grant) {
        case .success(let found): summary = found
        case .failure(let refusal):
            reception.spooler?.discard()
            service.admission.cancel(reservation, grant)
            return messageFinished(.failure(refusal))
        }
        let last = reception.intake.takeBuffered()
        let envelope = Envelope(transaction)
        var submission = Submission(
            id: reception.id, key: grant.id, client: client, envelope: envelope, subject: summary.subject,
            body: .inline(last), acceptedAt: service.clock.now(),
            fingerprint: service.admission.fingerprint(summary, reception.intake, envelope, grant))
        guard let spooler = reception.spooler else { return submit(submission, reservation, grant) }
        spooler.finish(last) { [self] body in
            guard let body else {
                service.admission.cancel(reservation, grant)
                return messageFinished(.failure(.storageUnavailable))
            }
            submission.body = .spooled(body)
            submit(submission, reservation, grant)
        }
    }

    private func verdict(on reception: inout Reception, _ grant: Grant) -> Result<HeaderSummary, Refusal> {
        if reception.spooler?.hasFailed == true { return .failure(.storageUnavailable) }
        // What a client can mend by sending less comes first; then what could be read in two ways.
        let summary = reception.intake.finish()
        if case .failure(let refusal) = summary, refusal.reason == .size { return summary }
        if let defect = reception.decoder.defect { return .failure(Refusal(defect)) }
        return summary.flatMap { summary in
            service.admission.refusalOfHeader(summary, grant).map { .failure($0) } ?? .success(summary)
        }
    }

    private func submit(_ submission: Submission, _ reservation: Admission.Reservation, _ grant: Grant) {
        guard let context else {
            // The client is gone, but the message is whole: it is taken as if the client were waiting for the reply.
            return service.admission.submit(submission, reservation, grant) { _ in }
        }
        let eventLoop = context.eventLoop
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        service.admission.submit(submission, reservation, grant) { result in
            eventLoop.execute { bound.value.messageFinished(result) }
        }
    }

    private func messageFinished(_ result: Result<MessageID, Refusal>) {
        let reply: Reply
        switch result {
        case .success(let id): reply = Reply(250, EnhancedStatus(0, 0), "Ok: queued as \(id)")
        case .failure(let refusal):
            log(refusal)
            reply = Reply(refusal, at: .content)
        }
        guard mode == .waiting else { return }
        goOn { $0.perform($0.session.messageFinished(reply)) }
    }

    // MARK: Time

    /// Sees to it that the time is looked at when something may be due.
    ///
    /// A timer that comes earlier is left as it is: commands move the deadline without touching it, and taking one out of
    /// the event loop's queue costs the more the more connections there are.
    private func armTimer() {
        guard let context, mode != .closed else { return }
        let deadline = nextDeadline
        if timer != nil, timerDeadline <= deadline { return }
        timer?.cancel()
        timerDeadline = deadline
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            self?.timer = nil
            self?.checkTime()
        }
    }

    private var nextDeadline: NIODeadline {
        let deadline: NIODeadline
        switch mode {
        case .data where reception != nil:
            deadline = (reception?.windowStart ?? now) + SMTPServerConfiguration.transferWindow
        case .waiting: deadline = now + .seconds(1)
        case .commands, .data, .closed:
            let idle = lastCommandAt + TimeAmount(service.configuration.idleTimeout)
            let earliest = session.isAuthenticated ? idle : min(idle, authenticationDeadline, nextLookForStress)
            let mayGetQuiet = isQuiescing && !hasBegunTransaction
            deadline = mayGetQuiet ? min(earliest, lastCommandAt + SMTPChannelHandler.quietTime) : earliest
        }
        return min(deadline, cutOffAt ?? deadline)
    }

    private var authenticationDeadline: NIODeadline {
        connectedAt + TimeAmount(service.configuration.authenticationTimeout)
    }

    /// Stress may begin at any time; whether it has is looked at now and then rather than told to thousands at once.
    private var nextLookForStress: NIODeadline {
        let interval = TimeAmount(SMTPServerConfiguration.authenticationTimeoutUnderStress)
        return connectedAt + interval * ((now - connectedAt).nanoseconds / interval.nanoseconds + 1)
    }

    private func checkTime() {
        if mode == .closed { return }
        let now = now
        if let cutOffAt, now >= cutOffAt { return cutOff() }
        switch mode {
        case .closed, .waiting: break
        case .commands:
            if isQuiescing, mayShutDown { return shutDown() }
            if !session.isAuthenticated, let reply = refusalOfWaitingForKey(at: now) {
                return send([reply], thenClose: true)
            }
            if now >= lastCommandAt + TimeAmount(service.configuration.idleTimeout) {
                return send([.idleTooLong(hostname)], thenClose: true)
            }
        case .data:
            guard let reception, now >= reception.windowStart + SMTPServerConfiguration.transferWindow else { break }
            let seconds = Int((now - reception.windowStart).nanoseconds / 1_000_000_000)
            let octets = reception.intake.received - reception.receivedAtWindowStart
            if !isSpoolBehind, octets < seconds * SMTPServerConfiguration.minimumTransferRate {
                let rate = SMTPServerConfiguration.minimumTransferRate
                return send([.transferTooSlow(hostname, octetsPerSecond: rate)], thenClose: true)
            }
            self.reception?.startWindow(at: now)
        }
        armTimer()
    }

    /// What a client that has not authenticated is told when its time is up.
    private func refusalOfWaitingForKey(at now: NIODeadline) -> Reply? {
        let usual = service.configuration.authenticationTimeout
        let isUnderStress = service.limiter.isUnderStress
        let timeout = isUnderStress ? min(usual, SMTPServerConfiguration.authenticationTimeoutUnderStress) : usual
        guard now >= connectedAt + TimeAmount(timeout) else { return nil }
        return .authenticationTooSlow(
            hostname, seconds: Int(timeout.components.seconds), isUnderStress: isUnderStress && timeout < usual)
    }

    /// The time for the shutdown is over.
    private func cutOff() {
        service.logger.warning("connection cut off by the shutdown", metadata: ["client": "\(client)"])
        // Of a message that the store is about to take nobody can say yet that it was not taken.
        if mode == .waiting, hold == nil { close() } else { shutDown() }
    }

    // MARK: Output and end

    private func queue(_ reply: Reply) {
        if mode != .closed { write(reply) }
    }

    private func write(_ reply: Reply) {
        if let reason = reply.reason { service.observe(.refused(reason)) }
        reply.write(into: &outbound)
    }

    private func flushReplies() {
        guard outbound.readableBytes > 0, let context else { return }
        let replies = outbound
        outbound = ByteBuffer()
        context.writeAndFlush(wrapOutboundOut(replies), promise: nil)
    }

    private func send(_ replies: [Reply], thenClose: Bool) {
        for reply in replies { write(reply) }
        flushReplies()
        if thenClose { close() }
    }

    private func shutDown() {
        send([.shuttingDown(hostname)], thenClose: true)
    }

    private func close() {
        guard let context else { return }
        flushReplies()
        mode = .closed
        release()
        context.close(promise: nil)
    }

    /// Gives back all that is held for this connection. Does nothing the second time.
    private func release() {
        timer?.cancel()
        timer = nil
        hold?.cancel()
        hold = nil
        if let reservation, let grant { service.admission.cancel(reservation, grant) }
        reservation = nil
        reception?.spooler?.discard()
        reception = nil
        inbound = ByteBuffer()
        if isAdmitted {
            isAdmitted = false
            service.limiter.released(client)
        }
    }

    private func logRefusal(_ reply: Reply) {
        guard let reason = reply.reason, reason != loggedReason else { return }
        loggedReason = reason
        logRefusal(reason)
    }

    private func log(_ refusal: Refusal) { logRefusal(refusal.reason.rawValue) }

    private func logRefusal(_ reason: String) {
        var metadata: Logger.Metadata = ["client": "\(client)", "reason": "\(reason)"]
        if let grant { metadata["key"] = "\(grant.id)" }
        service.logger.notice("refused", metadata: metadata)
    }
}

extension SMTPChannelHandler.Reception {
    fileprivate mutating func decode(_ buffer: inout ByteBuffer) -> Bool {
        decoder.decode(&buffer) { intake.consume($0) }
    }
}

extension Reply {
    /// Can't happen as long as the session is only told of success together with a grant; answered rather than trusted.
    fileprivate static let authenticationLost = Reply(
        530, EnhancedStatus(7, 0), "Authentication is required", reason: RefusalReason.authRequired.rawValue)
}

extension Envelope {
    init(_ transaction: Session.Transaction) {
        let reversePath: String? =
            switch transaction.reversePath {
            case .null: nil
            case .mailbox(let mailbox): mailbox.text
            }
        self.init(reversePath: reversePath, recipients: transaction.recipients.map(\.text))
    }
}
