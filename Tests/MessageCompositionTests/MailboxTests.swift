import InternetMessage
import Testing

@testable import MessageComposition

@Suite("Mailboxes as applications write them")
struct MailboxTests {
    @Test(
        "The name and the address are found",
        arguments: [
            ("a@x.example", nil, "a@x.example"),
            ("  a@X.Example ", nil, "a@x.example"),
            ("<a@x.example>", nil, "a@x.example"),
            ("\"\" <a@x.example>", nil, "a@x.example"),
            ("Acme <a@x.example>", "Acme", "a@x.example"),
            ("Acme<a@x.example>", "Acme", "a@x.example"),
            ("Acme Shop Ltd.\t<a@x.example>", "Acme Shop Ltd.", "a@x.example"),
            ("\"Doe, J.\" <a@x.example>", "Doe, J.", "a@x.example"),
            (#""J. \"Joe\" \\ Doe" <a@x.example>"#, #"J. "Joe" \ Doe"#, "a@x.example"),
            ("Acme (Support) <a@x.example>", "Acme (Support)", "a@x.example"),
            ("b@y.example <a@x.example>", "b@y.example", "a@x.example"),
            ("山田太郎 <a@x.example>", "山田太郎", "a@x.example"),
            ("Дима 👩‍👩‍👧 <a@x.example>", "Дима 👩‍👩‍👧", "a@x.example"),
            ("a@bücher.example", nil, "a@xn--bcher-kva.example"),
            ("Ü <a@Bücher.Example>", "Ü", "a@xn--bcher-kva.example"),
            (#""a b"@x.example"#, nil, #""a b"@x.example"#),
            (#""a>b@c"@x.example"#, nil, #""a>b@c"@x.example"#),
            (#"N <"a>b"@x.example>"#, "N", #""a>b"@x.example"#),
            ("a@[192.0.2.1]", nil, "a@[192.0.2.1]"),
            (String(repeating: "ä", count: 320) + " <a@x.example>", String(repeating: "ä", count: 320), "a@x.example"),
        ] as [(String, String?, String)])
    func taken(text: String, name: String?, address: String) throws {
        let mailbox = try Mailbox(parsing: text)
        #expect(mailbox.displayName == name)
        #expect(mailbox.address.text == address)
    }

    @Test(
        "Each mistake has its own error",
        arguments: [
            ("", .empty), (" \t", .empty),
            ("a@x.example\r\nBcc: b@x.example", .control), ("A\nB <a@x.example>", .control),
            ("A\r <a@x.example>", .control), ("A\0 <a@x.example>", .control), ("A\u{85}B <a@x.example>", .control),
            ("A\u{2028}B <a@x.example>", .control), ("A\u{202E}B <a@x.example>", .control),
            ("A\tB <a@x.example>", .control), ("A\u{7F} <a@x.example>", .control),
            ("=?utf-8?q?x?= <a@x.example>", .encodedWord),
            ("Doe, J. <a@x.example>", .comma), ("a@x.example, B <b@x.example>", .comma),
            ("Team: <a@x.example>", .needsQuotes), ("J \"Joe\" D <a@x.example>", .needsQuotes),
            ("A > <a@x.example>", .needsQuotes), ("A;B <a@x.example>", .needsQuotes),
            ("\"Acme <a@x.example>", .openQuote), ("\"Acme", .openQuote), ("\"Acme\"", .noAngle),
            ("\"Acme\" a@x.example", .noAngle), ("Acme <a@x.example", .openAngle),
            ("<a@x.example> (x)", .textBehind), ("<a@x.example> <b@x.example>", .textBehind),
            ("<a@x.example>, b@x.example", .list), ("a@x.example, b@x.example", .list),
            ("a@x.example;b@x.example", .list), ("a@x.example; b@x.example", .list),
            ("Team: a@x.example;", .group), ("X Y", .noAddress), ("Jürgen Ü", .noAddress), ("a", .noAddress),
            ("N <a>", .noAddress), ("<>", .noAddress), ("a@b_ü.example", .domain),
            ("jürgen@x.example", .address(.nonASCII)), ("Ü <ü@bücher.example>", .address(.nonASCII)),
            (String(repeating: "a", count: 65) + "@x.example", .address(.tooLong)),
            (String(repeating: "a", count: 321) + " <a@x.example>", .nameTooLong),
            (String(repeating: "a", count: 2049), .tooLong),
        ] as [(String, MailboxError)])
    func refused(text: String, error: MailboxError) {
        #expect(throws: error) { try Mailbox(parsing: text) }
        #expect(error.explanation.utf8.allSatisfy { (0x20...0x7E).contains($0) })
    }

    @Test(
        "An address that SMTP refuses is refused with the same error",
        arguments: [
            "a@", "@x.example", "a b@x.example", "a@x..example", "a@-x.example", ".a@x.example", "a.@x.example",
            "a@x.example.", "a@[1.2.3]", "a (x)@x.example", "a@x.example (x)", "a@b@x.example",
            "a@x_y.example", "a\\@x.example",
        ])
    func agrees(text: String) throws {
        let error = MailboxError.address(
            try #require(throws: AddressError.self) { try AddrSpec(parsing: text.utf8) })
        #expect(throws: error) { try Mailbox(parsing: text) }
        #expect(throws: error) { try Mailbox(parsing: "N <\(text)>") }
    }
}
