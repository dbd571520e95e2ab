import TestSupport
import Testing

@testable import InternetMessage

@Suite("Parts of a message")
struct PartScannerTests {
    private static func rejection(_ message: String) -> MessageRejection? { prepare(message).rejection }

    @Test("However the message is cut, the verdict is the same", arguments: try Corpus.sesCases.get())
    func chunks(_ test: CorpusCase) {
        let whole = prepare([test.message])
        for chunks in halves(test.message) { #expect(prepare(chunks).result == whole.result) }
    }

    /// Nested multiparts. The innermost has one part, whose header is `inner`.
    private static func nested(_ depth: Int, _ inner: String) -> [UInt8] {
        var message = #"From: a@b.example\r\n"#
        for level in 1...depth {
            message += #"Content-Type: multipart/mixed; boundary=level-\#(level).\r\n\r\n--level-\#(level).\r\n"#
        }
        return octets(message + inner + #"\r\n\r\n"#)
    }

    @Test("Multiparts may be nested up to the limit, and one level more is refused")
    func depth() {
        let most = prepare([Self.nested(PartScanner.maximumDepth, "Content-Type: text")]).rejection
        #expect(most?.kind == "mime")
        let number = Array(repeating: "1", count: PartScanner.maximumDepth).joined(separator: ".")
        #expect(most?.explanation.mentions("part \(number) ", "no /") == true)
        #expect(prepare([Self.nested(PartScanner.maximumDepth, "Content-Type: text/plain")]).rejection == nil)
        let more = prepare([Self.nested(PartScanner.maximumDepth + 1, "Content-Type: text/plain")]).rejection
        #expect(more?.kind == "mime")
        #expect(more?.explanation.mentions("64", "multiparts") == true)
    }

    @Test("A Content field may be as long as the limit, and one octet more is refused")
    func fieldSize() {
        let head = "Content-Type: text/plain; name=x"
        for (extra, isTaken) in [(0, true), (1, false)] {
            // Each fold has 900 octets, including its CRLF and its first blank.
            var field = head
            while field.utf8.count < PartScanner.maximumFieldSize - 1000 {
                field += "\r\n " + String(repeating: " ", count: 897)
            }
            field +=
                "\r\n " + String(repeating: " ", count: PartScanner.maximumFieldSize - field.utf8.count - 3 + extra)
            let message = Array(
                "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\(field)\r\n\r\n--b--\r\n"
                    .utf8
            )
            #expect((prepare([message]).rejection == nil) == isTaken)
        }
    }

    @Test("Any number of parts is accepted, and the explanation names the number of a wrong part")
    func count() {
        let parts =
            #"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\{5000*--b\r\n\r\nText\r\n}"#
        #expect(Self.rejection(parts + #"--b--\r\n"#) == nil)
        let rejection = Self.rejection(parts + #"--b\r\nContent-Type: text\r\n\r\n"#)
        #expect(rejection?.explanation.contains("part 5001") == true)
    }

    @Test("Only the Content fields of a part are kept in memory")
    func memory() {
        var scanner = PartScanner(
            Multipart(boundary: Array("b".utf8)), fields: ContentFieldCheck(refusedAttachments: AttachmentEndings([])))
        let field = "X-Other: " + String(repeating: "y", count: 900) + "\r\n"
        let header = "--b\r\n" + String(repeating: field, count: 2000)
        let chunk = Array((header + "\r\n--x\r\n-\r\nText\r\n").utf8)
        for _ in 0..<10 { #expect(chunk.withUnsafeBytes { scanner.consume($0) } == nil) }
        #expect(scanner.heldOctets < 4096)
        #expect(scanner.finish() == nil)
    }

    @Test("Lines that the relay folds are checked in their folded form")
    func folded() {
        let long = #"\{1200*x}"#
        // The fold splits the file name. SES will see it split, too.
        let message =
            #"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"#
            + #"Content-Disposition: attachment; filename="# + long + #"\r\n\r\n--b--\r\n"#
        #expect(Self.rejection(message)?.kind == "mime")
    }

    @Test("Quoted text of the message is short and printable")
    func excerpts() {
        let name = #"\u{FC}\"\{100*x}.exe"#
        let message =
            #"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"#
            + #"Content-Disposition: attachment; filename*=utf-8''"# + "%0D%0A" + name.replacing(#"\""#, with: "%22")
            + #"\r\n\r\n--b--\r\n"#
        let rejection = Self.rejection(message.replacing(#"\u{FC}"#, with: "%C3%BC"))
        #expect(rejection?.kind == "attachment")
        #expect(rejection?.explanation.utf8.allSatisfy { (0x20...0x7E).contains($0) } == true)
        #expect((rejection?.explanation.utf8.count ?? 0) < 200)
    }

    @Test(
        "An API key that was pasted into a field is not repeated",
        arguments: [
            "To: hk_live_0123456789abcdef", "To: a@x.example, Key HK_Test_0123456789abcdef",
            "Content-Type: hk_live_0123456789abcdef", "Content-Type: text/plain; name=a hk_live_0123456789abcdef",
            "Content-Disposition: attachment; filename=hk_live_0123456789abcdef.exe",
            "Content-Disposition: attachment; hk_live_0123456789abcdef",
            "Content-Disposition: attachment; filename=\"hk_live_0123456789abcdef0123456789abcdef0123456789abcdef.exe\"",
            "Content-Type: multipart/mixed; boundary=hk_live_0123456789abcdef",
        ])
    func keys(field: String) {
        let rejection = Self.rejection(#"From: a@b.example\r\n"# + field + #"\r\n\r\n"#)
        #expect(rejection?.explanation.contains("89abcdef") == false)
    }
}

@Suite("Mail loops")
struct LoopCheckTests {
    private static func message(own: Int, others: Int, fold: String = " ") -> [UInt8] {
        let field =
            #"Received: from a.example ([192.0.2.1])\r\n by"# + fold
            + #"Relay.example (Hiveku Relay) with ESMTPSA\r\n id 1\r\n"#
        let other = #"Received: from a.example by other.example (Postfix) with ESMTP id 1\r\n"#
        return octets(#"From: a@b.example\r\n\{\#(own)*"# + field + #"}\{\#(others)*"# + other + #"}\r\n"#)
    }

    private static func rejection(_ message: [UInt8], clause: String? = "by relay.example (Hiveku Relay)")
        -> MessageRejection?
    {
        var context = plainContext
        context.relayClause = clause
        return prepare([message], PreparationPolicy(), context).rejection
    }

    @Test(
        "A message with too many Received fields is refused",
        arguments: [
            (0, 0, nil), (9, 90, nil), (9, 91, ["100 Received"]), (0, 99, nil), (0, 100, ["100 Received"]),
            (10, 0, ["this relay", "10 times"]), (11, 120, ["this relay", "10 times"]),
        ] as [(Int, Int, [String]?)])
    func limits(own: Int, others: Int, parts: [String]?) {
        let rejection = Self.rejection(Self.message(own: own, others: others))
        #expect(rejection.map(\.kind) == parts.map { _ in "loop" })
        if let parts { #expect(rejection?.explanation.mentions(parts) == true) }
    }

    @Test("The relay recognizes its own Received fields by their clause, however they are folded")
    func own() {
        for fold in [" ", #"\r\n\t"#, "  "] {
            #expect(Self.rejection(Self.message(own: 10, others: 0, fold: fold))?.kind == "loop")
        }
        let message = Self.message(own: 10, others: 0)
        for clause in [nil, "by other.example (Hiveku Relay)", "y relay.example (Hiveku Relay)"] {
            #expect(Self.rejection(message, clause: clause) == nil)
        }
    }
}
