import TestSupport
import Testing

@testable import InternetMessage

@Suite("Preparation of messages")
struct MessagePreparationTests {
    private static let added = #"Date: Tue, 24 Nov 2026 14:33:17 +0000\r\nMessage-ID: <1@relay.test>\r\n"#

    @Test(
        "Messages before and after the preparation",
        arguments: [
            // Date and Message-ID are added at the end of the header when missing, and only then.
            (#"From: a@b.example\r\n\r\nHi\r\n"#, #"From: a@b.example\r\n"# + added + #"\r\nHi\r\n"#),
            (
                #"From: a@b.example\r\nDATE: x\r\nmessage-id: <y@z>\r\n\r\nHi\r\n"#,
                #"From: a@b.example\r\nDATE: x\r\nmessage-id: <y@z>\r\n\r\nHi\r\n"#
            ),
            (
                #"Date: x\r\nFrom: a@b.example\r\n\r\n"#,
                #"Date: x\r\nFrom: a@b.example\r\nMessage-ID: <1@relay.test>\r\n\r\n"#
            ),
            (
                #"Message-ID: <y@z>\r\nFrom: a@b.example\r\n\r\n"#,
                #"Message-ID: <y@z>\r\nFrom: a@b.example\r\nDate: Tue, 24 Nov 2026 14:33:17 +0000\r\n\r\n"#
            ),
            // Fields that do not reach SES. They may be folded, in upper or lower case, repeated, or have a blank
            // before the colon.
            (
                #"Bcc: x@y.example\r\nFrom: a@b.example\r\nBCC: x@y.example,\r\n z@y.example,\r\n\tw@y.example\r\nTo: t@y.example\r\n\r\n"#,
                #"From: a@b.example\r\nTo: t@y.example\r\n"# + added + #"\r\n"#
            ),
            (
                #"Return-Path: <x@y.example>\r\nResent-Bcc: x\r\nFrom: a@b.example\r\nbcc : y\r\n z\r\n\r\nbcc: body\r\n"#,
                #"From: a@b.example\r\n"# + added + #"\r\nbcc: body\r\n"#
            ),
            (
                #"X-SES-CONFIGURATION-SET: mine\r\nFrom: a@b.example\r\nx-ses-tenant: t\r\n \r\n u\r\nX-SESAME: stays\r\nX-SES: stays\r\nX-Ses-: goes\r\n\r\n"#,
                #"From: a@b.example\r\nX-SESAME: stays\r\nX-SES: stays\r\n"# + added + #"\r\n"#
            ),
            (
                #"From: a@b.example\r\nBcc:\r\nBccc: stays\r\nX-Bcc: stays\r\n\r\n"#,
                #"From: a@b.example\r\nBccc: stays\r\nX-Bcc: stays\r\n"# + added + #"\r\n"#
            ),
            (
                #"Hiveku-Idempotency-Key: k-1\r\nFrom: a@b.example\r\n\r\n"#,
                #"From: a@b.example\r\n"# + added + #"\r\n"#
            ),
            (
                #"HIVEKU-TAGS: a,\r\n \r\n b\r\nFrom: a@b.example\r\nHiveku-Scheduled-At : x\r\nHiveku-Tag: stays\r\n\r\n"#,
                #"From: a@b.example\r\nHiveku-Tag: stays\r\n"# + added + #"\r\n"#
            ),
            // Continuation lines that hold only blanks are removed, because some readers see the end of the header in
            // them.
            (
                #"Subject: x\r\n \r\n y\r\n\t\t\r\nFrom: a@b.example\r\n  \r\n\r\n"#,
                #"Subject: x\r\n y\r\nFrom: a@b.example\r\n"# + added + #"\r\n"#
            ),
            // The empty line after the header is added if it is missing. The body passes unchanged.
            (#"From: a@b.example\r\n"#, #"From: a@b.example\r\n"# + added + #"\r\n"#),
            (#"From: a@b.example"#, #"From: a@b.example\r\n"# + added + #"\r\n"#),
            (
                #"From: a@b.example\r\n\r\n\r\n\r\nFrom: x\r\n.\r\n\xFF\xC3\t\e\r\nno end"#,
                #"From: a@b.example\r\n"# + added + #"\r\n\r\n\r\nFrom: x\r\n.\r\n\xFF\xC3\t\e\r\nno end"#
            ),
            // 8-bit text outside the addresses passes.
            (
                #"From: a@b.example\r\nSubject: gr\xFC\xDFe \u{20AC}\r\n\r\n"#,
                #"From: a@b.example\r\nSubject: gr\xFC\xDFe \u{20AC}\r\n"# + added + #"\r\n"#
            ),
        ])
    func forms(input: String, output: String) {
        for chunks in halves(octets(input)) {
            let prepared = prepare(chunks)
            #expect(prepared.rejection == nil)
            if prepared.output != octets(output) {
                Issue.record(
                    "\(chunks.map { text($0).debugDescription }) became \(text(prepared.output).debugDescription)")
                return
            }
        }
    }

    @Test(
        "The Received field is added at the top if the policy wants it, on one line or folded",
        arguments: [
            (#"from x by y; date"#, #"Received: from x by y; date\r\n"#),
            (#"from x\r\n by y;\r\n\tdate"#, #"Received: from x\r\n by y;\r\n\tdate\r\n"#),
            // Characters that would end the field, and all other characters that are not printable ASCII, become
            // blanks.
            (#"from x\r\nFrom: evil"#, #"Received: from x  From: evil\r\n"#),
            (#"x\ny\rz\0\u{F6}"#, #"Received: x y z   \r\n"#),
            (#"x\r\n \r\ny"#, #"Received: x     y\r\n"#), (#"x\r\n "#, #"Received: x   \r\n"#),
        ])
    func received(body: String, expected: String) {
        let context = PreparationContext(
            received: text(octets(body)), date: plainContext.date, messageID: plainContext.messageID)
        let message = #"Received: from before\r\nFrom: a@b.example\r\n\r\n"#
        let rest = #"Received: from before\r\nFrom: a@b.example\r\n"# + Self.added + #"\r\n"#
        #expect(prepare(message, PreparationPolicy(), context).output == octets(expected + rest))
        #expect(prepare(message, PreparationPolicy(addReceived: false), context).output == octets(rest))
    }

    /// The fields that a message may have only once: those of the Amazon SES Developer Guide, "Amazon SES header
    /// fields", and the relay's own.
    private static let once = [
        "Accept-Language", "acceptLanguage", "Archived-At", "Auto-Submitted", "Bounces-to", "Comments",
        "Content-Alternative",
        "Content-Base", "Content-Class", "Content-Description", "Content-Disposition", "Content-Duration", "Content-ID",
        "Content-Language", "Content-Length", "Content-Location", "Content-MD5", "Content-Transfer-Encoding",
        "Content-Type",
        "Date", "Delivered-To", "Disposition-Notification-Options", "Disposition-Notification-To", "DKIM-Signature",
        "DomainKey-Signature", "Errors-To", "Importance", "In-Reply-To", "Keywords", "List-Archive", "List-Help",
        "List-Id",
        "List-Owner", "List-Post", "List-Subscribe", "List-Unsubscribe", "List-Unsubscribe-Post", "Message-Context",
        "Message-ID",
        "MIME-Version", "Organization", "Original-From", "Original-Message-ID", "Original-Recipient",
        "Original-Subject",
        "Precedence", "Priority", "References", "Reply-To", "Return-Receipt-To", "Sender", "Solicitation",
        "Sensitivity",
        "Subject", "Thread-Index", "Thread-Topic", "User-Agent", "VBR-Info", "Hiveku-Idempotency-Key",
        "Hiveku-Tags", "Hiveku-Scheduled-At",
    ]

    @Test("A field that may occur only once is refused if it occurs twice", arguments: once)
    func duplicates(name: String) {
        let body = ["Content-Type": "text/plain", "Content-Disposition": "inline"][name] ?? "s@b.example"
        let field = ": " + body + #"\r\n"#
        let header = name + field + #"From: a@b.example\r\n"#
        #expect(prepare(header + #"\r\n"#).rejection == nil)
        #expect(prepare(header + name.uppercased() + field + #"\r\n"#).rejection == .duplicateField(name: name))
        #expect(
            prepare(header + name.lowercased() + #":\r\n "# + body + #"\r\n\r\n"#).rejection
                == .duplicateField(name: name))
        // In the body, the same line is not a field.
        #expect(prepare(header + #"\r\n"# + name + field).rejection == nil)
    }

    @Test(
        "Other fields may occur any number of times",
        arguments: [
            "To", "Cc", "Bcc", "Received", "Return-Path", "X-Mailer", "X-SES-CONFIGURATION-SET", "Resent-To", "Froma",
        ])
    func repeatable(name: String) {
        #expect(prepare(#"From: a@b.example\r\n\{3*"# + name + #": x@b.example\r\n}\r\n"#).rejection == nil)
    }

    @Test("The limit of the header is exact to the octet")
    func headerLimit() {
        let header = octets(#"From: a@b.example\r\nX: \{50*y}\r\n\r\n"#)
        for (limit, isTaken) in [(header.count, true), (header.count - 1, false), (20, false)] {
            for chunks in halves(header + octets("body")) {
                let prepared = prepare(chunks, PreparationPolicy(maximumHeaderSize: limit))
                #expect(prepared.rejection == (isTaken ? nil : .headerTooLarge(limit: limit)))
                #expect(prepared.output.isEmpty == !isTaken)
            }
        }
        // A header without an end is refused as soon as the limit is reached, and no more of it is kept.
        var preparation = MessagePreparation(policy: PreparationPolicy(), context: plainContext)
        var output: [UInt8] = []
        let line = octets(#"X-Filler: \{70*x}\r\n"#)
        var fed = 0
        while preparation.rejection == nil, fed < 1 << 20 {
            line.withUnsafeBytes { preparation.consume($0, into: &output) }
            fed += line.count
        }
        #expect(preparation.rejection == .headerTooLarge(limit: 262_144))
        #expect(fed < 262_144 + line.count)
        #expect(output.isEmpty)
    }

    @Test("Long lines are folded in header and body, or refused")
    func longLines() {
        let message = octets(
            #"From: a@b.example\r\nDate: x\r\nMessage-ID: x\r\nX-Long: \{1200*y}\r\n\r\n\{2000*z}\r\nshort\r\n\{1000*w}"#
        )
        let folded = octets(
            #"From: a@b.example\r\nDate: x\r\nMessage-ID: x\r\nX-Long: \{990*y}\r\n \{210*y}\r\n\r\n\{998*z}\r\n \{997*z}\r\n \{5*z}\r\nshort\r\n\{998*w}\r\n ww"#
        )
        for size in [1, 7, 500, 997, 998, 999, 1000, message.count] {
            let chunks = stride(from: 0, to: message.count, by: size).map {
                Array(message[$0..<min($0 + size, message.count)])
            }
            #expect(prepare(chunks).output == folded)
            #expect(prepare(chunks, PreparationPolicy(longLines: .refuse)).rejection == .lineTooLong(limit: 998))
        }
        #expect(prepare([folded], PreparationPolicy(longLines: .refuse)).output == folded)
        let onlyBody = prepare(#"From: a@b.example\r\n\r\n\{999*z}\r\n"#, PreparationPolicy(longLines: .refuse))
        #expect(onlyBody.rejection == .lineTooLong(limit: 998))
        #expect(
            prepare(#"From: a@b.example\r\n\r\n\{998*z}\r\n"#, PreparationPolicy(longLines: .refuse)).rejection == nil)
        #expect(prepare(#"\{999*z}: x\r\nFrom: a@b.example\r\n\r\n"#).rejection?.kind == "malformed")
    }

    @Test("A removed field is removed completely, even if the relay has folded it")
    func longBcc() {
        let prepared = prepare(#"Bcc: \{200*someone@other.example, }x@y.example\r\nFrom: a@b.example\r\n\r\n"#)
        #expect(prepared.output == octets(#"From: a@b.example\r\n"# + Self.added + #"\r\n"#))
    }

    @Test("After a rejection there is no more output, whatever the input is")
    func afterRefusal() {
        var preparation = MessagePreparation(policy: PreparationPolicy(longLines: .refuse), context: plainContext)
        var output: [UInt8] = []
        octets(#"From: a@b.example\r\n\r\n\{999*x}"#).withUnsafeBytes { preparation.consume($0, into: &output) }
        octets(#"\{999*x}"#).withUnsafeBytes { preparation.consume($0, into: &output) }
        let count = output.count
        #expect(preparation.rejection == .lineTooLong(limit: 998))
        octets(#"more\r\n"#).withUnsafeBytes { preparation.consume($0, into: &output) }
        #expect(preparation.finish(into: &output) == .failure(.lineTooLong(limit: 998)))
        #expect(output.count == count)
    }

    @Test("The summary is available as soon as the header has ended")
    func earlySummary() {
        var preparation = MessagePreparation(policy: PreparationPolicy(), context: plainContext)
        var output: [UInt8] = []
        octets(#"From: a@b.example\r\n\r"#).withUnsafeBytes { preparation.consume($0, into: &output) }
        #expect(preparation.summary == nil && output.isEmpty)
        octets(#"\n"#).withUnsafeBytes { preparation.consume($0, into: &output) }
        #expect(preparation.summary?.from.text == "a@b.example")
        #expect(!output.isEmpty)
    }

    @Test(
        "The Subject is decoded and shortened, so that a list can show it",
        arguments: [
            ("hello", "hello"), ("", ""), ("  padded  ", "padded"), ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Gr\u{FC}\u{DF}e"),
            (#"a\r\n b\r\n\t c"#, "a b c"), (#"\r\n a"#, "a"), (#"a\tb"#, "a b"),
            ("=?utf-8?q?a=00b=1Bc=7F?=", "a\u{FFFD}b\u{FFFD}c\u{FFFD}"), ("=?utf-8?q?=E2=80=AEevil?=", "\u{FFFD}evil"),
            ("=?utf-8?q?a=0D=0Ab?=", "a b"), (#"raw \xFF"#, "raw \u{FFFD}"),
            (#"\e$B5-<T\e(B"#, "\u{FFFD}$B5-<T\u{FFFD}(B"),
            (#"\{250*\u{FC}}"#, String(repeating: "\u{FC}", count: 200)),
            (#"\{300* =?utf-8?q?\{2*=C3=BC}?=}"#, nil),
        ] as [(String, String?)])
    func subject(body: String, expected: String?) {
        let subject = prepare(#"From: a@b.example\r\nSubject: "# + body + #"\r\n\r\n"#).summary?.subject
        if let expected { #expect(subject == expected) }
        #expect((subject?.unicodeScalars.count ?? 0) <= 200)
    }

    @Test("The summary has the values of the header's fields")
    func summary() {
        let bare = prepare(#"From: a@b.example\r\n\r\n"#).summary
        #expect(bare?.subject == nil && bare?.messageID == nil && bare?.idempotencyKey == nil && bare?.senders == [])
        let full = prepare(
            #"From: a@b.example\r\nMessage-ID:\r\n <x@y>  \r\nHiveku-Idempotency-Key:  order 17 \r\n\r\n"#
        ).summary
        #expect(full?.messageID == "<x@y>" && full?.idempotencyKey == "order 17")
        let long = prepare(#"From: a@b.example\r\nMessage-ID: <\{1000*x}>\r\n\r\n"#)
        #expect(long.rejection == nil && long.summary?.messageID == nil)
        #expect(prepare(#"From: a@b.example\r\nMessage-ID:\r\n\r\n"#).summary?.messageID == nil)
    }

    @Test(
        "An idempotency key is 1 to 256 printable characters",
        arguments: ["", "  ", #"\u{F6}"#, #"a\r\n b"#, #"\{257*x}"#])
    func badKey(body: String) {
        let prepared = prepare(#"From: a@b.example\r\nHiveku-Idempotency-Key:"# + body + #"\r\n\r\n"#)
        #expect(prepared.rejection?.kind == "malformed")
        #expect(prepared.rejection?.explanation.mentions("Hiveku-Idempotency-Key", "1", "256", "ASCII") == true)
    }

    @Test(
        "Tags are separated by commas, trimmed, and decoded",
        arguments: [
            ("a", ["a"]), (" a , b c ", ["a", "b c"]), ("", []), (#" \r\n "#, []), ("a,", ["a", ""]), (",", ["", ""]),
            (#"a\r\n\tb,\r\n c"#, ["a b", "c"]), ("=?utf-8?q?a=2C_b?=,c", ["a", "b", "c"]),
            ("=?utf-8?b?Y2Fmw6k=?=", ["caf\u{E9}"]), ("=?iso-8859-1?q?caf=E9?=", ["caf\u{E9}"]),
            ("caf\u{E9}", ["caf\u{E9}"]), ("=?utf-8?q?a=0Ab?=", ["a\nb"]), ("=?utf-8?q?a=00?=", ["a\0"]),
            ("a;b", ["a;b"]),
        ] as [(String, [String])])
    func tags(body: String, expected: [String]) {
        let prepared = prepare(#"From: a@b.example\r\nHiveku-Tags:"# + body + #"\r\n\r\n"#)
        #expect(prepared.summary?.tags == expected)
    }

    @Test("The scheduled time is kept as it was written, and a malformed field is refused")
    func scheduledAt() {
        func field(_ body: String) -> (HeaderSummary?, MessageRejection?) {
            let prepared = prepare(#"From: a@b.example\r\nHiveku-Scheduled-At:"# + body + #"\r\n\r\n"#)
            return (prepared.summary, prepared.rejection)
        }
        #expect(field("  2026-12-01T09:00:00Z ").0?.scheduledAt == "2026-12-01T09:00:00Z")
        #expect(prepare(#"From: a@b.example\r\n\r\n"#).summary?.scheduledAt == nil)
        for body in ["", " ", #"\u{F6}"#, #"\{201*x}"#] {
            guard case .relayField(let text) = field(body).1 else {
                Issue.record("accepted: \(body)")
                continue
            }
            #expect(text.mentions("Hiveku-Scheduled-At", "date", "2026-12-01T09:00:00Z"))
        }
        let long = prepare(
            #"From: a@b.example\r\nHiveku-Tags: \{500*x,}\r\n"#
                + String(repeating: " \(String(repeating: "y", count: 900))\r\n", count: 20) + "\r\n")
        guard case .relayField = long.rejection else {
            Issue.record("a list of tags that is too long was accepted")
            return
        }
    }

    @Test("The longest idempotency key is accepted")
    func longestKey() {
        let prepared = prepare(#"From: a@b.example\r\nHiveku-Idempotency-Key: \{256*x}\r\n\r\n"#)
        #expect(prepared.summary?.idempotencyKey == String(repeating: "x", count: 256))
    }

    @Test(
        "A malformed line is refused, and the explanation names its number",
        arguments: [
            (#"From: a@b.example\r\nnonsense\r\n\r\n"#, ["Line 2", "Name: value"]),
            (#"From: a@b.example\r\nX: \0\r\n\r\n"#, ["Line 2", "control character"]),
            (#"X: y\r\n z\r\n\x0B\r\n\r\n"#, ["Line 3", "control character"]),
            (#"From: a@b.example\r\nX: a\rb\r\n\r\n"#, ["Line 2", "CR without LF", "CRLF"]),
            (#"From: a@b.example\nX: y\r\n\r\n"#, ["LF without CR", "CRLF"]),
            (#" x\r\n\r\n"#, ["Line 1", "blank", "continue"]),
            (#"X : y\r\n\r\n"#, ["Line 1", "blank", "colon"]),
        ] as [(String, [String])])
    func malformed(message: String, parts: [String]) {
        for chunks in halves(octets(message)) {
            let prepared = prepare(chunks)
            #expect(prepared.rejection?.kind == "malformed")
            #expect(prepared.rejection?.explanation.mentions(parts) == true, "\(prepared.result)")
            #expect(prepared.output.isEmpty)
        }
    }

    @Test(
        "Every rejection explains itself in plain ASCII",
        arguments: [
            (.duplicateField(name: "Subject"), ["more than one", "Subject", "SES"]),
            (.headerTooLarge(limit: 9), ["header", "9 octets"]),
            (.lineTooLong(limit: 998), ["line", "998 octets", "CRLF"]),
        ] as [(MessageRejection, [String])])
    func explanations(rejection: MessageRejection, parts: [String]) {
        #expect(rejection.explanation.mentions(parts))
        #expect(rejection.explanation.utf8.allSatisfy { (0x20...0x7E).contains($0) })
    }

    @Test("A rejection that has a text uses it as its explanation")
    func carriedExplanations() {
        #expect(MessageRejection.from("x").explanation == "x")
        #expect(MessageRejection.malformedHeader("y").explanation == "y")
    }
}
