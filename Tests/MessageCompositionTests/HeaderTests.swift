import InternetMessage
import Testing

@testable import MessageComposition

@Suite("The header of a composed message")
struct HeaderTests {
    @Test(
        "A subject is written so that readers decode it to the same text",
        arguments: [
            ("", "Subject:"), ("Hello", "Subject: Hello"), ("a  b", "Subject: a  b"),
            ("Grüße aus Köln", "Subject: =?utf-8?b?R3LDvMOfZQ==?= aus =?utf-8?b?S8O2bG4=?="),
            ("Grüß Über dich", "Subject: =?utf-8?b?R3LDvMOfIMOcYmVy?= dich"),
            ("ü  a", "Subject: =?utf-8?b?w7wgIGE=?="), (" a", "Subject: =?utf-8?q?_a?="),
            ("ein Kaffeehäuschen da", "Subject: ein =?utf-8?q?Kaffeeh=C3=A4uschen?= da"),
            ("=?utf-8?q?x?=", "Subject: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?="),
            ("a =? b", "Subject: a =?utf-8?b?PT8=?= b"),
        ])
    func subjects(subject: String, written: String) {
        #expect(field("Subject", of: sampleEmail { $0.subject = subject }) == written)
    }

    private static let scripts = [
        "Ελληνικά", "Русский текст", "עברית", "العربية", "हिन्दी", "বাংলা", "ไทย", "ខ្មែរ", "ქართული", "Հայերեն", "አማርኛ", "中文",
        "日本語テキスト",
        "한국어", "ᏣᎳᎩ", "👩‍👩‍👧‍👦🏳️‍🌈", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "Tiếng Việt", "e\u{301}\u{327}", "ﷺ",
    ]

    @Test("Text of any length in every script is decoded to the same text", arguments: scripts)
    func everyScript(script: String) {
        for count in [1, 2, 7, 40] {
            for separator in ["", " ", "  ", " ascii "] {
                let subject = Array(repeating: script, count: count).joined(separator: separator)
                let written = field("Subject", of: sampleEmail { $0.subject = subject })
                let lines = written.split(separator: "\n")
                #expect(lines.allSatisfy { $0.utf8.count <= 76 && $0.utf8.allSatisfy { $0 < 0x80 } })
                for word in written.split(whereSeparator: { $0 == " " || $0 == "\n" }) where word.hasPrefix("=?") {
                    #expect(word.utf8.count <= 75)
                    // Each encoded word by itself has only whole characters.
                    #expect(!EncodedWord.decode(Array(word.utf8)[...]).unicodeScalars.contains("\u{FFFD}"))
                }
                let unfolded = written.replacing("\n", with: "").dropFirst("Subject: ".count)
                #expect(EncodedWord.decode(Array(unfolded.utf8)[...]) == subject)
            }
        }
    }

    @Test("Long ASCII text is folded at single spaces, or encoded if that is not possible")
    func folding() {
        for subject in [
            Array(repeating: "word", count: 100).joined(separator: " "), String(repeating: "a", count: 900),
            String(repeating: "a", count: 2000), "b " + String(repeating: "a", count: 2000) + " c",
            String(repeating: "a  ", count: 1000) + "a",
        ] {
            let written = field("Subject", of: sampleEmail { $0.subject = subject })
            #expect(written.split(separator: "\n").allSatisfy { $0.utf8.count <= 998 })
            let unfolded = written.replacing("\n", with: "").dropFirst("Subject: ".count)
            #expect(EncodedWord.decode(Array(unfolded.utf8)[...]) == subject)
        }
    }

