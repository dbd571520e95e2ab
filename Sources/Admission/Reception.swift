import InternetMessage
import RelayCore

extension Admission {
    /// Where a message comes from, for its trace field (RFC 5321 section 4.4).
    public struct Origin: Sendable {
        /// The name that the client gave, in printable ASCII.
        public var clientName: String
        /// The client's address.
        public var client: IPAddress
        /// The protocol, as in RFC 3848: `ESMTPSA` and so on.
        public var with: String

        public init(clientName: String, client: IPAddress, with: String) {
            self.clientName = clientName
            self.client = client
            self.with = with
        }
    }

    /// Begins a message. Checks first whether the key is still valid and may send from this address.
    ///
    /// - Parameters:
    ///   - maximumRecipients: the limit that the face has announced to the client; nil: the limit of the present
    ///     settings.
    ///   - options: what the client requests in addition to the sending. Tags that the message's header names are
    ///     added. If both the options and the header name a time, the time in the options counts.
    public func begin(
        from path: ReversePath, origin: Origin, _ grant: Grant, maximumRecipients: Int? = nil,
        options: SubmissionOptions = SubmissionOptions()
    ) -> Result<Reception, Refusal> {
        if let refusal = grant.refusal(at: clock.now()) ?? KeyVerdict.ofSender(path, key: grant.key) {
            tell(refusal, client: origin.client, key: grant.id)
            return .failure(refusal)
        }
        var configuration = configuration
        if let maximumRecipients { configuration.maximumRecipients = maximumRecipients }
        return .success(Reception(self, configuration, grant, origin, path, options))
    }

    /// The reception of one message, from its envelope to the submission to the store. Every message goes through it.
    ///
    /// A value without I/O and tasks. A face passes in recipients and content, and follows the answers: bring more,
    /// write a piece to the spool, wait, refuse. Only a reception can make a ``CompleteMessage``, and
    /// `Admission.submit` accepts nothing else. So no face can forget the limit of recipients, the key's rate, the
    /// check of the header's authors or the fingerprint of a repeat. Each refusal that a reception returns has already
    /// been counted and logged.
    ///
    /// A face that drops a reception, at any point, gives the message up. The emails that were taken from the key's
    /// rate then go back.
    public struct Reception: Sendable {
        private enum Phase: Sendable {
            case envelope
            /// The store is being asked about the key's rate.
            case asking
            /// The key's rate allows the message.
            case open(KeyRates.Reservation)
            case content(Content)
            case ended
        }

        /// The content while it is received.
        private struct Content: Sendable {
            let id: MessageID
            let reservation: KeyRates.Reservation
            var intake: MessageIntake
            var spool = Spool.unused
        }

        private enum Spool: Sendable {
            case unused
            /// A piece is being written.
            case writing
            /// All pieces so far have been written.
            case written
            case failed
        }

        private let admission: Admission
        /// The settings that applied when the message began.
        private let configuration: Configuration
        /// The grant with which the message was begun.
        public let grant: Grant
        private let origin: Origin
        private let reversePath: ReversePath
        private var options: SubmissionOptions
        private var recipients: [AddrSpec] = []
        /// All recipients, once there are many. Used to find recipients that are named twice, for example in To and in
        /// Cc.
        private var known: Set<AddrSpec> = []
        private var phase = Phase.envelope

        init(
            _ admission: Admission, _ configuration: Configuration, _ grant: Grant, _ origin: Origin,
            _ reversePath: ReversePath, _ options: SubmissionOptions
        ) {
            self.admission = admission
            self.configuration = configuration
            self.grant = grant
            self.origin = origin
            self.reversePath = reversePath
            self.options = options
        }

        private func refused(_ refusal: Refusal) -> Refusal {
            admission.tell(refusal, client: origin.client, key: grant.id)
            return refusal
        }

        // MARK: Envelope

