import TestSupport
import Testing

@testable import InternetMessage

/// A refusal of SES that its documentation or a public report quotes, and what the relay does before it answers 250.
private struct SESRefusal: Sendable, CustomTestStringConvertible {
    enum Relay: Sendable {
        /// The message is refused, with this kind of rejection.
        case refuses(kind: String, header: String)
        /// The message is accepted, and the part that SES would refuse is removed: this text is not in the message that
        /// goes to SES.
        case leavesOut(String, header: String)
        /// The address of the envelope is refused.
        case refusesAddress(String)
        /// The message is accepted, because nothing in it shows that SES will refuse it. The text says why.
        case cannotKnow(String, header: String)
    }

    var quote: String
    /// The document or the report that quotes the refusal.
    var source: String
    var relay: Relay

    var testDescription: String { quote }

    init(_ quote: String, _ source: String, _ relay: Relay) {
        self.quote = quote
        self.source = source
        self.relay = relay
    }
}

@Suite("Refusals of SES that are on record")
struct SESRefusalTests {
    private static let from = #"From: app@shop.example\r\n"#

    private static let all: [SESRefusal] = [
        // Addresses.
        SESRefusal(
            "Missing final '@domain'", "github.com/smartinez87/exception_notification/issues/132",
            .refuses(kind: "address", header: from + #"To: Facilities Team\r\n"#)),
        SESRefusal(
            "Missing final '@domain' (an empty field)", "github.com/anymail/django-anymail/issues/281",
            .leavesOut("To:", header: from + #"To: \r\n"#)),
        SESRefusal(
            "Missing final '@domain' (From)", "github.com/smartinez87/exception_notification/issues/132",
            .refuses(kind: "from", header: #"From: Info\r\n"#)),
        SESRefusal(
            "Missing final '@domain' (an encoded address)", "stackoverflow.com/questions/21305454",
            .refuses(kind: "address", header: from + #"To: =?UTF-8?B?dXNlckBleGFtcGxlLm5ldA==?=\r\n"#)),
        SESRefusal(
            "Illegal semicolon, not in group", "github.com/open-falcon/mail-provider/issues/30",
            .refuses(kind: "address", header: from + #"To: a@x.example;b@x.example\r\n"#)),
        SESRefusal(
            "Missing '\"'", "github.com/mageplaza/magento-2-smtp/issues/265",
            .refuses(kind: "address", header: from + #"To: "Test <u@x.example>\r\n"#)),
        SESRefusal(
            "Extra route-addr", "github.com/arithmetric/aws-lambda-ses-forwarder/pull/57",
            .refuses(kind: "address", header: from + #"Reply-To: A <a@x.example> <b@x.example>\r\n"#)),
        SESRefusal(
            "Extra route-addr (From)", "github.com/arithmetric/aws-lambda-ses-forwarder/pull/57",
            .refuses(kind: "from", header: #"From: A <a@x.example> <b@x.example>\r\n"#)),
        SESRefusal(
            "Local address contains control or whitespace", "github.com/n8n-io/n8n/issues/9794",
            .refuses(kind: "address", header: from + #"Cc: a b@x.example\r\n"#)),
        SESRefusal(
            "Local address contains illegal character", "github.com/hcengineering/platform/issues/7864",
            .refuses(kind: "address", header: from + #"To: github:somebody\r\n"#)),
        SESRefusal(
            "Domain contains illegal character", "github.com/mageplaza/magento-2-smtp/issues/191",
            .refuses(kind: "address", header: from + #"To: =?utf-8?Q?user@x.example?=\r\n"#)),
        SESRefusal(
            "Domain contains illegal character (Return-Path)", "github.com/mageplaza/magento-2-smtp/issues/191",
            .leavesOut("Return-Path", header: from + #"Return-Path: =?utf-8?Q?user@x.example?=\r\n"#)),
        SESRefusal(
            "Domain contains control or whitespace", "github.com/GoodDollar/GoodDAPP/issues/3730",
            .refuses(kind: "address", header: from + #"To: a@x.example b@x.example\r\n"#)),
        SESRefusal(
            "Missing domain", "github.com/brave/accounts/issues/35",
            .refuses(kind: "address", header: from + #"To: "francois@"@\r\n"#)),
        SESRefusal(
            "Missing domain (envelope)", "github.com/brave/accounts/issues/35", .refusesAddress("francois@")),
        SESRefusal(
            "Domain starts with dot", "reported to the project",
            .refuses(kind: "address", header: from + #"To: a@.x.example\r\n"#)),
        SESRefusal("Domain starts with dot (envelope)", "reported to the project", .refusesAddress("a@.x.example")),
        SESRefusal(
            "Domain ends with dot (envelope)", "github.com/brave/accounts/issues/35", .refusesAddress("a@x.example.")),
        SESRefusal(
            "The email address string must be 7-bit ASCII", "SES API Reference, Destination",
            .refuses(kind: "address", header: from + #"To: j\u{FC}rgen@x.example\r\n"#)),
        SESRefusal(
            "501 Invalid RCPT TO address provided", "github.com/mozilla/fxa/issues/13325",
            .refusesAddress("j\u{FC}rgen@x.example")),
        SESRefusal(
            "Invalid email address", "github.com/mozilla/fx-private-relay/issues/1887", .refusesAddress("a b@x.example")
        ),
        // Fields.
        SESRefusal(
            "Missing required header 'From'", "github.com/loopingz/aws-smtp-relay/issues/6",
            .refuses(kind: "from", header: #"To: u@x.example\r\n"#)),
        SESRefusal(
            "Duplicate header 'Content-Type'", "github.com/xreef/EMailSender/issues/49",
            .refuses(
                kind: "malformed",
                header: from + #"Content-Type: multipart/mixed; boundary=b\r\n--b\r\nContent-Type: text/plain\r\n"#)),
        SESRefusal(
            "Duplicate header 'DKIM-Signature'", "github.com/mailcow/mailcow-dockerized/issues/4052",
            .refuses(kind: "duplicate", header: from + #"DKIM-Signature: v=1\r\nDKIM-Signature: v=1\r\n"#)),
        SESRefusal(
            "Duplicate header 'MIME-Version'", "github.com/Drewster727/goes-notify/issues/10",
            .refuses(kind: "duplicate", header: from + #"MIME-Version: 1.0\r\nMIME-Version: 1.0\r\n"#)),
        SESRefusal(
            "Duplicate header 'Message-ID'", "github.com/arithmetric/aws-lambda-ses-forwarder/pull/58",
            .refuses(kind: "duplicate", header: from + #"Message-ID: <1@x.example>\r\nMessage-Id: <2@x.example>\r\n"#)),
        SESRefusal(
            "Empty header names are illegal", "github.com/aws/aws-sdk-js/issues/4121",
            .refuses(kind: "malformed", header: from + #": x\r\n"#)),
        SESRefusal(
            "Illegal header '<!DOCTYPE html PUBLIC ...'", "github.com/jmhobbs/Swiftmailer-Transport--AWS-SES/issues/13",
            .refuses(kind: "malformed", header: from + #"<!DOCTYPE html PUBLIC "http://www.w3.org/">\r\n"#)),
        SESRefusal(
            "Illegal header 'Old-Return-Path'", "github.com/twilio/OpenVBX/issues/255",
            .cannotKnow(
                "in 2013, SES accepted only the fields on a list; its documentation now says that it accepts all",
                header: from + #"Old-Return-Path: <a@x.example>\r\n"#)),
        SESRefusal(
            "Header section too long", "github.com/aws/aws-sdk-php/issues/981",
            .cannotKnow(
                "the limit of SES is not documented; the relay's own limit is 256 KiB",
                header: from + String(repeating: #"X-Field: \{100*x}\r\n"#, count: 300)
            )),
        SESRefusal(
            "Header section too long (a body without the empty line before it)",
            "github.com/aws/aws-sdk-php/issues/981",
            .refuses(kind: "malformed", header: from + #"This is the body\r\n"#)),
        SESRefusal(
            "Line length (1,000 characters)", "SES API Reference, RawMessage",
            .leavesOut(String(repeating: "x", count: 999), header: from + #"X-Field: \{1200*x}\r\n"#)),
        // Content fields and parts.
        SESRefusal(
            "Expected '/', got ;", "github.com/jeffaco/duplicacy-util/issues/36",
            .refuses(kind: "mime", header: from + #"Content-Type: text; charset=UTF-8\r\n"#)),
        SESRefusal(
            "Invalid MIME Content-Type (In Content-Type string <...>, expected MIME type)", "reported to the project",
            .refuses(kind: "mime", header: from + #"Content-Type: ; charset=utf-8\r\n"#)),
        SESRefusal(
            "Expected disposition, got =", "github.com/mageplaza/magento-2-smtp/pull/202",
            .refuses(kind: "mime", header: from + #"Content-Disposition: =?utf-8?Q?inline?=\r\n"#)),
        SESRefusal(
            "Expected ';', got \"hello.txt\"", "reported to the project",
            .refuses(kind: "mime", header: from + #"Content-Disposition: attachment; filename=say hello.txt\r\n"#)),
        SESRefusal(
            "Expected '=', got \"null\"", "github.com/mozilla/fx-private-relay/issues/1887",
            .refuses(kind: "mime", header: from + #"Content-Type: text/plain; charset\r\n"#)),
        SESRefusal(
            "Missing start boundary", "github.com/bbottema/simple-java-mail/issues/259",
            .refuses(kind: "mime", header: from + #"Content-Type: multipart/alternative;\r\n\tboundary="b"\r\n"#)),
        SESRefusal(
            "Unsupported attachment type", "SES Developer Guide, Unsupported attachment types",
            .refuses(kind: "attachment", header: from + #"Content-Type: application/octet-stream; name=setup.exe\r\n"#)),
        SESRefusal(
            "Illegal content type 'text/csv'", "github.com/drewblas/aws-ses/issues/15",
            .cannotKnow(
                "in 2011, SES accepted only the types on a list; its documentation now says that only endings count",
                header: from + #"Content-Type: text/csv; name="a.csv"\r\n"#)),
        SESRefusal(
            "Illegal content", "github.com/drewblas/aws-ses/issues/51",
            .cannotKnow("it is not documented what SES objects to", header: from)),
        // Refusals for reasons that only the account and SES know.
        SESRefusal(
            "Email address is not verified", "SES Developer Guide, Email sending errors",
            .cannotKnow("only the account knows which identities are verified", header: from)),
        SESRefusal(
            "MAIL FROM domain is not verified", "SES API Reference, SendEmail",
            .cannotKnow("only the account knows which domains are verified", header: from)),
        SESRefusal(
            "Message rejected: contains a virus", "SES Developer Guide, Virus scanning",
            .cannotKnow("SES scans the content after it has accepted the message", header: from)),
        SESRefusal(
            "Sending paused, account suspended", "SES API Reference, SendEmail",
            .cannotKnow("this is a state of the account; the message waits in the queue", header: from)),
    ]

    @Test("The relay handles each refusal before it replies 250", arguments: all)
    fileprivate func answer(_ refusal: SESRefusal) {
        #expect(!refusal.source.isEmpty)
        switch refusal.relay {
        case .refuses(let kind, let header):
            let prepared = prepare(header + #"\r\nHello.\r\n"#)
            #expect(prepared.rejection?.kind == kind, "\(String(describing: prepared.rejection))")
        case .leavesOut(let text, let header):
            let prepared = prepare(header + #"\r\nHello.\r\n"#)
            #expect(prepared.rejection == nil)
            #expect(octets(header).firstRange(of: Array(text.utf8)) != nil)
            #expect(prepared.output.firstRange(of: Array(text.utf8)) == nil)
        case .refusesAddress(let address):
            #expect(throws: AddressError.self) { try AddrSpec(parsing: Array(address.utf8)) }
        case .cannotKnow(let reason, let header):
            #expect(!reason.isEmpty)
            #expect(prepare(header + #"\r\nHello.\r\n"#).rejection == nil)
        }
    }

    /// If this test and `size` pass, SES can refuse a call neither for an address of the envelope nor for the size of
    /// the message.
    @Test("SES's parser accepts every address that the envelope may hold")
    func envelope() throws {
        var generator = SeededGenerator(seed: 7)
        let pieces = [
            "a", "B", "0", ".", "..", "+", "-", "_", "'", "\"", "\\", "\\\\", "\\\"", "@", " ", "(", ")", "<", ">", ",",
            ";", ":",
            "[", "]", "[192.0.2.1]", "[IPv6:2001:db8::1]", "x.example", "web01", "xn--a-1ga.example", "\"@",
            "=?utf-8?q?x?=",
        ]
        var taken = 0
        for _ in 0..<200_000 {
            let local = (0..<Int.random(in: 1...4, using: &generator)).map { _ in
                pieces.randomElement(using: &generator) ?? ""
            }
            let domain = pieces.randomElement(using: &generator) ?? ""
            let quote = Bool.random(using: &generator) ? "\"" : ""
            let text = quote + local.joined() + quote + "@" + domain
            guard let mailbox = try? AddrSpec(parsing: Array(text.utf8)) else { continue }
            taken += 1
            for form in [text, mailbox.text, "<\(text)>"] {
                #expect(try AddressListField.holdsAddress(Array(form.utf8)[...], field: "To"), "\(form)")
            }
        }
        #expect(taken > 2000, "\(taken)")
    }

    @Test("The largest message that the settings allow stays below 40 MB in base64, even if all of it is folded")
    func size() {
        let largest = 28 << 20
        var preparation = MessagePreparation(policy: PreparationPolicy(), context: plainContext)
        var output: [UInt8] = []
        let header = octets(#"From: a@b.example\r\n\r\n"#)
        header.withUnsafeBytes { preparation.consume($0, into: &output) }
        let chunk = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 16)
        var size = header.count
        var prepared = output.count
        while size + chunk.count <= largest {
            output.removeAll(keepingCapacity: true)
            chunk.withUnsafeBytes { preparation.consume($0, into: &output) }
            size += chunk.count
            prepared += output.count
        }
        #expect(preparation.rejection == nil && size > largest - chunk.count)
        // This allows for the rest of the message, for the folds of the largest header, and for the fields that the
        // relay adds.
        let most = prepared + 2 * chunk.count + 4096
        #expect((most + 2) / 3 * 4 < 40_000_000)
    }
}
