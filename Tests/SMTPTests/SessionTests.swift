import InternetMessage
import NIOCore
import TestSupport
import Testing

@testable import SMTP

/// A session, written as a dialogue in order. `>` is a line that the client sends. `!` is an event that the driver
/// reports. `<` is one step that the driver must do then; all steps must be listed, and `…` stands for any wording in
/// them. `#` begins a remark.
struct Dialogue: Sendable, CustomTestStringConvertible {
    enum Start: Sendable {
        /// Before any command.
        case plaintext, secure
        /// After EHLO and AUTH.
        case authenticated
    }

    let name: String
    var start = Start.plaintext
    var offersStartTLS = true
    var allowsPlaintextAuthentication = false
    let script: String

    init(_ name: String, _ start: Start, _ script: String) {
        self.name = name
        self.start = start
        self.script = script
    }

    /// A dialogue that begins before TLS.
    init(_ name: String, offersStartTLS: Bool = true, allowsPlaintextAuthentication: Bool = false, _ script: String) {
        self.name = name
        self.offersStartTLS = offersStartTLS
        self.allowsPlaintextAuthentication = allowsPlaintextAuthentication
        self.script = script
    }

    init(_ name: String, _ script: String) { self.init(name, .plaintext, script) }

    var testDescription: String { name }

    private func session() -> Session {
        var session = Session(
            offersStartTLS: offersStartTLS, allowsPlaintextAuthentication: allowsPlaintextAuthentication,
            isSecure: start != .plaintext)
        if start == .authenticated { session.authenticate() }
        return session
    }

    private static func perform(_ event: Substring, on session: inout Session) -> Session.Action? {
        switch event {
        case "connected": return session.connected()
        case "secured":
            session.secured()
            return nil
        case "too long line": return session.receivedTooLongLine(beginning: buffer("MAIL FROM:<xxxxx"))
        case "bare LF": return session.receivedBareLineFeed(line: buffer("NOOP"))
        case "too long HTTP line": return session.receivedTooLongLine(beginning: buffer("POST /xxxxxxxxxx"))
        case "HTTP line with bare LF": return session.receivedBareLineFeed(line: buffer("get / HTTP/1.1"))
        case "authenticated": return session.authenticated()
        case "authentication refused":
            return session.authenticationRefused(
                Reply(535, EnhancedStatus(7, 8), "No such key", reason: "key-unknown"))
        case "authentication throttled":
            return session.authenticationRefused(
                Reply(454, EnhancedStatus(7, 0), "Too many", reason: "auth-throttled"),
                thenClose: Reply(421, EnhancedStatus(7, 0), "Too many", reason: "auth-throttled"))
        case "sender accepted": return session.senderAccepted()
        case "sender refused":
            return session.senderRefused(Reply(553, EnhancedStatus(7, 1), "Not yours", reason: "sender-domain"))
        case "recipient accepted": return session.recipientAccepted()
        case "recipient refused":
            return session.recipientRefused(Reply(530, EnhancedStatus(7, 0), "Revoked", reason: "key-revoked"))
        case "data opened": return session.dataOpened()
        case "data refused":
            return session.dataRefused(
                Reply(451, EnhancedStatus(7, 1), "Slow down, retry in 7 s", reason: "rate-second"))
        case "message accepted":
            return session.messageFinished(Reply(250, EnhancedStatus(0, 0), "Ok: queued as 1"))
        case "message refused":
            return session.messageFinished(Reply(550, EnhancedStatus(6, 0), "No From", reason: "header-from"))
        default: return .reply(Reply(999, nil, "the test names no such event: \(event)"))
        }
    }

    /// Runs the dialogue. Returns a description of the first difference, or nil if there is none.
    func run() -> String? {
        var session = session()
        var pending: [String] = []
        var last = ""
        for raw in script.split(separator: "\n") where !raw.hasPrefix("#") {
            let line = raw.dropFirst(2)
            if raw.hasPrefix("<") {
                guard !pending.isEmpty else { return "'\(last)' causes nothing more, expected: \(line)" }
                let actual = pending.removeFirst()
                guard actual.reads(String(line)) else { return "'\(last)' causes: \(actual)\nexpected: \(line)" }
                continue
            }
            guard pending.isEmpty else { return "'\(last)' also causes: \(pending)" }
            last = String(raw)
            let action =
                raw.hasPrefix(">")
                ? session.received(line: buffer(String(line))) : Self.perform(line, on: &session)
            pending = action?.rendered ?? []
        }
        return pending.isEmpty ? nil : "'\(last)' also causes: \(pending)"
    }
}

