import InternetMessage
import TestSupport
import Testing

@testable import MessageComposition

@Suite("Defects of an email")
struct DefectTests {
    private static let controls = ["\r\nBcc: x@x.example", "\n", "\r", "\0", "\u{B}", "\u{7F}", "\u{85}", "\u{2028}"]

    private static func places(_ change: (inout Email) -> Void) -> [EmailDefect.Place] {
        let defects = sampleEmail(change).defects()
        for defect in defects {
            #expect(defect.explanation.utf8.allSatisfy { (0x20...0x7E).contains($0) })
            #expect(!defect.explanation.hasSuffix("."))
        }
        return defects.map(\.place)
    }

    private static func file(_ name: String, type: String? = nil, id: String? = nil) -> Email.Attachment {
        Email.Attachment(filename: name, contentType: type, contentID: id, content: base64("QUJD"))
    }

    @Test("A good email has no defect")
    func good() {
        #expect(Self.places { _ in } == [])
        #expect(Self.places { $0.subject = "" } == [])
        #expect(Self.places { $0.text = "" } == [])
        #expect(Self.places { $0.subject = "a\tb" } == [])
        #expect(Self.places { $0.text = "lone\rCR, tab\t, \u{B}" } == [])
    }

    @Test("All defects are reported at once, each with its place")
    func together() {
        let places = Self.places {
            $0.from.displayName = "A\nB"
            $0.to = []
            $0.cc = [mailbox("c@x.example"), Mailbox(displayName: "=?x", address: mailbox("c@x.example").address)]
            $0.bcc = [Mailbox(displayName: "\0", address: mailbox("c@x.example").address)]
            $0.replyTo = [Mailbox(displayName: "\r", address: mailbox("c@x.example").address)]
            $0.subject = "a\r\nb"
            $0.text = nil
            $0.attachments = [Self.file("", type: "x", id: "<a>")]
            $0.headers = [.init(name: "Date", value: "x\n")]
        }
        #expect(
            places == [
                .from, .recipients, .cc(1), .bcc(0), .replyTo(0), .subject, .body, .attachment(0, .filename),
                .attachment(0, .contentType), .attachment(0, .contentID), .header("Date"), .header("Date"),
            ])
    }

    @Test("No value brings a line end into the header", arguments: controls)
    func injection(control: String) {
        #expect(Self.places { $0.subject = "a\(control)b" } == [.subject])
        #expect(Self.places { $0.from.displayName = "a\(control)b" } == [.from])
        #expect(Self.places { $0.to[0].displayName = "a\(control)b" } == [.to(0)])
        #expect(Self.places { $0.headers = [.init(name: "X-A", value: "a\(control)b")] } == [.header("X-A")])
        let name = "X-A\(control)"
        #expect(Self.places { $0.headers = [.init(name: name, value: "a")] } == [.header(name)])
        #expect(Self.places { $0.attachments = [Self.file("a\(control)b")] } == [.attachment(0, .filename)])
        #expect(
            Self.places { $0.attachments = [Self.file("a", type: "text/plain\(control)")] }
                == [.attachment(0, .contentType)])
        #expect(
            Self.places { $0.attachments = [Self.file("a", type: "text/plain; x=\"\(control)\"")] }
                == [.attachment(0, .contentType)])
        #expect(
            Self.places { $0.attachments = [Self.file("a", id: "a\(control)")] } == [.attachment(0, .contentID)])
    }

    @Test("A NUL in a text is a defect")
    func null() {
        #expect(Self.places { $0.text = "a\0b" } == [.text])
        #expect(Self.places { $0.html = "a\0b" } == [.html])
    }

    @Test("The address of the author must have a domain name")
    func literal() {
        #expect(Self.places { $0.from = mailbox("a@[192.0.2.1]") } == [.from])
        #expect(Self.places { $0.to = [mailbox("a@[192.0.2.1]")] } == [])
    }

    @Test(
        "An application must not set a header that the relay, SES or a mail server writes",
        arguments: [
            "From", "to", "CC", "Bcc", "Sender", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version",
            "Content-Type", "content-language", "Received", "Return-Path", "DKIM-Signature", "ARC-Seal",
            "Authentication-Results", "X-SES-CONFIGURATION-SET", "Hiveku-Tags", "Resent-From",
        ])
    func reserved(name: String) {
        #expect(Self.places { $0.headers = [.init(name: name, value: "x")] } == [.header(name)])
    }

    @Test(
        "The explanation of a refused header names the field of the email to use instead",
        arguments: [
            ("From", "from"), ("to", "to"), ("CC", "cc"), ("Bcc", "bcc"), ("Reply-To", "reply_to"),
            ("Subject", "subject"), ("Hiveku-Tags", "tags"), ("Hiveku-Scheduled-At", "scheduled_at"),
            ("hiveku-idempotency-key", "idempotency_key"), ("Date", nil), ("Sender", nil), ("Hiveku-Other", nil),
        ] as [(String, String?)])
    func replacement(name: String, field: String?) {
        let fault = HeaderFieldRule.fault(inName: name.utf8.map(\.asciiLowercased))
        if let field {
            #expect(fault.mentions("header", "\"\(field)\""))
        } else {
            #expect(fault.mentions("header", "leave"))
            #expect(fault?.contains("\"") == false, "the explanation must not name a field")
        }
    }

    @Test(
        "A header must have a valid name", arguments: ["", "a b", "a:", "ä", "a\t", String(repeating: "a", count: 77)])
    func names(name: String) {
        #expect(Self.places { $0.headers = [.init(name: name, value: "x")] } == [.header(name)])
    }

    @Test("Headers must be within their limits")
    func headers() {
        func header(_ name: String, _ value: String) -> [EmailDefect.Place] {
            Self.places { $0.headers = [.init(name: name, value: value)] }
        }
        #expect(header("X-A", "") == [])
        #expect(header("X-A", String(repeating: "a ", count: 4096)) == [])
        #expect(header("X-A", String(repeating: "a ", count: 4097)) == [.header("X-A")])
        #expect(header("X-A", String(repeating: "a", count: 900)) == [])
        #expect(header("X-A", String(repeating: "a", count: 901)) == [.header("X-A")])
        #expect(header("X-A", String(repeating: "a  ", count: 400)) == [.header("X-A")])
        #expect(header("X-A", String(repeating: "ä", count: 4000)) == [])
        #expect(header("List-Unsubscribe", "<https://x.example/ä>") == [.header("List-Unsubscribe")])
        #expect(
            Self.places { $0.headers = ["X-A", "x-a"].map { .init(name: $0, value: "") } } == [.header("x-a")])
        #expect(
            Self.places { $0.headers = (0...100).map { .init(name: "X-\($0)", value: "") } } == [.headers])
        #expect(
            Self.places {
                $0.headers = (0..<100).map { .init(name: "X-\($0)", value: String(repeating: "ü", count: 4000)) }
            } == [.headerSection])
    }

    @Test("The subject must be within its limit")
    func subject() {
        #expect(Self.places { $0.subject = String(repeating: "a", count: 4096) } == [])
        #expect(Self.places { $0.subject = String(repeating: "a", count: 4097) } == [.subject])
    }

    @Test(
        "The name of a file must have no path",
        arguments: [
            ("report.pdf", true), ("Ü 山.pdf", true), ("a\"b'%.txt", true), ("a/b", false), ("..\\b", false),
            ("..", false), (".", false), ("=?utf-8?q?a?=", false), (".profile", true), (" a", false), ("a ", false),
            ("a\u{3000}", false),
            ("a\u{202E}fdp.exe", false), (String(repeating: "a", count: 255), true),
            (String(repeating: "a", count: 256), false),
        ])
    func filenames(name: String, isGood: Bool) {
        #expect(Self.places { $0.attachments = [Self.file(name)] } == (isGood ? [] : [.attachment(0, .filename)]))
    }

    @Test(
        "A content type must be a media type that a file can have",
        arguments: [
            ("text/plain", "text/plain"), ("Image/PNG", "Image/PNG"),
            ("text/csv; charset=utf-8", "text/csv; charset=utf-8"),
            ("text/calendar;method=REQUEST ; charset=\"utf-8\"", "text/calendar; method=REQUEST; charset=\"utf-8\""),
            ("a/b; x=\"; boundary=c\"", "a/b; x=\"; boundary=c\""), ("", nil), ("text", nil), ("text/", nil),
            ("/plain", nil), ("text/plain/x", nil), ("text /plain", nil), ("text/plain;", nil), ("text/plain; x", nil),
            ("text/plain; x=", nil), ("text/plain; x=\"a", nil), ("text/plain; x=\"a\"b", nil),
            ("text/plain; x=\"a\\\"b\"", nil), ("text/plain; x=ä", nil), ("multipart/mixed", nil),
            ("message/rfc822", nil), ("Message/Partial", nil), ("a/b; boundary=x", nil), ("a/b; NAME=x", nil),
            ("a/b; name*=x", nil), ("a/b; x=1; X=2", nil), ("text/plain, text/html", nil), ("text/plain (x)", nil),
            ("a/b" + String(repeating: "; x=1", count: 60), nil),
        ] as [(String, String?)])
    func contentTypes(type: String, written: String?) {
        #expect((try? MediaType(parsing: type))?.words.joined(separator: " ") == written)
        let expected: [EmailDefect.Place] = written == nil ? [.attachment(0, .contentType)] : []
        #expect(Self.places { $0.attachments = [Self.file("a", type: type)] } == expected)
    }

    @Test("A file without a content type gets its type from its ending")
    func endings() {
        #expect(MediaType(ofFile: "a.PDF").words == ["application/pdf"])
        #expect(MediaType(ofFile: "pdf").words == ["application/octet-stream"])
        #expect(MediaType(ofFile: "a.pdf.x").words == ["application/octet-stream"])
        #expect(MediaType(ofFile: "日本語.jpeg").words == ["image/jpeg"])
    }

    @Test(
        "A content identifier must be one word",
        arguments: [
            ("logo", true), ("image001.png@01D9ABCD.123", true), ("", false), ("<a>", false), ("a b", false),
            ("ä", false), ("a\"b", false), ("a,b", false), (String(repeating: "a", count: 201), false),
        ])
    func identifiers(identifier: String, isGood: Bool) {
        #expect(
            Self.places { $0.attachments = [Self.file("a", id: identifier)] }
                == (isGood ? [] : [.attachment(0, .contentID)]))
    }

    @Test("The number of attachments is limited, and no two files may have the same identifier")
    func attachments() {
        #expect(Self.places { $0.attachments = (0..<100).map { _ in Self.file("a") } } == [])
        #expect(Self.places { $0.attachments = (0...100).map { _ in Self.file("a") } } == [.attachments])
        #expect(
            Self.places { $0.attachments = [Self.file("a", id: "x"), Self.file("b", id: "x")] }
                == [.attachment(1, .contentID)])
    }
}