        /// Adds a recipient. A recipient that is named twice counts once. When a recipient is refused, the earlier
        /// recipients stay.
        public mutating func add(_ recipient: AddrSpec) -> Refusal? {
            if let refusal = grant.refusal(at: admission.clock.now()) { return refused(refusal) }
            guard !isKnown(recipient) else { return nil }
            guard recipients.count < configuration.maximumRecipients else {
                return refused(
                    Refusal(
                        .recipients,
                        "A message may have \(configuration.maximumRecipients) recipients here; send the rest in another one"
                    ))
            }
            recipients.append(recipient)
            if !known.isEmpty { known.insert(recipient) }
            return nil
        }

        private mutating func isKnown(_ recipient: AddrSpec) -> Bool {
            guard recipients.count > Reception.fewRecipients else { return recipients.contains(recipient) }
            if known.isEmpty { known = Set(recipients) }
            return known.contains(recipient)
        }

        /// Up to this number, recipients are compared one by one, which costs less than hashing them.
        private static let fewRecipients = 16

        /// Whether the face may pass in the content.
        public enum Opening: Sendable {
            /// Bring the content.
            case now
            /// Bring the content after this delay, not earlier. The emails are already taken from the key's rate.
            case after(Duration)
            /// Pass this question to ``Admission/ask(_:completion:)``, and the answer to ``Reception/opened(_:)``.
            case ask(RateQuestion)
            /// The envelope is kept: the face may ask again later.
            case refused(Refusal)
        }

        /// Asks whether the key's rate allows the message, and when.
        ///
        /// - Parameter maximumDelay: how long the face can wait; nil: as long as the settings allow.
        public mutating func open(maximumDelay: Duration? = nil) -> Opening {
            if let refusal = admission.refusalBeforeContent(recipients.count, grant) {
                return .refused(refused(refusal))
            }
            let limit = maximumDelay ?? configuration.maximumRateDelay
            switch admission.rates.take(recipients.count, grant.subject, maximumDelay: limit) {
            case .answered(let answer): return opened(answer)
            case .ask(let request):
                phase = .asking
                return .ask(RateQuestion(request: request))
            }
        }

        /// Takes the store's answer and continues as ``open(maximumDelay:)`` does, but never returns `.ask`. If the
        /// message was given up in the meantime, the emails that were taken go back.
        public mutating func opened(_ answer: RateAnswer) -> Opening {
            guard case .asking = phase else { return .refused(.storageUnavailable) }
            phase = .envelope
            return opened(answer.answer)
        }

        private mutating func opened(_ answer: KeyRates.Answer) -> Opening {
            switch answer {
            case .now(let reservation):
                phase = .open(reservation)
                return .now
            case .after(let delay, let reservation):
                phase = .open(reservation)
                admission.tellSlowedDown(by: delay)
                return .after(delay)
            case .refused(let refusal): return .refused(refused(refusal))
            }
        }

        /// Continues to the content, with a share of the emails that were taken from the key's rate for a whole batch.
        public mutating func open(with share: RateShare) { phase = .open(share.reservation) }

        // MARK: Content

        /// What the face must do next.
        public enum Step: Sendable {
            /// Bring more of the content, or its end.
            case more
            /// Write this piece to the spool, then call ``Reception/pieceWritten()`` or ``Reception/spoolFailed()``.
            /// More content may be brought in the meantime.
            case spool([UInt8])
            /// The disk is slower than the client. Bring nothing more until the piece in progress has been written.
            case hold
            /// The message is sure to be refused, and its spooled content can be deleted. The rest of the content is
            /// only counted.
            case forget
        }

        /// Takes the next octets of the content. Call ``next()`` after one or more of these calls.
        public mutating func consume(_ bytes: UnsafeRawBufferPointer) {
            var content: Content
            switch exchange(&phase, .ended) {
            case .content(let current): content = current
            case .open(let reservation): content = begin(reservation)
            case .envelope, .asking, .ended: return
            }
            content.intake.consume(bytes)
            phase = .content(content)
        }

        /// Returns what must be done next.
        public mutating func next() -> Step {
            var content: Content
            switch exchange(&phase, .ended) {
            case .content(let current): content = current
            case .open(let reservation):
                phase = .open(reservation)
                return .more
            case .envelope, .asking, .ended: return .forget
            }
            let step = Reception.step(&content)
            phase = .content(content)
            return step
        }

