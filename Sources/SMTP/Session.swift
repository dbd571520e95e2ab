import InternetMessage
import NIOCore

/// An SMTP submission session (RFC 5321, 6409, 3207, 4954) as a value. It takes events and returns actions. It has no
/// I/O and no clock.
///
/// Its driver reports what happened and carries out the returned action. Some actions ask for a decision
/// (`.authenticate`, `.checkSender`, `.checkRecipient`, `.openData`). Between such an action and the call that answers
/// it, the driver must stop reading and must pass no command in. The driver must also pass in no command from the
/// action `.receiveData` until the call of ``messageFinished(_:)``.
public struct Session: Sendable {
    /// The settings that the dialogue itself needs. They do not change during a session. Time limits are not among
    /// them: the driver has the clock.
    public struct Configuration: Sendable {
        /// The relay's host name, for the greeting and for other replies.
        public var hostname: String
        /// The largest message content that is allowed, in octets.
        public var maximumMessageSize: Int
        /// The largest number of recipients of a message, for the LIMITS extension of EHLO.
        public var maximumRecipients: Int
        /// Whether STARTTLS is offered on a plaintext connection.
        public var offersStartTLS: Bool
        /// Whether this client may authenticate without TLS.
        public var allowsPlaintextAuthentication: Bool

        public init(
            hostname: String, maximumMessageSize: Int, maximumRecipients: Int, offersStartTLS: Bool,
            allowsPlaintextAuthentication: Bool = false
        ) {
            self.hostname = hostname
            self.maximumMessageSize = maximumMessageSize
            self.maximumRecipients = maximumRecipients
            self.offersStartTLS = offersStartTLS
            self.allowsPlaintextAuthentication = allowsPlaintextAuthentication
        }
    }

    /// The next step of the driver.
    public enum Action: Sendable {
        /// Send the reply.
        case reply(Reply)
        /// Send all replies, then close the connection.
        case close([Reply])
        /// Send the reply, then start TLS. If the client sent anything after the command, close the connection.
        case startTLS(Reply)
        /// Check the credentials. Answer with ``authenticated()`` or ``authenticationRefused(_:thenClose:)``.
        case authenticate(Credentials)
        /// Decide on the sender. Answer with ``senderAccepted()`` or ``senderRefused(_:)``.
        case checkSender(ReversePath)
        /// Decide on the recipient. Answer with ``recipientAccepted()`` or ``recipientRefused(_:)``.
        case checkRecipient(AddrSpec)
        /// Decide whether the content may come. Answer with ``dataOpened()`` or ``dataRefused(_:)``.
        case openData
        /// A mail transaction ended without a message (RSET, EHLO). Discard the data of the transaction, then send the
        /// reply.
        case endTransaction(Reply)
        /// Send the reply, then read message content until its end. Then call ``messageFinished(_:)``.
        case receiveData(Reply)
    }

    /// How far the mail transaction has come (RFC 5321 section 3.3). The driver keeps the recipients.
    private enum Transaction: Hashable {
        case none
        /// MAIL was accepted. `recipients` is the number of RCPT commands accepted since. `refusal` is the reply to the
        /// last RCPT, if it was refused.
        case begun(recipients: Int, refusal: Reply?)
    }

    private enum Authentication {
        case missing
        /// The last AUTH was refused with this reply.
        case refused(Reply)
        case done
    }

    private enum Phase {
        case commands
        case authenticating(SASLExchange)
        case deciding
        case data
        case closed
    }

    /// The settings of the session.
    public let configuration: Configuration
    private var phase = Phase.commands
    private var transaction = Transaction.none
    /// Whether the connection is encrypted.
    public private(set) var isSecure: Bool
    private var authentication = Authentication.missing
    /// The name given with EHLO or HELO.
    public private(set) var clientName: String?
    private var errors = 0

    /// After this many protocol errors the connection is closed.
    public static let maximumErrors = 10
    /// The longest command line in octets, CRLF included. RFC 5321 requires 512, and more for each extension. 2,048 is
    /// enough for all of them.
    public static let maximumLine = 2048
    /// The longest line within AUTH, in octets (RFC 4954 section 4).
    public static let maximumAuthenticationLine = 12_288