extension Session {
    /// A session of a relay that accepts at most 1000 octets and three recipients.
    fileprivate init(offersStartTLS: Bool = true, allowsPlaintextAuthentication: Bool = false, isSecure: Bool) {
        let configuration = Configuration(
            hostname: "relay.test", maximumMessageSize: 1000, maximumRecipients: 3, offersStartTLS: offersStartTLS,
            allowsPlaintextAuthentication: allowsPlaintextAuthentication)
        self.init(configuration: configuration, isSecure: isSecure)
    }

    /// Sends EHLO and AUTH.
    fileprivate mutating func authenticate() {
        _ = received(line: buffer("EHLO client.test"))
        _ = received(line: buffer("AUTH PLAIN AGFwaWtleQBzZXNhbWU="))
        _ = authenticated()
    }
}

@Suite("Session")
struct SessionTests {
    private static func check(_ dialogue: Dialogue) {
        if let problem = dialogue.run() { Issue.record(Comment(rawValue: problem)) }
    }

    // MARK: Parts of many dialogues

    /// EHLO and its reply, which also lists `offers`.
    private static func ehlo(_ offers: String...) -> String {
        let fixed = ["relay.test", "PIPELINING", "8BITMIME", "SIZE 1000", "ENHANCEDSTATUSCODES"]
        let lines = (fixed + offers).map { "< 250-\($0)" }
        return (["> EHLO client.test"] + lines + ["< 250 LIMITS RCPTMAX=3"]).joined(separator: "\n")
    }

    private static let helo = """
        > HELO client.test
        < 250 relay.test
        """
    private static let authenticated = """
        > AUTH PLAIN AGFwaWtleQBzZXNhbWU=
        < authenticate 'apikey' with 'sesame'
        ! authenticated
        < 235 2.7.0 Authentication successful
        """
    private static let authenticationRefused = """
        > AUTH PLAIN AGFwaWtleQBzZXNhbWU=
        < authenticate 'apikey' with 'sesame'
        ! authentication refused
        < 535 5.7.8 No such key [key-unknown]
        """
    private static let senderAccepted = """
        > MAIL FROM:<a@sender.test>
        < check sender <a@sender.test>
        ! sender accepted
        < 250 2.1.0 Ok
        """
    private static let recipientAccepted = """
        > RCPT TO:<b@recipient.test>
        < check recipient <b@recipient.test>
        ! recipient accepted
        < 250 2.1.5 Ok
        """
    private static let dataOpened = """
        > DATA
        < open data
        ! data opened
        < 354 End data with <CR><LF>.<CR><LF>
        < receive data
        """

    private static let tlsRequired = "530 5.7.0 Must issue a STARTTLS command first [tls-required]"
    private static let encryptionRequired = "538 5.7.11 … STARTTLS … implicit TLS … [tls-required]"
    private static let authenticationRequired = "530 5.7.0 … 'apikey' … API key … [auth-required]"
    private static let senderFirst = "503 5.5.1 … MAIL FROM:<address> …"
    private static let tooMany = "421 4.7.0 relay.test … errors …"
    private static let unknownCommand = "500 5.5.2 … unknown …"

    // MARK: Dialogues