    @Test(
        "A header of the application keeps its ASCII text unchanged",
        arguments: [
            ("X-A", "", "X-A:"), ("X-A", "  b ", "X-A: b"), ("X-A", "a  b", "X-A: a  b"),
            ("X-A", "=?utf-8?q?x?=", "X-A: =?utf-8?q?x?="), ("X-A", "a\tb", "X-A: a\tb"),
            (
                "List-Unsubscribe", "<https://x.example/?a=?b>,  <mailto:a@x.example>",
                "List-Unsubscribe: <https://x.example/?a=?b>,  <mailto:a@x.example>"
            ),
            ("List-Id", "Über <list.x.example>", "List-Id: =?utf-8?b?w5xiZXI=?= <list.x.example>"),
            (
                "References", (0..<4).map { "<\($0)aaaaaaaaaaaaaaaaa@x.example>" }.joined(separator: " "),
                "References: <0aaaaaaaaaaaaaaaaa@x.example> <1aaaaaaaaaaaaaaaaa@x.example>\n <2aaaaaaaaaaaaaaaaa@x.example> <3aaaaaaaaaaaaaaaaa@x.example>"
            ),
        ])
    func headers(name: String, value: String, written: String) {
        let email = sampleEmail { $0.headers = [.init(name: name, value: value)] }
        #expect(email.defects() == [])
        #expect(field(name, of: email) == written)
    }

    @Test(
        "A display name is written as a phrase, a quoted string or encoded words",
        arguments: [
            (nil, "To: a@x.example"), ("", "To: a@x.example"), ("Bob", "To: Bob <a@x.example>"),
            ("Bob B", "To: Bob B <a@x.example>"), ("Bob  B", "To: \"Bob  B\" <a@x.example>"),
            ("Doe, J.", "To: \"Doe, J.\" <a@x.example>"), (#"a"b\c"#, #"To: "a\"b\\c" <a@x.example>"#),
            ("b@y.example", "To: \"b@y.example\" <a@x.example>"), ("A (B)", "To: \"A (B)\" <a@x.example>"),
            ("Jürgen", "To: =?utf-8?q?J=C3=BCrgen?= <a@x.example>"),
        ] as [(String?, String)])
    func names(name: String?, written: String) {
        let address = mailbox("a@x.example").address
        let email = sampleEmail { $0.to = [Mailbox(displayName: name, address: address)] }
        #expect(field("To", of: email) == written)
        #expect(throws: Never.self) { try prepare(compose(email)).get() }
    }

    @Test("A list of a hundred recipients is folded after commas")
    func manyRecipients() throws {
        let email = sampleEmail {
            $0.to = (0..<100).map {
                mailbox(
                    "\($0 % 2 == 0 ? "Empfänger" : "Recipient, No.") \($0) <u\($0)@x.example>".replacing(
                        "Recipient, No.", with: "Recipient No"))
            }
            $0.cc = [mailbox("u3@x.example"), mailbox("v@x.example")]
            $0.bcc = [mailbox("w@x.example"), mailbox("v@X.example")]
        }
        let lines = field("To", of: email).split(separator: "\n")
        #expect(lines.allSatisfy { $0.utf8.count <= 76 })
        #expect(lines.count < 100)
        #expect(
            MessageComposer(email, seed: 1).recipients.map(\.text).suffix(3) == [
                "u99@x.example", "v@x.example", "w@x.example",
            ])
        #expect(MessageComposer(email, seed: 1).recipients.count == 102)
        let message = compose(email)
        #expect(!text(message).contains("w@x.example"))
        _ = try prepare(message).get()
    }

    @Test("The longest names and addresses stay within the limit of a line")
    func longest() throws {
        let local = String(repeating: "l", count: 64)
        let address = "\(local)@" + (0..<3).map { _ in String(repeating: "d", count: 60) }.joined(separator: ".")
        for name in [
            String(repeating: "n", count: 320), String(repeating: "\"", count: 320),
            String(repeating: "\u{10348}", count: 320),
        ] {
            let long = Mailbox(displayName: name, address: mailbox(address).address)
            let email = sampleEmail {
                $0.from = long
                $0.to = [long, long]
                $0.replyTo = [long]
            }
            #expect(email.defects() == [])
            let summary = try prepare(compose(email)).get()
            #expect(summary.from == long.address)
        }
    }
}