    /// - Parameter isSecure: whether the connection began under TLS (RFC 8314).
    public init(configuration: Configuration, isSecure: Bool) {
        self.configuration = configuration
        self.isSecure = isSecure
    }

    /// Whether the client has authenticated.
    public var isAuthenticated: Bool { if case .done = authentication { true } else { false } }

    /// Whether MAIL was accepted, and neither a message nor RSET has ended the transaction since.
    public var isInTransaction: Bool { transaction != .none }

    /// How long the next line may be, in octets.
    ///
    /// The limit for lines within AUTH is the longer one. It must also apply to an AUTH command with an initial
    /// response, so before authentication it applies to all lines.
    public var lineLimit: Int {
        isAuthenticated ? Session.maximumLine : Session.maximumAuthenticationLine
    }

    // MARK: Events

    /// The greeting, to be sent when the connection is ready.
    public func connected() -> Action {
        .reply(Reply(220, nil, "\(configuration.hostname) ESMTP Hiveku Relay"))
    }

    /// A whole line arrived; `line` is without its CRLF.
    public mutating func received(line: ByteBuffer) -> Action {
        switch phase {
        case .commands:
            switch Command.parse(line) {
            case .valid(let command): return received(command, length: line.readableBytes)
            case .invalid(let reply): return failed(reply)
            case .invalidEnvelope(let reply): return invalidEnvelope(reply)
            }
        case .authenticating(var exchange):
            return continueAuthentication(exchange.received(Array(line.readableBytesView)), exchange)
        case .deciding, .data, .closed:
            // The driver should have stopped reading, but did not. A reply here would be out of order.
            return close()
        }
    }

    /// A line longer than ``lineLimit`` arrived. `beginning` has its first octets.
    public mutating func receivedTooLongLine(beginning: ByteBuffer) -> Action {
        if Command.isHTTP(beginning) { return close() }
        if case .authenticating = phase { phase = .commands }
        return failed(.lineTooLong)
    }

    /// A line arrived that ends in a bare LF. `line` is the text before the LF.
    public mutating func receivedBareLineFeed(line: ByteBuffer) -> Action {
        if Command.isHTTP(line) { return close() }
        if case .authenticating = phase { phase = .commands }
        return failed(.bareLineFeed)
    }

    /// The TLS handshake is done. Everything that the client sent before is discarded (RFC 3207 section 4.2).
    public mutating func secured() {
        self = Session(configuration: configuration, isSecure: true)
    }

    /// The credentials were accepted.
    public mutating func authenticated() -> Action {
        phase = .commands
        authentication = .done
        return .reply(Reply(235, EnhancedStatus(7, 0), "Authentication successful"))
    }

    /// The credentials were refused with `reply`.
    ///
    /// - Parameter last: if it is not nil, `last` is sent after `reply`, and then the connection is closed. Some
    ///   clients do not show a reply that comes with the end of the connection, so `reply` must give the reason too.
    public mutating func authenticationRefused(_ reply: Reply, thenClose last: Reply? = nil) -> Action {
        phase = .commands
        authentication = .refused(reply)
        if let last { return close(reply, last) }
        return failed(reply)
    }

    /// The sender was accepted.
    public mutating func senderAccepted() -> Action {
        phase = .commands
        transaction = .begun(recipients: 0, refusal: nil)
        return .reply(.senderOK)
    }

    /// The sender was refused with this reply. There is no transaction.
    public mutating func senderRefused(_ reply: Reply) -> Action {
        phase = .commands
        return .reply(reply)
    }

    /// The recipient was accepted.
    public mutating func recipientAccepted() -> Action {
        phase = .commands
        if case .begun(let recipients, _) = transaction {
            transaction = .begun(recipients: recipients + 1, refusal: nil)
        }
        return .reply(.recipientOK)
    }