    @Test(
        "Before TLS",
        arguments: [
            Dialogue(
                "greeting and EHLO",
                """
                ! connected
                < 220 relay.test ESMTP Hiveku Relay
                \(ehlo("STARTTLS"))
                \(helo)
                > QUIT
                < 221 2.0.0 Bye
                < close
                """),
            Dialogue(
                "commands that need TLS are refused for that reason, whatever their syntax",
                """
                \(ehlo("STARTTLS"))
                > MAIL FROM:<a@sender.test>
                < \(tlsRequired)
                > MAIL FROM:<App <a@sender.test>>
                < \(tlsRequired)
                > MAIL FROM:<a@sender.test> SIZE=999999
                < \(tlsRequired)
                > MAIL FROM:<a@sender.test> RET=HDRS
                < \(tlsRequired)
                > MAIL a@sender.test
                < \(tlsRequired)
                > RCPT TO:<b@recipient.test>
                < \(tlsRequired)
                > RCPT TO:<b@recipient.test> NOTIFY=NEVER
                < \(tlsRequired)
                > DATA now
                < \(tlsRequired)
                """),
            Dialogue(
                "AUTH without TLS, with and without an initial response",
                """
                \(ehlo("STARTTLS"))
                > AUTH PLAIN
                < \(encryptionRequired)
                > AUTH PLAIN AGFwaWtleQBzZXNhbWU=
                < \(encryptionRequired)
                > AUTH LOGIN
                < \(encryptionRequired)
                > AUTH CRAM-MD5
                < \(encryptionRequired)
                """),
            Dialogue(
                "commands that need no TLS",
                """
                > NOOP
                < 250 2.0.0 Ok
                > RSET
                < 250 2.0.0 Ok
                > VRFY someone
                < 252 2.5.2 … not verified …
                > HELP
                < 214-2.0.0 … Hiveku Relay …
                < 214 2.0.0 … STARTTLS … 'apikey' … API key …
                > EXPN list
                < 502 5.5.1 …
                > QUIT
                < 221 2.0.0 Bye
                < close
                """),
            Dialogue(
                "STARTTLS discards all that the client sent before",
                """
                \(ehlo("STARTTLS"))
                > STARTTLS
                < 220 2.0.0 Ready to start TLS
                < start TLS
                ! secured
                > AUTH PLAIN
                < 503 5.5.1 … EHLO …
                \(ehlo("AUTH PLAIN LOGIN"))
                > STARTTLS
                < 503 5.5.1 … encrypted …
                > MAIL FROM:<a@sender.test>
                < \(authenticationRequired)
                """),
            Dialogue(
                "a command between STARTTLS and the handshake closes the connection",
                """
                > STARTTLS
                < 220 2.0.0 Ready to start TLS
                < start TLS
                > NOOP
                < close
                """),
            Dialogue(
                "a port without TLS", offersStartTLS: false,
                """
                \(ehlo())
                > STARTTLS
                < 502 5.5.1 …
                """),
            Dialogue(
                "a network that may authenticate without TLS", allowsPlaintextAuthentication: true,
                """
                \(ehlo("STARTTLS", "AUTH PLAIN LOGIN"))
                > MAIL FROM:<a@sender.test>
                < \(authenticationRequired)
                \(authenticated)
                \(senderAccepted)
                # STARTTLS discards the authentication and the envelope.
                > STARTTLS
                < 220 2.0.0 Ready to start TLS
                < start TLS
                ! secured
                > RCPT TO:<b@recipient.test>
                < \(authenticationRequired)
                """),
        ])
    func beforeTLS(_ dialogue: Dialogue) { Self.check(dialogue) }

