import NIOCore
import TestSupport
import Testing

@testable import SMTP

@Suite("Commands")
struct CommandTests {
    // The expected results: the parsed command, or the reply to it. In a reply, `…` stands for any wording.
    private static let name = "501 5.1.7 … display name … <user@example.com> … [address]"
    private static let blank = "501 5.1.7 … blank … <user@example.com> … [address]"
    private static let nonASCII = "553 5.6.7 … non-ASCII … SES … xn-- … [address]"
    private static let unknown = "500 5.5.2 … unknown …"
    private static let control = "501 5.5.4 … control character …"
    private static func mailParameter(_ name: String) -> String {
        "555 5.5.4 … \(name) … MAIL … SIZE … BODY … AUTH … [parameter]"
    }
    private static func recipientParameter(_ name: String) -> String {
        "555 5.5.4 … parameter \(name) … RCPT … [parameter]"
    }
    private static let noArgument = "501 5.5.4 … no argument …"
    private static let hello = "501 5.5.4 … host name … EHLO …"
    private static let mechanism = "501 5.5.4 … mechanism … PLAIN … LOGIN …"
    private static let size = "501 5.5.4 … SIZE= … number …"
    private static let body = "501 5.5.4 … BODY= … 7BIT … 8BITMIME …"
    private static let senderIdentity = "501 5.5.4 … AUTH= … address … <> …"
    private static let mailForm = "501 5.5.4 … MAIL FROM:<address> …"
    private static let recipientForm = "501 5.5.4 … RCPT TO:<address> …"