    /// The recipient was refused with this reply. The transaction continues.
    public mutating func recipientRefused(_ reply: Reply) -> Action {
        phase = .commands
        if case .begun(let recipients, _) = transaction {
            transaction = .begun(recipients: recipients, refusal: reply)
        }
        return .reply(reply)
    }

    /// The content may come.
    public mutating func dataOpened() -> Action {
        phase = .data
        return .receiveData(.startMailInput)
    }

    /// DATA is refused for now. The envelope is kept, so that the client may try again.
    public mutating func dataRefused(_ reply: Reply) -> Action {
        phase = .commands
        return .reply(reply)
    }

    /// The whole content was received and decided on. The transaction ends in either case.
    public mutating func messageFinished(_ reply: Reply) -> Action {
        phase = .commands
        transaction = .none
        if reply.isPositive { errors = 0 }
        return .reply(reply)
    }

    // MARK: Commands

    private mutating func received(_ command: Command, length: Int) -> Action {
        switch command {
        case .authenticate, .http: break
        default: if length + 2 > Session.maximumLine { return failed(.lineTooLong) }
        }
        switch command {
        case .hello(let extended, let client):
            clientName = client
            return endTransaction(extended ? greetingWithExtensions : Reply(250, nil, configuration.hostname))
        case .startTLS: return startTLS()
        case .authenticate(let mechanism, let initialResponse): return authenticate(mechanism, initialResponse)
        case .mail(let path, let parameters): return mail(path, parameters)
        case .recipient(let mailbox): return recipient(mailbox)
        case .data: return data()
        case .reset: return endTransaction(.ok)
        case .noop: return .reply(.ok)
        case .verify:
            return .reply(
                Reply(252, EnhancedStatus(5, 2), "Recipients are not verified here; send the message and see"))
        case .help:
            return .reply(
                Reply(
                    214, EnhancedStatus(0, 0),
                    "Hiveku Relay takes mail for the Hiveku email API.",
                    "Switch on STARTTLS, log in with user name 'apikey' and an API key as password."))
        case .quit: return close(.bye)
        case .http: return close()
        }
    }

    private mutating func endTransaction(_ reply: Reply) -> Action {
        guard isInTransaction else { return .reply(reply) }
        transaction = .none
        return .endTransaction(reply)
    }

    private var greetingWithExtensions: Reply {
        var lines = [
            configuration.hostname, "PIPELINING", "8BITMIME", "SIZE \(configuration.maximumMessageSize)",
            "ENHANCEDSTATUSCODES",
        ]
        if !isSecure, configuration.offersStartTLS { lines.append("STARTTLS") }
        if mayAuthenticate, !isAuthenticated {
            lines.append("AUTH " + SASLMechanism.allCases.map(\.rawValue).joined(separator: " "))
        }
        // This line is last, because monitoring looks for "250-STARTTLS" and "250-AUTH". Their hyphen says that another
        // line follows.
        lines.append("LIMITS RCPTMAX=\(configuration.maximumRecipients)")
        return Reply(250, nil, lines: lines)
    }

    private var mayAuthenticate: Bool { isSecure || configuration.allowsPlaintextAuthentication }

    private mutating func startTLS() -> Action {
        guard !isSecure else { return failed(.outOfSequence("The connection is encrypted already")) }
        guard configuration.offersStartTLS else { return failed(.notImplemented) }
        phase = .deciding
        return .startTLS(.readyForTLS)
    }

    private mutating func authenticate(_ mechanism: String, _ initialResponse: [UInt8]?) -> Action {
        guard mayAuthenticate else { return failed(.tlsRequiredToAuthenticate) }
        guard !isAuthenticated else { return failed(.outOfSequence("Already authenticated on this connection")) }
        guard !isInTransaction else { return failed(.outOfSequence("AUTH is not allowed within a mail transaction")) }
        guard clientName != nil else { return failed(.outOfSequence("Send EHLO first")) }
        guard let mechanism = SASLMechanism(rawValue: mechanism) else {
            return failed(Reply(504, EnhancedStatus(5, 4), "Unknown mechanism; use PLAIN or LOGIN"))
        }
        let (exchange, step) = SASLExchange.begin(mechanism, initialResponse: initialResponse)
        return continueAuthentication(step, exchange)
    }