    @Test(
        "Authentication",
        arguments: [
            Dialogue(
                "commands that need authentication are refused for that reason", .secure,
                """
                \(ehlo("AUTH PLAIN LOGIN"))
                > MAIL FROM:<a@sender.test>
                < \(authenticationRequired)
                > RCPT TO:b@recipient.test
                < \(authenticationRequired)
                > DATA
                < \(authenticationRequired)
                """),
            Dialogue(
                "PLAIN in two steps; AUTH is not offered again", .secure,
                """
                \(helo)
                > AUTH plain
                < 334 \("")
                > AGFwaWtleQBzZXNhbWU=
                < authenticate 'apikey' with 'sesame'
                ! authenticated
                < 235 2.7.0 Authentication successful
                > AUTH PLAIN AGFwaWtleQBzZXNhbWU=
                < 503 5.5.1 … already authenticated …
                \(ehlo())
                > STARTTLS
                < 503 5.5.1 … encrypted …
                """),
            Dialogue(
                "LOGIN in three steps, and in two", .secure,
                """
                \(helo)
                > AUTH LOGIN
                < 334 VXNlcm5hbWU6
                > YXBpa2V5
                < 334 UGFzc3dvcmQ6
                > c2VzYW1l
                < authenticate 'apikey' with 'sesame'
                ! authentication refused
                < 535 5.7.8 No such key [key-unknown]
                > AUTH LOGIN YXBpa2V5
                < 334 UGFzc3dvcmQ6
                > c2VzYW1l
                < authenticate 'apikey' with 'sesame'
                ! authenticated
                < 235 2.7.0 Authentication successful
                """),
            Dialogue(
                "AUTH that is cancelled, malformed, or of an unknown mechanism", .secure,
                """
                > AUTH PLAIN
                < 503 5.5.1 … EHLO …
                \(helo)
                > AUTH PLAIN
                < 334 \("")
                > *
                < 501 5.7.0 … cancelled …
                > AUTH LOGIN
                < 334 VXNlcm5hbWU6
                > not base64
                < 501 5.5.2 … base64 …
                > AUTH PLAIN YXBpa2V5
                < 501 5.5.2 … PLAIN … NUL … user name … NUL … password …
                > AUTH PLAIN =
                < 501 5.5.2 … PLAIN … NUL … user name … NUL … password …
                > AUTH CRAM-MD5
                < 504 5.5.4 … PLAIN … LOGIN …
                > AUTH
                < 501 5.5.4 … mechanism … PLAIN … LOGIN …
                # The exchange is over: this is a command again.
                > NOOP
                < 250 2.0.0 Ok
                """),
            Dialogue(
                "after a refused AUTH, mail is refused temporarily, with the text of that refusal", .secure,
                """
                \(ehlo("AUTH PLAIN LOGIN"))
                \(authenticationRefused)
                > MAIL FROM:<a@sender.test>
                < 451 4.7.0 No such key [key-unknown]
                > RCPT TO:<b@recipient.test>
                < 451 4.7.0 No such key [key-unknown]
                > DATA
                < 451 4.7.0 No such key [key-unknown]
                \(authenticated)
                > MAIL FROM:<a@sender.test>
                < check sender <a@sender.test>
                """),
            Dialogue(
                "a command during the AUTH exchange is read as a response", .secure,
                """
                \(helo)
                > AUTH LOGIN
                < 334 VXNlcm5hbWU6
                > QUIT
                < 334 UGFzc3dvcmQ6
                > RSET
                < authenticate 'AB\u{13}' with 'E!\u{13}'
                """),
            Dialogue(
                "an invalid line ends the AUTH exchange", .secure,
                """
                \(helo)
                > AUTH LOGIN
                < 334 VXNlcm5hbWU6
                ! too long line
                < 500 5.5.2 … too long …
                > NOOP
                < 250 2.0.0 Ok
                > AUTH LOGIN
                < 334 VXNlcm5hbWU6
                ! bare LF
                < 500 5.5.2 … CRLF … LF … [line-ending]
                > NOOP
                < 250 2.0.0 Ok
                """),
            Dialogue(
                "throttled authentication closes the connection", .secure,
                """
                \(helo)
                > AUTH PLAIN AGFwaWtleQBzZXNhbWU=
                < authenticate 'apikey' with 'sesame'
                ! authentication throttled
                < 454 4.7.0 Too many [auth-throttled]
                < 421 4.7.0 Too many [auth-throttled]
                < close
                > NOOP
                < close
                """),
            Dialogue(
                "AUTH during a transaction is refused", allowsPlaintextAuthentication: true,
                """
                \(helo)
                \(authenticated)
                \(senderAccepted)
                > AUTH PLAIN AGFwaWtleQBzZXNhbWU=
                < 503 5.5.1 … already authenticated …
                """),
        ])
    func authentication(_ dialogue: Dialogue) { Self.check(dialogue) }

