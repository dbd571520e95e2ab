import NIOCore

/// An enhanced status code (RFC 3463). Its class is the first digit of the reply code, so only subject and detail are
/// stored.
public struct EnhancedStatus: Hashable, Sendable {
    /// The second number of the code (RFC 3463 section 3).
    public var subject: UInt16
    /// The third number of the code.
    public var detail: UInt16

    /// The status with these two numbers, each from 0 to 999 (RFC 3463 section 2).
    public init(_ subject: UInt16, _ detail: UInt16) {
        self.subject = subject
        self.detail = detail
    }
}

/// An SMTP reply (RFC 5321 section 4.2): a code, an enhanced status (RFC 2034) and one or more lines of text.
public struct Reply: Hashable, Sendable {
    /// The reply code: three digits (RFC 5321 section 4.2.1).
    public var code: UInt16
    /// Nil where RFC 2034 allows none: in the greeting, in the reply to EHLO and HELO, and in 3xx replies.
    public var status: EnhancedStatus?
    /// The lines of text, at least one. Each is sent with the code and the status.
    public var lines: [String]
    /// The stable reason word of a refusal. It is written in brackets after the text.
    public var reason: String?

    /// A reply with the given lines, at least one.
    public init(_ code: UInt16, _ status: EnhancedStatus? = nil, _ lines: String..., reason: String? = nil) {
        self.init(code, status, lines: lines, reason: reason)
    }

    /// A reply with the given lines, at least one, each without CRLF.
    public init(_ code: UInt16, _ status: EnhancedStatus?, lines: [String], reason: String? = nil) {
        self.code = code
        self.status = status
        self.lines = lines
        self.reason = reason
    }

    /// Whether the reply is not an error: its code is below 400.
    public var isPositive: Bool { code < 400 }

    /// The most octets of text in one line. RFC 5321 section 4.5.3.1.5 limits a whole line to 512 octets.
    static let maximumText = 480
    /// The largest number of octets in a line beside its text and the reason: three numbers of up to five digits, one
    /// number of three digits, and separators.
    private static let maximumFrame = 32

    /// Appends the reply as it is sent.
    ///
    /// Octets outside printable ASCII are written as `?`. So a reply never contains a control character, even if its
    /// text quotes the client.
    public func write(into buffer: inout ByteBuffer) {
        let last = lines.count - 1
        for (index, line) in lines.enumerated() {
            let isLast = index == last
            let reason = isLast ? reason : nil
            let room = Reply.maximumFrame + min(line.utf8.count, Reply.maximumText) + (reason?.utf8.count ?? 0)
            // The reply is written at once, as octets. To append octet by octet, or to make a String for each number,
            // would cost more than the rest of a command.
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { output in
                var writer = OctetWriter(output)
                writer.write(code)
                writer.write(isLast ? UInt8(ascii: " ") : UInt8(ascii: "-"))
                if let status {
                    writer.write(code / 100)
                    writer.write(UInt8(ascii: "."))
                    writer.write(status.subject)
                    writer.write(UInt8(ascii: "."))
                    writer.write(status.detail)
                    writer.write(UInt8(ascii: " "))
                }
                writer.write(line, limit: Reply.maximumText)
                if let reason {
                    writer.write(UInt8(ascii: " "))
                    writer.write(UInt8(ascii: "["))
                    writer.write(reason, limit: reason.utf8.count)
                    writer.write(UInt8(ascii: "]"))
                }
                writer.write(UInt8(ascii: "\r"))
                writer.write(UInt8(ascii: "\n"))
                return writer.count
            }
        }
    }
}

/// Writes octets one after another into memory that has room for them.
private struct OctetWriter {
    private let output: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ output: UnsafeMutableRawBufferPointer) { self.output = output }

    mutating func write(_ octet: UInt8) {
        output[count] = octet
        count += 1
    }

    /// Writes the number in decimal.
    mutating func write(_ number: UInt16) {
        if number >= 10 { write(number / 10) }
        write(UInt8(ascii: "0") + UInt8(number % 10))
    }

    /// Writes the text, with `?` for each octet outside printable ASCII.
    mutating func write(_ text: String, limit: Int) {
        var text = text
        text.withUTF8 { octets in
            for octet in octets.prefix(limit) { write((0x20...0x7E).contains(octet) ? octet : UInt8(ascii: "?")) }
        }
    }
}

extension Reply {
    static let ok = Reply(250, EnhancedStatus(0, 0), "Ok")
    static let senderOK = Reply(250, EnhancedStatus(1, 0), "Ok")
    static let recipientOK = Reply(250, EnhancedStatus(1, 5), "Ok")
    static let startMailInput = Reply(354, nil, "End data with <CR><LF>.<CR><LF>")
    static let bye = Reply(221, EnhancedStatus(0, 0), "Bye")
    static let readyForTLS = Reply(220, EnhancedStatus(0, 0), "Ready to start TLS")

    static let tlsRequired = Reply(
        530, EnhancedStatus(7, 0), "Must issue a STARTTLS command first", reason: "tls-required")
    static let tlsRequiredToAuthenticate = Reply(
        538, EnhancedStatus(7, 11),
        "Encryption is required to authenticate: switch on STARTTLS (or implicit TLS) in the client",
        reason: "tls-required")
    static let authRequired = Reply(
        530, EnhancedStatus(7, 0),
        "Authentication is required: log in with the user name 'apikey' and an API key as password",
        reason: "auth-required")

    /// The relay shuts down and closes the connection.
    public static func shuttingDown(_ hostname: String) -> Reply {
        Reply(421, EnhancedStatus(3, 2), "\(hostname) is shutting down, try again shortly")
    }

    /// The client sent no command within the idle time-out (RFC 5321 section 4.5.3.2.7).
    public static func idleTooLong(_ hostname: String) -> Reply {
        Reply(421, EnhancedStatus(4, 2), "\(hostname) waited too long for the client, closing the connection")
    }

    /// The client did not authenticate in time. `seconds` is how long it was allowed to take.
    public static func authenticationTooSlow(_ hostname: String, seconds: Int, isUnderStress: Bool) -> Reply {
        Reply(
            421, EnhancedStatus(4, 2),
            "\(hostname) allows \(seconds) s to authenticate\(isUnderStress ? " while most connections are in use" : ""),"
                + " closing the connection")
    }

    /// The client sent a message's content below the minimum rate.
    public static func transferTooSlow(_ hostname: String, octetsPerSecond: Int) -> Reply {
        Reply(
            421, EnhancedStatus(4, 2),
            "\(hostname) requires a message to arrive at \(octetsPerSecond) octets a second or more,"
                + " closing the connection")
    }

    /// - Parameter source: the clients that share the limit, such as "one address"; nil when the limit is for all
    ///   clients together.
    public static func tooManyConnections(_ hostname: String, limit: Int, from source: String?) -> Reply {
        Reply(
            421, EnhancedStatus(4, 5),
            source.map { "\(hostname) takes at most \(limit) connections at a time from \($0); close some first" }
                ?? "\(hostname) takes at most \(limit) connections at a time, try again shortly")
    }

    static func tooManyErrors(_ hostname: String) -> Reply {
        Reply(421, EnhancedStatus(7, 0), "\(hostname) has seen too many errors on this connection, closing it")
    }
}