    private mutating func continueAuthentication(_ step: SASLExchange.Step, _ exchange: SASLExchange) -> Action {
        switch step {
        case .challenge(let text):
            phase = .authenticating(exchange)
            return .reply(Reply(334, nil, text))
        case .finished(let credentials):
            phase = .deciding
            return .authenticate(credentials)
        case .cancelled:
            phase = .commands
            return failed(Reply(501, EnhancedStatus(7, 0), "Authentication cancelled"))
        case .invalid(let text):
            phase = .commands
            return failed(Reply(501, EnhancedStatus(5, 2), text))
        }
    }

    private mutating func mail(_ path: ReversePath, _ parameters: MailParameters) -> Action {
        if let reply = refusalOfTransaction() { return failed(reply) }
        guard clientName != nil else { return failed(.outOfSequence("Send EHLO first")) }
        guard !isInTransaction else {
            return failed(.outOfSequence("A sender was given already; RSET starts a new transaction"))
        }
        if let size = parameters.size, size > configuration.maximumMessageSize {
            return .reply(.messageTooLarge(limit: configuration.maximumMessageSize))
        }
        phase = .deciding
        return .checkSender(path)
    }

    private mutating func recipient(_ mailbox: AddrSpec) -> Action {
        if let reply = refusalOfTransaction() { return failed(reply) }
        guard isInTransaction else { return failed(.outOfSequence("Send MAIL FROM:<address> first")) }
        phase = .deciding
        return .checkRecipient(mailbox)
    }

    private mutating func data() -> Action {
        if let reply = refusalOfTransaction() { return failed(reply) }
        guard case .begun(let recipients, let refusal) = transaction else {
            return failed(.outOfSequence("Send MAIL FROM:<address> first"))
        }
        guard recipients > 0 else {
            // RFC 5321 section 4.1.1.4 allows 554 or 503. With PIPELINING the client sees why each RCPT was refused. If
            // the key was the reason, the reply to DATA must say so too.
            if let refusal, refusal.code == 530 { return failed(refusal) }
            return failed(Reply(554, EnhancedStatus(5, 1), "No valid recipients"))
        }
        phase = .deciding
        return .openData
    }

    private func refusalOfTransaction() -> Reply? {
        switch authentication {
        case .done: return nil
        case .missing: return mayAuthenticate ? .authRequired : .tlsRequired
        case .refused(let reply):
            // Servers with a queue (Exim, sendmail) continue without authentication after AUTH was refused. A permanent
            // refusal would make them return every message. This reply makes them keep the mail until the key is
            // corrected, and their log says why.
            return Reply(451, EnhancedStatus(7, 0), lines: reply.lines, reason: reply.reason)
        }
    }

    /// The reply to a MAIL, RCPT or DATA with a wrong form. If TLS or authentication is missing, the reply says that
    /// instead.
    private mutating func invalidEnvelope(_ reply: Reply) -> Action {
        if let first = refusalOfTransaction() { return failed(first) }
        // A mistyped address is a fault of the message, not of the protocol. A long recipient list may contain many of
        // them.
        return reply.reason == "address" ? .reply(reply) : failed(reply)
    }

    private mutating func failed(_ reply: Reply) -> Action {
        errors += 1
        guard errors < Session.maximumErrors else { return close(reply, .tooManyErrors(configuration.hostname)) }
        return .reply(reply)
    }

    private mutating func close(_ replies: Reply...) -> Action {
        phase = .closed
        return .close(replies)
    }
}

extension Reply {
    static func outOfSequence(_ text: String) -> Reply { Reply(503, EnhancedStatus(5, 1), text) }

    /// The reply to a message that is larger than `limit` octets (RFC 1870 section 6).
    public static func messageTooLarge(limit: Int) -> Reply {
        Reply(552, EnhancedStatus(3, 4), "The message is larger than the \(limit) octets allowed here", reason: "size")
    }
}