    @Test(
        "Transactions",
        arguments: [
            Dialogue(
                "two messages on one connection", .authenticated,
                """
                > MAIL FROM:<a@sender.test> SIZE=1000
                < check sender <a@sender.test>
                ! sender accepted
                < 250 2.1.0 Ok
                \(recipientAccepted)
                \(dataOpened)
                ! message accepted
                < 250 2.0.0 Ok: queued as 1
                > MAIL FROM:<>
                < check sender <>
                ! sender accepted
                < 250 2.1.0 Ok
                > RCPT TO:<c@recipient.test>
                < check recipient <c@recipient.test>
                ! recipient accepted
                < 250 2.1.5 Ok
                \(dataOpened)
                ! message refused
                < 550 5.6.0 No From [header-from]
                # A refused message has ended its transaction too.
                > DATA
                < \(senderFirst)
                > QUIT
                < 221 2.0.0 Bye
                < close
                """),
            Dialogue(
                "commands out of order are refused", .authenticated,
                """
                > RCPT TO:<b@recipient.test>
                < \(senderFirst)
                > DATA
                < \(senderFirst)
                \(senderAccepted)
                > MAIL FROM:<a@sender.test>
                < 503 5.5.1 … sender … RSET …
                > DATA
                < 554 5.5.1 … recipients …
                # The sender of the first MAIL FROM is still valid.
                \(recipientAccepted)
                """),
            Dialogue(
                "RSET and EHLO end the transaction", .authenticated,
                """
                \(senderAccepted)
                > RSET
                < end transaction
                < 250 2.0.0 Ok
                > RCPT TO:<b@recipient.test>
                < \(senderFirst)
                \(senderAccepted)
                \(recipientAccepted)
                > HELO client.test
                < end transaction
                < 250 relay.test
                > DATA
                < \(senderFirst)
                # The session is still authenticated after both.
                > MAIL FROM:<a@sender.test>
                < check sender <a@sender.test>
                """),
            Dialogue(
                "a refused sender begins no transaction", .authenticated,
                """
                > MAIL FROM:<a@other.test>
                < check sender <a@other.test>
                ! sender refused
                < 553 5.7.1 Not yours [sender-domain]
                > RCPT TO:<b@recipient.test>
                < \(senderFirst)
                \(senderAccepted)
                """),
            Dialogue(
                "a refused recipient is not part of the envelope", .authenticated,
                """
                \(senderAccepted)
                > RCPT TO:<b@recipient.test>
                < check recipient <b@recipient.test>
                ! recipient refused
                < 530 5.7.0 Revoked [key-revoked]
                # DATA is refused for the same reason: the key is revoked.
                > DATA
                < 530 5.7.0 Revoked [key-revoked]
                """),
            Dialogue(
                "SIZE over the limit", .authenticated,
                """
                > MAIL FROM:<a@sender.test> SIZE=1001
                < 552 5.3.4 … 1000 octets … [size]
                > RCPT TO:<b@recipient.test>
                < \(senderFirst)
                > MAIL FROM:<a@sender.test> SIZE=999999999999999999
                < 552 5.3.4 … 1000 octets … [size]
                > MAIL FROM:<a@sender.test> SIZE=1000
                < check sender <a@sender.test>
                """),
            Dialogue(
                "invalid addresses and parameters", .authenticated,
                """
                > MAIL FROM:<App <a@sender.test>>
                < 501 5.1.7 … display name … <user@example.com> … [address]
                \(senderAccepted)
                > RCPT TO:<J\u{F6}rg@recipient.test>
                < 553 5.6.7 … non-ASCII … SES … xn-- … [address]
                > RCPT TO:<b@@recipient.test>
                < 501 5.1.3 … no domain … @ … [address]
                > RCPT TO:<>
                < 501 5.1.3 … null … <> … [address]
                > RCPT TO:<b@recipient.test> NOTIFY=NEVER
                < 555 5.5.4 … NOTIFY … RCPT … [parameter]
                """),
            Dialogue(
                "a temporary refusal of DATA keeps the envelope", .authenticated,
                """
                \(senderAccepted)
                \(recipientAccepted)
                > DATA
                < open data
                ! data refused
                < 451 4.7.1 Slow down, retry in 7 s [rate-second]
                \(dataOpened)
                """),
            Dialogue(
                "a line that the driver passes on while a decision is pending closes the connection", .authenticated,
                """
                > MAIL FROM:<a@sender.test>
                < check sender <a@sender.test>
                > RCPT TO:<b@recipient.test>
                < close
                > NOOP
                < close
                """),
        ])
    func transactions(_ dialogue: Dialogue) { Self.check(dialogue) }

    private static func repeated(_ line: String, _ reply: String, count: Int = 9) -> String {
        String(repeating: "> \(line)\n< \(reply)\n", count: count)
    }