        private static func step(_ content: inout Content) -> Step {
            if content.spool == .failed { content.intake.abandon() }
            if content.intake.keepsNothing { return .forget }
            guard content.intake.buffered >= MessageIntake.inlineLimit else { return .more }
            guard content.spool != .writing else { return .hold }
            content.spool = .writing
            return .spool(content.intake.takeBuffered())
        }

        private func begin(_ reservation: KeyRates.Reservation) -> Content {
            let now = admission.clock.now()
            let id = admission.nextID(at: now)
            let date = now.rfc5322
            let client = origin.client
            let relay = "by \(configuration.hostname) (Hiveku Relay)"
            let received =
                configuration.preparation.addReceived
                ? "from \(origin.clientName) ([\(client.isIPv4 ? "" : "IPv6:")\(client)])\r\n"
                    + " \(relay) with \(origin.with)\r\n id \(id) (key \(grant.id));\r\n \(date)"
                : nil
            let context = PreparationContext(
                received: received, date: date, messageID: "<\(id).\(grant.id)@\(configuration.hostname)>",
                relayClause: relay)
            let intake = MessageIntake(
                policy: configuration.preparation, context: context, maximumSize: configuration.maximumMessageSize,
                hash: configuration.detectsRepeats && grant.key.detectsRepeats
                    ? admission.repeatKey.map { ContentHash($0, at: now) } : nil)
            return Content(id: id, reservation: reservation, intake: intake)
        }

        /// Reports that the piece is in the spool. Call ``next()`` afterwards.
        public mutating func pieceWritten() { spooled(.written) }

        /// Reports that the spool failed. The message will be refused at its end. Call ``next()`` afterwards.
        public mutating func spoolFailed() { spooled(.failed) }

        private mutating func spooled(_ spool: Spool) {
            guard case .content(var content) = exchange(&phase, .ended) else { return }
            content.spool = spool
            phase = .content(content)
        }

        /// Gives the message up. Does nothing to a message that is finished.
        public mutating func giveUp() {
            switch exchange(&phase, .ended) {
            case .open(let reservation): reservation.giveBack()
            case .content(let content): content.reservation.giveBack()
            case .envelope, .asking, .ended: break
            }
        }

        /// The id that the message will have. Nil before its content begins.
        public var id: MessageID? { if case .content(let content) = phase { content.id } else { nil } }

        /// The number of octets of content that were received.
        public var received: Int { if case .content(let content) = phase { content.intake.received } else { 0 } }

        /// The number of octets that are held in memory.
        public var buffered: Int { if case .content(let content) = phase { content.intake.buffered } else { 0 } }

        /// Whether the disk is slower than the client. The face must then not end the message as too slow.
        public var isSpoolBehind: Bool {
            guard case .content(let content) = phase else { return false }
            return content.spool == .writing && content.intake.buffered >= MessageIntake.inlineLimit
        }

        // MARK: End

        /// The result at the end of the content.
        public enum End: Sendable {
            /// A piece is still being written. Call ``Reception/finish(defect:)`` again when it has been written.
            case wait
            /// The message is refused. Its spooled content can be deleted.
            case refused(Refusal)
            /// The message is complete and must be submitted.
            case complete(CompleteMessage)
            /// Write the last piece, which may be empty, to the spool and sync it. Then report the result to the
            /// message.
            case spool([UInt8], IncompleteMessage)
        }

        /// Ends the content and decides on the message.
        ///
        /// - Parameter defect: a defect of the content that the face found. A message that is also too large is refused
        ///   for its size.
        public mutating func finish(defect: Refusal? = nil) -> End {
            var content: Content
            switch exchange(&phase, .ended) {
            case .content(let current): content = current
            case .open(let reservation): content = begin(reservation)
            case .envelope, .asking, .ended: return .refused(refused(.storageUnavailable))
            }
            guard content.spool != .writing else {
                phase = .content(content)
                return .wait
            }
            switch Reception.verdict(on: &content, defect, grant.key) {
            case .failure(let refusal):
                content.reservation.giveBack()
                return .refused(refused(refusal))
            case .success(let summary):
                do {
                    try options.add(summary, at: admission.clock.now())
                } catch {
                    content.reservation.giveBack()
                    return .refused(refused(error))
                }
                let last = content.intake.takeBuffered()
                let message = IncompleteMessage(
                    submission: submission(content, summary, body: last), reservation: content.reservation,
                    grant: grant,
                    admission: admission)
                return content.spool == .unused ? .complete(CompleteMessage(message)) : .spool(last, message)
            }
        }

