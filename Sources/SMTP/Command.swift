import InternetMessage
import NIOCore

/// A client's command (RFC 5321 section 4.1.1). Only its form has been checked. ``Session`` decides whether it is
/// allowed at this point.
public enum Command: Sendable {
    /// `client` is the name that the client gave. Characters that no host name contains are replaced by `?`.
    case hello(extended: Bool, client: String)
    case startTLS
    /// `initialResponse` is still encoded in base64.
    case authenticate(mechanism: String, initialResponse: [UInt8]?)
    case mail(ReversePath, MailParameters)
    case recipient(AddrSpec)
    case data
    case reset
    case noop
    case verify
    case help
    case quit
    /// The first line of an HTTP request. The client is not a mail client, and may be a browser that was tricked into
    /// connecting.
    case http
}

/// The parameters of MAIL that the relay uses: SIZE (RFC 1870). BODY (RFC 6152) and AUTH (RFC 4954 section 5) are
/// checked and then ignored.
public struct MailParameters: Hashable, Sendable {
    /// The message's size in octets, as the client declares it; nil when the client declares none.
    public var size: Int?

    public init(size: Int? = nil) { self.size = size }
}

extension Command {
    private enum Verb {
        case ehlo, helo, starttls, auth, mail, rcpt, data, rset, noop, vrfy, expn, help, quit, bdat, http
    }

    /// Verbs of at most 8 letters, packed into an integer: a look-up then needs no String.
    private static let verbs: [UInt64: Verb] = {
        let names: [(String, Verb)] = [
            ("EHLO", .ehlo), ("HELO", .helo), ("STARTTLS", .starttls), ("AUTH", .auth), ("MAIL", .mail),
            ("RCPT", .rcpt),
            ("DATA", .data), ("RSET", .rset), ("NOOP", .noop), ("VRFY", .vrfy), ("EXPN", .expn), ("HELP", .help),
            ("QUIT", .quit), ("BDAT", .bdat),
            ("GET", .http), ("POST", .http), ("HEAD", .http), ("PUT", .http), ("DELETE", .http), ("OPTIONS", .http),
            ("CONNECT", .http), ("PATCH", .http), ("TRACE", .http), ("PRI", .http),
        ]
        return Dictionary(uniqueKeysWithValues: names.map { ($0.utf8.reduce(0) { $0 << 8 | UInt64($1) }, $1) })
    }()

    private typealias Bytes = Slice<UnsafeRawBufferPointer>

    /// Parses one line without its line end. Returns the command, or the reply that says what is wrong with the line.
    public static func parse(_ line: ByteBuffer) -> ParsedCommand {
        line.withUnsafeReadableBytes { parse($0) }
    }