    @Test(
        "Errors",
        arguments: [
            Dialogue(
                "the tenth error closes the connection",
                repeated("FOO", unknownCommand)
                    + """
                    > FOO
                    < \(unknownCommand)
                    < \(tooMany)
                    < close
                    > NOOP
                    < close
                    """),
            Dialogue(
                "errors of all kinds are counted together",
                """
                > FOO
                < \(unknownCommand)
                > MAIL FROM:<a@sender.test>
                < \(tlsRequired)
                > AUTH PLAIN
                < \(encryptionRequired)
                > EHLO
                < 501 5.5.4 … host name … EHLO …
                ! too long line
                < 500 5.5.2 … too long …
                ! bare LF
                < 500 5.5.2 … CRLF … LF … [line-ending]
                > EXPN list
                < 502 5.5.1 …
                > DATA now
                < \(tlsRequired)
                > NOOP
                < 250 2.0.0 Ok
                > RCPT TO:b
                < \(tlsRequired)
                > VRFY
                < 501 5.5.4 … VRFY … address …
                < \(tooMany)
                < close
                """),
            Dialogue(
                "failed authentications count as errors", .secure,
                "\(helo)\n"
                    + String(
                        repeating: """
                            \(authenticationRefused)

                            """, count: 9)
                        + """
                        \(authenticationRefused)
                        < \(tooMany)
                        < close
                        """),
            Dialogue(
                "an accepted message resets the count of errors", .authenticated,
                repeated("FOO", unknownCommand)
                    + """
                    \(senderAccepted)
                    \(recipientAccepted)
                    \(dataOpened)
                    ! message accepted
                    < 250 2.0.0 Ok: queued as 1

                    """
                    + repeated("FOO", unknownCommand)
                        + """
                        > FOO
                        < \(unknownCommand)
                        < \(tooMany)
                        < close
                        """),
            Dialogue(
                "mistyped addresses do not count as protocol errors", .authenticated,
                "\(senderAccepted)\n"
                    + repeated("RCPT TO:<b>", "501 5.1.3 … @domain … [address]", count: 30)
                    + "> NOOP\n< 250 2.0.0 Ok"),
            Dialogue(
                "an HTTP request gets no answer",
                """
                > GET / HTTP/1.1
                < close
                > Host: relay.test
                < close
                """),
            Dialogue(
                "an HTTP request line longer than any command gets no answer",
                """
                > POST /\(String(repeating: "x", count: 3000)) HTTP/1.1
                < close
                """),
            Dialogue("an HTTP request line too long to be read gets no answer", "! too long HTTP line\n< close"),
            Dialogue("an HTTP request line that ends in a bare LF gets no answer", "! HTTP line with bare LF\n< close"),
            Dialogue("HTTP over TLS gets no answer", .authenticated, "> POST /v1/email/send HTTP/1.1\n< close"),
        ])
    func errors(_ dialogue: Dialogue) { Self.check(dialogue) }

    @Test("Longer lines are allowed while the client may still authenticate")
    func lineLimits() {
        var session = Session(isSecure: true)
        #expect(session.lineLimit == 12_288)
        _ = session.received(line: buffer("EHLO client.test"))
        // Only AUTH may use the longer limit.
        let long = buffer("NOOP " + String(repeating: "x", count: 2042))
        #expect(long.readableBytes + 2 == 2049)
        #expect(session.received(line: long).rendered.reads(["500 5.5.2 … too long …"]))
        #expect(
            session.received(line: buffer("NOOP " + String(repeating: "x", count: 2041))).rendered == ["250 2.0.0 Ok"])
        let secret = String(repeating: "QUJD", count: 2500)
        #expect(
            session.received(line: buffer("AUTH LOGIN \(secret)")).rendered == ["334 UGFzc3dvcmQ6"])
        #expect(session.lineLimit == 12_288)
        guard case .authenticate(let credentials) = session.received(line: buffer(secret)) else {
            Issue.record("the exchange should be complete")
            return
        }
        #expect(credentials.password.count == 7500)
        _ = session.authenticated()
        #expect(session.lineLimit == 2048)
        #expect(session.isAuthenticated && session.isSecure && session.clientName == "client.test")
    }

    @Test("TLS begins a new session")
    func secured() {
        var session = Session(allowsPlaintextAuthentication: true, isSecure: false)
        session.authenticate()
        #expect(!session.isInTransaction)
        _ = session.received(line: buffer("MAIL FROM:<a@sender.test>"))
        #expect(!session.isInTransaction)
        _ = session.senderAccepted()
        #expect(session.isInTransaction)
        session.secured()
        #expect(!session.isInTransaction && session.clientName == nil && !session.isAuthenticated && session.isSecure)
    }
}
