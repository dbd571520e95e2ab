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
    var logger: Logger
}

/// One connection: drives the ``SMTP/Session`` with what arrives, and does what it says.
///
/// Reads are asked for one at a time, never while a decision is awaited, so what a client can pipeline into memory is what
/// one read delivers. Replies are gathered until there is nothing more to process, then go out in one write.
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
        var windowStart: NIODeadline
        var receivedAtWindowStart = 0
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
    private var declaredSize: Int?
    private var isAdmitted = false
    private var isProcessing = false
    private var isQuiescing = false

    private var connectedAt = NIODeadline.uptimeNanoseconds(0)
    private var lastCommandAt = NIODeadline.uptimeNanoseconds(0)
    private var timer: Scheduled<Void>?
    private var hold: Scheduled<Void>?

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

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        switch service.limiter.admit(client) {
        case .admitted:
            isAdmitted = true
        case .refused(let limit, let perClient):
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
        connectedAt = .now()
        lastCommandAt = connectedAt
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
        if inbound.readableBytes == 0 { inbound = data } else { inbound.writeBuffer(&data) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        process()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as TLSEvent: tlsEvent(event)
        case is ChannelShouldQuiesceEvent:
            isQuiescing = true
            if mode == .commands, session.transaction == nil { shutDown() }
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    private func tlsEvent(_ event: TLSEvent) {
        switch event {
        case .handshakeCompleted(let info):
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
            // The client has said all it will. What it is still owed is written; then the connection ends.
            if mode != .waiting { close() } else { isQuiescing = true }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        service.logger.debug("connection failed", metadata: ["client": "\(client)", "error": "\(error)"])
        close()
    }

    // MARK: Processing

    /// Works off what has arrived, as far as it goes.
    private func process() {
        guard !isProcessing else { return }
        isProcessing = true
        loop: while true {
            switch mode {
            case .commands:
                switch lines.next(from: &inbound, limit: session.lineLimit) {
                case .line(let line):
                    lastCommandAt = .now()
                    perform(session.received(line: line))
                case .tooLong: perform(session.receivedTooLongLine())
                case .bareLineFeed: perform(session.receivedBareLineFeed())
                case .needMoreData: break loop
                }
            case .data:
                if !receiveContent() { break loop }
            case .waiting, .closed:
                break loop
            }
        }
        isProcessing = false
        if inbound.readableBytes == 0 {
            // An idle connection holds no buffer.
            inbound = ByteBuffer()
        }
        flushReplies()
        if isQuiescing, mode == .commands, session.transaction == nil { shutDown() }
        if mode == .commands || (mode == .data && !isSpoolBehind) { context?.read() }
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
                perform(session.senderRefused(Reply(refusal, at: .envelope)))
            } else {
                perform(session.senderAccepted())
            }
        case .checkRecipient:
            guard let grant else { return perform(session.recipientRefused(.authenticationLost)) }
            if let refusal = service.admission.refusalOfUse(grant) {
                perform(session.recipientRefused(Reply(refusal, at: .envelope)))
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
            return perform(session.authenticationRefused(Reply(refusal, at: .authentication)))
        }
        guard let context else { return }
        mode = .waiting
        let (eventLoop, admission, client) = (context.eventLoop, service.admission, client)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        Task {
            let result = await admission.authenticate(
                userName: credentials.userName, password: credentials.password, client: client)
            eventLoop.execute { bound.value.authenticated(result) }
        }
    }

    private func authenticated(_ result: Result<Grant, Refusal>) {
        guard mode == .waiting else { return }
        mode = .commands
        switch result {
        case .success(let grant):
            self.grant = grant
            lastCommandAt = .now()
            service.logger.debug("authenticated", metadata: ["client": "\(client)", "key": "\(grant.id)"])
            perform(session.authenticated())
        case .failure(let refusal):
            log(refusal)
            perform(session.authenticationRefused(Reply(refusal, at: .authentication)))
        }
        process()
    }

    // MARK: Message

    private func openData(_ recipients: Int) {
        guard let grant, let context else { return perform(session.dataRefused(.authenticationLost)) }
        switch service.admission.open(recipients: recipients, grant) {
        case .now(let reservation):
            self.reservation = reservation
            perform(session.dataOpened())
        case .after(let delay, let reservation):
            // The reply is held back: no thread, no task, a timer only.
            self.reservation = reservation
            mode = .waiting
            hold = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(delay)) { [weak self] in
                guard let self, mode == .waiting else { return }
                hold = nil
                lastCommandAt = .now()
                mode = .commands
                perform(session.dataOpened())
                process()
            }
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
        reception = Reception(id: id, intake: intake, windowStart: .now())
        mode = .data
        armTimer()
    }

    /// Takes what has arrived of the content; false when there is nothing to do until more arrives or is written.
    private func receiveContent() -> Bool {
        guard reception != nil, !isSpoolBehind else { return false }
        let ended = reception?.decode(&inbound) ?? false
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
            spoolIfMany()
            process()
        case .waiting: endMessage()
        case .commands, .closed: break
        }
    }

    /// All content is here. Decides on it, and takes it to the store.
    private func endMessage() {
        guard var reception, let grant, let reservation, let transaction = session.transaction else { return close() }
        self.reception = nil
        let summary: HeaderSummary
        switch verdict(on: &reception, grant) {
        case .success(let found): summary = found
        case .failure(let refusal):
            reception.spooler?.discard()
            service.admission.cancel(reservation, grant)
            return messageFinished(.failure(refusal), reception.id)
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
                return messageFinished(.failure(.storageUnavailable), submission.id)
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
        self.reservation = nil
        service.admission.submit(submission, reservation, grant) { result in
            eventLoop.execute { bound.value.messageFinished(result, submission.id) }
        }
    }

    private func messageFinished(_ result: Result<MessageID, Refusal>, _ id: MessageID) {
        reservation = nil
        switch result {
        case .success(let id):
            guard mode == .waiting else { return }
            mode = .commands
            perform(session.messageFinished(Reply(250, EnhancedStatus(0, 0), "Ok: queued as \(id)")))
        case .failure(let refusal):
            log(refusal)
            guard mode == .waiting else { return }
            mode = .commands
            perform(session.messageFinished(Reply(refusal, at: .content)))
        }
        lastCommandAt = .now()
        process()
    }

    // MARK: Time

    private func armTimer() {
        timer?.cancel()
        guard let context, mode != .closed else { return }
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: nextDeadline) { [weak self] in
            self?.checkTime()
        }
    }

    /// Looked at again when it has passed: commands move the deadline without touching the timer.
    private var nextDeadline: NIODeadline {
        if mode == .data, let reception { return reception.windowStart + SMTPServerConfiguration.transferWindow }
        let idle = lastCommandAt + TimeAmount(service.configuration.idleTimeout)
        if session.isAuthenticated || mode == .waiting { return max(idle, .now() + .seconds(1)) }
        return min(idle, connectedAt + TimeAmount(service.configuration.authenticationTimeout))
    }

    private func checkTime() {
        let now = NIODeadline.now()
        switch mode {
        case .closed: return
        case .waiting: break
        case .commands:
            if !session.isAuthenticated, now >= connectedAt + TimeAmount(service.configuration.authenticationTimeout) {
                let seconds = service.configuration.authenticationTimeout.components.seconds
                return send([.authenticationTooSlow(hostname, seconds: Int(seconds))], thenClose: true)
            }
            if now >= lastCommandAt + TimeAmount(service.configuration.idleTimeout) {
                return send([.idleTooLong(hostname)], thenClose: true)
            }
        case .data:
            guard let reception, now >= reception.windowStart + SMTPServerConfiguration.transferWindow else { break }
            let seconds = Int((now - reception.windowStart).nanoseconds / 1_000_000_000)
            let octets = reception.intake.received - reception.receivedAtWindowStart
            // While the disk is behind, it is not the client who is slow.
            if !isSpoolBehind, octets < seconds * SMTPServerConfiguration.minimumTransferRate {
                let rate = SMTPServerConfiguration.minimumTransferRate
                return send([.transferTooSlow(hostname, octetsPerSecond: rate)], thenClose: true)
            }
            self.reception?.windowStart = now
            self.reception?.receivedAtWindowStart = reception.intake.received
        }
        armTimer()
    }

    // MARK: Output and end

    private func queue(_ reply: Reply) {
        if mode == .closed { return }
        reply.write(into: &outbound)
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
        if isAdmitted {
            isAdmitted = false
            service.limiter.released(client)
        }
    }

    private func log(_ refusal: Refusal) {
        var metadata: Logger.Metadata = ["client": "\(client)", "reason": "\(refusal.reason.rawValue)"]
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