    @Test(
        "Verbs",
        arguments: [
            ("EHLO client.example.com", "EHLO client.example.com"), ("ehlo client", "EHLO client"),
            ("HELO client", "HELO client"), ("EhLo  client  ", "EHLO client"),
            ("EHLO [192.0.2.1]", "EHLO [192.0.2.1]"), ("EHLO [IPv6:2001:db8::1]", "EHLO [IPv6:2001:db8::1]"),
            // Characters that could have a meaning in a trace field are replaced.
            ("EHLO my pc", "EHLO my?pc"), ("EHLO a(b)c;d", "EHLO a?b?c?d"), (#"EHLO a<b>"c""#, "EHLO a?b??c?"),
            (#"EHLO b\u{FC}cher"#, "EHLO b??cher"), ("EHLO my_pc", "EHLO my_pc"),
            ("EHLO", hello),
            ("HELO ", "501 5.5.4 … host name … HELO …"),
            ("EHLO " + String(repeating: "a", count: 255), "EHLO " + String(repeating: "a", count: 255)),
            ("EHLO " + String(repeating: "a", count: 256), hello),
            ("STARTTLS", "STARTTLS"), ("starttls ", "STARTTLS"), ("STARTTLS now", noArgument),
            ("DATA", "DATA"), ("Data", "DATA"), ("DATA <x>", noArgument),
            ("RSET", "RSET"), ("RSET x", noArgument), ("QUIT", "QUIT"), ("quit", "QUIT"), ("QUIT now", noArgument),
            ("NOOP", "NOOP"), ("NOOP anything goes", "NOOP"), ("HELP", "HELP"), ("HELP MAIL", "HELP"),
            ("VRFY user", "VRFY"), ("VRFY", "501 5.5.4 … VRFY … address …"),
            ("EXPN list", "502 5.5.1 …"), ("BDAT 10 LAST", "502 5.5.1 …"),
            ("", unknown), (" ", unknown), (" EHLO x", unknown), ("EHLOX x", unknown), ("EHL x", unknown),
            ("STARTTLSX", unknown), ("STARTTLSSTARTTLS", unknown), (#"MAIL\tFROM:<a@b.example>"#, unknown),
            (#"\u{16}\u{3}\u{1}"#, unknown), ("Subject: hello", unknown), (#"\u{E9}HLO x"#, unknown),
            (#"EHLO a\tb"#, control), (#"NOOP \0"#, control), (#"QUIT\r"#, unknown), (#"NOOP x\r"#, control),
            (#"MAIL FROM:<a@b.example>\u{7F}"#, control), (#"\0EHLO x"#, control),
            ("GET / HTTP/1.1", "HTTP"), ("POST /x HTTP/1.1", "HTTP"), ("get /", "HTTP"),
            ("CONNECT a:25 HTTP/1.1", "HTTP"),
            ("PRI * HTTP/2.0", "HTTP"), ("OPTIONS * HTTP/1.1", "HTTP"), ("DELETE /", "HTTP"), ("PUT /", "HTTP"),
            ("HEAD /", "HTTP"), ("PATCH /", "HTTP"), ("TRACE /", "HTTP"), (#"GET /\u{1}"#, "HTTP"), ("GETX /", unknown),
        ])
    func verbs(line: String, expected: String) {
        #expect(Command.parse(ByteBuffer(bytes: octets(line))).rendered.reads(expected))
    }

    @Test(
        "AUTH",
        arguments: [
            ("AUTH PLAIN", "AUTH PLAIN without initial response"),
            ("auth login", "AUTH LOGIN without initial response"),
            ("AUTH PLAIN AGEAYg==", "AUTH PLAIN 'AGEAYg=='"), ("AUTH PLAIN   AGEAYg==  ", "AUTH PLAIN 'AGEAYg=='"),
            ("AUTH LOGIN =", "AUTH LOGIN '='"), ("AUTH LOGIN a b", "AUTH LOGIN 'a b'"),
            ("AUTH XOAUTH2 x", "AUTH XOAUTH2 'x'"), ("AUTH PLAIN ", "AUTH PLAIN without initial response"),
            ("AUTH", mechanism),
            ("AUTH ABCDEFGHIJKLMNOPQRSTU", mechanism),
            ("AUTH=PLAIN", unknown),
        ])
    func auth(line: String, expected: String) {
        #expect(Command.parse(ByteBuffer(bytes: octets(line))).rendered.reads(expected))
    }

    @Test(
        "MAIL",
        arguments: [
            ("MAIL FROM:<a@b.example>", "MAIL <a@b.example>"), ("mail from:<a@B.Example>", "MAIL <a@b.example>"),
            ("MAIL From: <A@b.example>", "MAIL <A@b.example>"), ("MAIL  FROM:<a@b.example>  ", "MAIL <a@b.example>"),
            ("MAIL FROM:<>", "MAIL <>"), ("MAIL FROM: <> SIZE=1", "MAIL <> of 1 octets"),
            ("MAIL FROM:<a@b.example> SIZE=0", "MAIL <a@b.example> of 0 octets"),
            ("MAIL FROM:<a@b.example> size=12345", "MAIL <a@b.example> of 12345 octets"),
            ("MAIL FROM:<a@b.example>  SIZE=12  BODY=8BITMIME", "MAIL <a@b.example> of 12 octets"),
            ("MAIL FROM:<a@b.example> BODY=7bit", "MAIL <a@b.example>"),
            ("MAIL FROM:<a@b.example> AUTH=<>", "MAIL <a@b.example>"),
            ("MAIL FROM:<a@b.example> AUTH=a+40b.example SIZE=7", "MAIL <a@b.example> of 7 octets"),
            ("MAIL FROM:<a@b.example> SIZE=999999999999999999", "MAIL <a@b.example> of 999999999999999999 octets"),
            ("MAIL FROM:<a@b.example> SIZE=9999999999999999999", size),
            ("MAIL FROM:<a@b.example> SIZE=", size),
            ("MAIL FROM:<a@b.example> SIZE", size),
            ("MAIL FROM:<a@b.example> SIZE=-1", size),
            ("MAIL FROM:<a@b.example> SIZE=1k", size),
            ("MAIL FROM:<a@b.example> SIZE=1=2", size),
            ("MAIL FROM:<a@b.example> BODY=BINARYMIME", body),
            ("MAIL FROM:<a@b.example> BODY", body),
            ("MAIL FROM:<a@b.example> SMTPUTF8", mailParameter("SMTPUTF8")),
            ("MAIL FROM:<a@b.example> RET=FULL", mailParameter("RET")),
            ("MAIL FROM:<a@b.example> AUTH=", senderIdentity),
            ("MAIL FROM:<a@b.example> AUTH", senderIdentity),
            ("MAIL FROM:<a@b.example> foo", mailParameter("foo")),
            ("MAIL", mailForm),
            ("MAIL a@b.example", mailForm),
            ("MAIL FROM <a@b.example>", mailForm),
            ("MAIL FROM :<a@b.example>", mailForm),
            ("MAIL TO:<a@b.example>", mailForm),
            ("MAIL FROM:", "501 5.1.7 … missing … [address]"),
            ("MAIL FROM:a@b.example", "MAIL <a@b.example>"),
            ("MAIL FROM: a@b.example SIZE=1", "MAIL <a@b.example> of 1 octets"), ("MAIL FROM:< a@b.example >", blank),
            ("MAIL FROM:<@relay.example,@other.example:a@b.example>", "MAIL <a@b.example>"),
            ("MAIL FROM:<@relay.example:>", "501 5.1.7 … nothing … @ … [address]"),
            ("MAIL FROM:<@relay.example a@b.example>", "501 5.1.7 … source route … [address]"),
            (#"MAIL FROM:<"a b"@c.example>"#, #"MAIL <"a b"@c.example>"#),
            (#"MAIL FROM:<"a\\"> <b"@c.example> SIZE=5"#, #"MAIL <"a\"> <b"@c.example> of 5 octets"#),
            (#"MAIL FROM:<"plain"@c.example>"#, "MAIL <plain@c.example>"),
            ("MAIL FROM:<user@[192.0.2.1]>", "MAIL <user@[192.0.2.1]>"),
            (#"MAIL FROM:<J\u{F6}rg@b.example>"#, nonASCII), (#"MAIL FROM:<a@b\u{FC}cher.example>"#, nonASCII),
            (#"MAIL FROM:J\u{F6}rg@b.example"#, nonASCII),
            ("MAIL FROM:<a@b.example>SIZE=1", "501 5.1.7 … space … parameters … [address]"),
            ("MAIL FROM:<a@b.example", "501 5.1.7 … closing … bracket … [address]"),
            ("MAIL FROM:<a>", "501 5.1.7 … @domain … [address]"),
            ("MAIL FROM:<a b@c.example>", "501 5.1.7 … local part … quotes … [address]"),
            ("MAIL FROM:< a@c.example>", blank), ("MAIL FROM:<App <a@c.example>>", name),
            ("MAIL FROM:<a@c.example.>", "501 5.1.7 … domain … ends … dot … [address]"),
            ("MAIL FROM:<a..b@c.example>", "501 5.1.7 … local part … two dots … [address]"),
            (
                "MAIL FROM:<" + String(repeating: "a", count: 65) + "@b.example>",
                "501 5.1.7 … 64 … 253 … 254 … [address]"
            ),
        ])
    func mail(line: String, expected: String) {
        #expect(Command.parse(ByteBuffer(bytes: octets(line))).rendered.reads(expected))
    }

    @Test("Text that cannot be the name of a parameter is not quoted")
    func parameterWithoutName() {
        func reply(to parameter: String) -> String {
            Command.parse(ByteBuffer(bytes: octets("MAIL FROM:<a@b.example> " + parameter))).rendered
        }
        let expected = reply(to: "=")
        #expect(expected.reads("555 5.5.4 … MAIL … SIZE … BODY … AUTH … [parameter]"))
        #expect(!expected.contains("  "))
        #expect(reply(to: #"\u{E9}=1"#) == expected)
    }

    @Test(
        "RCPT",
        arguments: [
            ("RCPT TO:<a@b.example>", "RCPT <a@b.example>"), ("rcpt to: <a@b.example> ", "RCPT <a@b.example>"),
            ("RCPT TO:<@relay.example:a@b.example>", "RCPT <a@b.example>"),
            (#"RCPT TO:<"a@b"@c.example>"#, #"RCPT <"a@b"@c.example>"#),
            ("RCPT TO:<a@[IPv6:2001:DB8::1]>", "RCPT <a@[IPv6:2001:db8::1]>"),
            ("RCPT TO:<a@b.example> NOTIFY=NEVER", recipientParameter("NOTIFY")),
            ("RCPT TO:<a@b.example> x", recipientParameter("x")),
            ("RCPT TO:<>", "501 5.1.3 … null … <> … [address]"),
            ("RCPT TO:", "501 5.1.3 … missing … [address]"),
            ("RCPT TO:<postmaster>", "501 5.1.3 … @domain … [address]"),
            ("RCPT TO:a@b.example", "RCPT <a@b.example>"), ("RCPT TO:a@b.example x", recipientParameter("x")),
            ("RCPT TO:<a@b_c.example>", "501 5.1.3 … domain … host name … [address]"),
            (#"RCPT TO:<J\u{F6}rg@b.example>"#, nonASCII),
            ("RCPT FROM:<a@b.example>", recipientForm),
            ("RCPT", recipientForm),
            ("RCPT TO:<a@b.example>,<c@d.example>", "501 5.1.3 … space … parameters … [address]"),
        ])
    func recipients(line: String, expected: String) {
        #expect(Command.parse(ByteBuffer(bytes: octets(line))).rendered.reads(expected))
    }

    @Test("Octets that are not UTF-8 get a reply and cause no crash")
    func rawOctets() {
        var generator = SeededGenerator(seed: 21)
        let starts = ["", "MAIL FROM:<", "RCPT TO:<", "EHLO ", "AUTH PLAIN ", "MAIL FROM:<a@b.example> SIZE="].map {
            Array($0.utf8)
        }
        for round in 0..<3000 {
            let tail = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            let line = starts[round % starts.count] + tail
            switch Command.parse(ByteBuffer(bytes: line)) {
            case .invalid(let reply), .invalidEnvelope(let reply): #expect((500...555).contains(reply.code))
            case .valid: break
            }
        }
    }
}