    private static func parse(_ line: UnsafeRawBufferPointer) -> ParsedCommand {
        var packed: UInt64 = 0
        var end = 0
        while end < line.count, line[end] != 0x20 {
            guard end < 8 else { return .invalid(.unknownCommand) }
            packed = packed << 8 | UInt64(upperCased(line[end]))
            end += 1
        }
        guard let verb = verbs[packed] else { return .invalid(.unknownCommand) }
        if verb == .http { return .valid(.http) }
        // Control characters are not allowed in a command. A server that accepted them would have to guess what they
        // mean.
        guard !line.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            return .invalid(.syntaxError("A command must not hold control characters"))
        }
        let argument = trimmingBlanks(line[end...])
        switch verb {
        case .ehlo, .helo: return parseHello(argument, extended: verb == .ehlo)
        case .mail: return parseMail(argument)
        case .rcpt: return parseRecipient(argument)
        case .auth: return parseAuth(argument)
        case .starttls: return withoutArgument(argument, .startTLS)
        case .data:
            return argument.isEmpty ? .valid(.data) : .invalidEnvelope(.syntaxError("This command takes no argument"))
        case .rset: return withoutArgument(argument, .reset)
        case .quit: return withoutArgument(argument, .quit)
        case .noop: return .valid(.noop)
        case .help: return .valid(.help)
        case .vrfy: return argument.isEmpty ? .invalid(.syntaxError("VRFY needs an address")) : .valid(.verify)
        case .expn, .bdat, .http: return .invalid(.notImplemented)
        }
    }

    /// Whether the line begins an HTTP request. This is used for a line that can't be a command because it is too long
    /// or ends in a bare LF.
    static func isHTTP(_ line: ByteBuffer) -> Bool {
        if case .valid(.http) = parse(line) { true } else { false }
    }

    private static func parseHello(_ argument: Bytes, extended: Bool) -> ParsedCommand {
        guard !argument.isEmpty, argument.count <= 255 else {
            return .invalid(
                .syntaxError("Give the client's host name: \(extended ? "EHLO" : "HELO") client.example.com"))
        }
        // Legacy clients send very odd names. The name is only written to a trace field, where it must not look like
        // anything else.
        let name = argument.map { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5B, 0x5D, 0x5F: byte
            default: 0x3F as UInt8
            }
        }
        return .valid(.hello(extended: extended, client: String(decoding: name, as: UTF8.self)))
    }

    private static func parseAuth(_ argument: Bytes) -> ParsedCommand {
        let parts = argument.split(separator: 0x20, maxSplits: 1)
        guard let mechanism = parts.first, mechanism.count <= 20 else {
            return .invalid(.syntaxError("Name a mechanism: AUTH PLAIN or AUTH LOGIN"))
        }
        let initialResponse = parts.count == 2 ? Array(trimmingBlanks(parts[1])) : nil
        let name = String(decoding: mechanism.map(upperCased), as: UTF8.self)
        return .valid(.authenticate(mechanism: name, initialResponse: initialResponse))
    }

    private static func parseMail(_ argument: Bytes) -> ParsedCommand {
        guard let path = dropping("FROM:", from: argument) else {
            return .invalidEnvelope(.syntaxError("Write MAIL FROM:<address>"))
        }
        do {
            // RFC 5321 section 3.3 forbids blanks before the path. Many clients send one, so refusing it would help no
            // one.
            let (reversePath, rest) = try SMTPPath.parsePath(trimmingBlanks(path))
            var parameters = MailParameters()
            for parameter in trimmingBlanks(rest).split(separator: 0x20) {
                if let wrong = apply(parameter, to: &parameters) { return .invalidEnvelope(wrong) }
            }
            return .valid(.mail(reversePath, parameters))
        } catch {
            return .invalidEnvelope(.badAddress(error, detail: 7))
        }
    }

    private static func parseRecipient(_ argument: Bytes) -> ParsedCommand {
        guard let path = dropping("TO:", from: argument) else {
            return .invalidEnvelope(.syntaxError("Write RCPT TO:<address>"))
        }
        do {
            let (mailbox, rest) = try SMTPPath.parseForwardPath(trimmingBlanks(path))
            guard trimmingBlanks(rest).isEmpty else {
                return .invalidEnvelope(
                    .unknownParameter(
                        trimmingBlanks(rest),
                        "RCPT takes no parameters here, such as those of delivery status notifications"
                    ))
            }
            return .valid(.recipient(mailbox))
        } catch {
            return .invalidEnvelope(.badAddress(error, detail: 3))
        }
    }

    /// Returns the reply that says what is wrong with the parameter, or nil.
    private static func apply(_ parameter: Bytes, to parameters: inout MailParameters) -> Reply? {
        let parts = parameter.split(separator: 0x3D, maxSplits: 1, omittingEmptySubsequences: false)
        let value =
            parts.count == 2 ? parts[1] : Bytes(base: parameter.base, bounds: parameter.endIndex..<parameter.endIndex)
        if equalsIgnoringCase(parts[0], "SIZE") {
            guard !value.isEmpty, value.count <= 18, value.allSatisfy({ (0x30...0x39).contains($0) }) else {
                return .syntaxError("SIZE= takes a number of octets")
            }
            parameters.size = value.reduce(0) { $0 * 10 + Int($1 - 0x30) }
            return nil
        }
        if equalsIgnoringCase(parts[0], "BODY") {
            guard equalsIgnoringCase(value, "7BIT") || equalsIgnoringCase(value, "8BITMIME") else {
                return .syntaxError("BODY= takes 7BIT or 8BITMIME")
            }
            return nil
        }
        if equalsIgnoringCase(parts[0], "AUTH") {
            return value.isEmpty ? .syntaxError("AUTH= takes an address or <>") : nil
        }
        return .unknownParameter(parts[0], "MAIL takes SIZE, BODY and AUTH here")
    }

    private static func withoutArgument(_ argument: Bytes, _ command: Command) -> ParsedCommand {
        argument.isEmpty ? .valid(command) : .invalid(.syntaxError("This command takes no argument"))
    }

    private static func upperCased(_ byte: UInt8) -> UInt8 { (0x61...0x7A).contains(byte) ? byte & 0xDF : byte }

    private static func equalsIgnoringCase(_ bytes: Bytes, _ text: StaticString) -> Bool {
        guard bytes.count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { expected in zip(bytes, expected).allSatisfy { upperCased($0) == $1 } }
    }

    /// Returns the octets after `prefix`, or nil when `bytes` does not begin with `prefix`. Case is ignored.
    private static func dropping(_ prefix: StaticString, from bytes: Bytes) -> Bytes? {
        let count = prefix.utf8CodeUnitCount
        guard bytes.count >= count, equalsIgnoringCase(bytes.prefix(count), prefix) else { return nil }
        return bytes.dropFirst(count)
    }

    private static func trimmingBlanks(_ bytes: Bytes) -> Bytes {
        var bytes = bytes
        while bytes.first == 0x20 { bytes.removeFirst() }
        while bytes.last == 0x20 { bytes.removeLast() }
        return bytes
    }
}