        private static func verdict(
            on content: inout Content, _ defect: Refusal?, _ key: Key
        ) -> Result<HeaderSummary, Refusal> {
            if content.spool == .failed { return .failure(.storageUnavailable) }
            // The size comes first, because the client can correct it by sending less. The face's defect (content that
            // could be read in two ways) comes next.
            let summary = content.intake.finish()
            if case .failure(let refusal) = summary, refusal.reason == .size { return summary }
            if let defect { return .failure(defect) }
            return summary.flatMap { summary in
                KeyVerdict.ofHeader(summary, key: key).map { .failure($0) } ?? .success(summary)
            }
        }

        private func submission(_ content: Content, _ summary: HeaderSummary, body: [UInt8]) -> Submission {
            let path: String? = if case .mailbox(let mailbox) = reversePath { mailbox.text } else { nil }
            let envelope = Envelope(reversePath: path, recipients: recipients.map(\.text))
            let fingerprints = fingerprints(content, summary, envelope)
            var submission = Submission(
                id: content.id, key: grant.id, client: origin.client, envelope: envelope, subject: summary.subject,
                body: .inline(body), acceptedAt: admission.clock.now(),
                fingerprint: fingerprints?.own, secret: grant.secret, scope: grant.scope,
                domains: reversePath.claimedDomains + summary.claimedDomains, tags: options.tags,
                scheduledAt: options.scheduledAt, idempotency: options.idempotency, isAutomatic: summary.isAutomatic,
                template: options.template)
            submission.formerFingerprint = fingerprints?.former
            return submission
        }

        /// The fingerprints that recognise the message when it is sent again. Nil when detection is off, when the
        /// request has an idempotency key of its own, or when the header has neither an idempotency key nor a
        /// Message-ID of the client.
        private func fingerprints(
            _ content: Content, _ summary: HeaderSummary, _ envelope: Envelope
        ) -> (own: Fingerprint, former: Fingerprint?)? {
            guard options.idempotency == nil, let digest = content.intake.digest else { return nil }
            if let key = summary.idempotencyKey { return (Fingerprint(key: grant.id, idempotencyKey: key), nil) }
            guard let messageID = summary.messageID else { return nil }
            let fingerprint = { (digest: [UInt8]) in
                Fingerprint(
                    key: grant.id, messageID: messageID, envelope: envelope, content: digest, tags: options.tags,
                    scheduledAt: options.scheduledAt)
            }
            return (fingerprint(digest.code), digest.former.map(fingerprint))
        }
    }

    /// A message that was checked, but whose last piece must still be spooled.
    public struct IncompleteMessage: Sendable {
        fileprivate var submission: Submission
        fileprivate let reservation: KeyRates.Reservation
        fileprivate let grant: Grant
        fileprivate let admission: Admission

        /// Call this when the spool has been synced. Returns the message, which must then be submitted.
        public func spooled(_ body: SpooledBody) -> CompleteMessage {
            var message = self
            message.submission.body = .spooled(body)
            return CompleteMessage(message)
        }

        /// Call this when the last piece could not be written or synced. Returns the refusal, which has already been
        /// counted and logged.
        public func spoolFailed() -> Refusal {
            reservation.giveBack()
            admission.tell(.storageUnavailable, client: submission.client, key: submission.key)
            return .storageUnavailable
        }
    }

    /// A message that has passed every check of admission. Only ``Reception`` can make one.
    public struct CompleteMessage: Sendable {
        /// The id that the message will have in the queue, unless it repeats another message.
        public var id: MessageID { submission.id }
        /// The number of the message's recipients.
        var emails: Int { submission.envelope.recipients.count }
        let submission: Submission
        let reservation: KeyRates.Reservation
        let grant: Grant

        fileprivate init(_ message: IncompleteMessage) {
            submission = message.submission
            reservation = message.reservation
            grant = message.grant
        }
    }
}