/// The result of parsing a line: a command, or the reply to a line that is not a command.
public enum ParsedCommand: Sendable {
    case valid(Command)
    case invalid(Reply)
    /// A MAIL, RCPT or DATA with a wrong form. If TLS or authentication is missing, the session replies that instead.
    case invalidEnvelope(Reply)
}

extension Reply {
    static let unknownCommand = Reply(500, EnhancedStatus(5, 2), "Unknown command")
    static let notImplemented = Reply(502, EnhancedStatus(5, 1), "Command not implemented")
    static let lineTooLong = Reply(500, EnhancedStatus(5, 2), "The command line is too long")
    static let bareLineFeed = Reply(
        500, EnhancedStatus(5, 2), "Lines must end with CRLF, not with LF alone", reason: "line-ending")

    static func syntaxError(_ text: String) -> Reply { Reply(501, EnhancedStatus(5, 4), text) }

    /// The reply to a parameter that is not supported (RFC 5321 section 4.1.1.11).
    ///
    /// - Parameter parameter: the client's text. The reply quotes the part of it that can be a parameter's name.
    static func unknownParameter(_ parameter: some Collection<UInt8>, _ known: String) -> Reply {
        let name = parameter.prefix { $0 > 0x20 && $0 < 0x7F && $0 != 0x3D }.prefix(40)
        let what = name.isEmpty ? "A parameter" : "The parameter \(String(decoding: name, as: UTF8.self))"
        return Reply(
            555, EnhancedStatus(5, 4), "\(what) is not supported, leave it out; \(known)", reason: "parameter")
    }

    /// `detail` is 7 for a bad sender and 3 for a bad recipient (RFC 3463 section 3.2).
    static func badAddress(_ error: AddressError, detail: UInt16) -> Reply {
        switch error {
        case .nonASCII: Reply(553, EnhancedStatus(6, 7), error.explanation, reason: "address")
        case .syntax, .tooLong: Reply(501, EnhancedStatus(1, detail), error.explanation, reason: "address")
        }
    }
}
