import TestSupport
import Testing

@testable import InternetMessage

/// For each rule, the words that its explanation must mention, in this order.
private enum Rule {
    static let badDots = ["local part", "dot"]
    static let badCharacter = ["local part", "character", "quotes"]
    static let openQuote = ["local part", "closing quote"]
    static let backslash = ["local part", "backslash", "SES"]
    static let nothing = ["nothing", "before", "@"]
    static let noAt = ["@domain"]
    static let noDomain = ["domain", "after", "@"]
    static let lastDot = ["domain", "ends", "dot"]
    static let noHost = ["domain", "host name"]
    static let badEnd = ["domain", "followed", "character"]
    static let badLiteral = ["literal", "[a.b.c.d]", "[IPv6:"]
    static let openLiteral = ["literal", "closing bracket"]
    static let textBehind = ["text", "after"]
    static let control = ["control character"]
    static let tooLong = ["64", "253", "254"]
    static let nonASCII = ["SES", "ASCII", "xn--"]
    static let missing = ["missing"]
    static let blankBefore = ["blank", "before"]
    static let blankInside = ["blank", "angle brackets", "<user@example.com>"]
    static let name = ["display name", "<user@example.com>"]
    static let noOpening = ["no opening", "<user@example.com>"]
    static let noClosing = ["no closing", "angle bracket"]
    static let bareRoute = ["source route", "<user@example.com>"]
    static let badRoute = ["source route", "malformed"]
    static let rest = ["space", "parameters"]
}

@Suite("Addresses")
struct AddressTests {
    private static func explanation(_ parse: () throws -> Void) -> String? {
        do {
            try parse()
            return nil
        } catch let error as AddressError {
            return error.explanation
        } catch {
            return "\(error)"
        }
    }

    @Test(
        "Each mailbox has one normal form",
        arguments: [
            ("user@example.com", "user@example.com"), ("User@EXAMPLE.Com", "User@example.com"),
            ("a@b", "a@b"), ("first.last+tag@sub.example.com", "first.last+tag@sub.example.com"),
            ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"),
            (#""user"@example.com"#, "user@example.com"), (#""us\\er"@example.com"#, "user@example.com"),
            (#""a b"@example.com"#, #""a b"@example.com"#), (#""a@b"@example.com"#, #""a@b"@example.com"#),
            (#""a.b"@example.com"#, "a.b@example.com"), (#""a..b"@example.com"#, #""a..b"@example.com"#),
            (#"".a"@example.com"#, #"".a"@example.com"#), (#""a."@example.com"#, #""a."@example.com"#),
            (#""\\\""@example.com"#, #""\""@example.com"#), (#""\\\\a"@example.com"#, #""\\a"@example.com"#),
            (#""\\ "@example.com"#, #"" "@example.com"#),
            ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"), ("a@1.example", "a@1.example"),
            ("a@3com.example", "a@3com.example"), ("a@b-c.example", "a@b-c.example"),
            ("a@[192.0.2.1]", "a@[192.0.2.1]"), ("a@[IPv6:::1]", "a@[IPv6:::1]"),
            ("a@[ipv6:2001:DB8::1]", "a@[IPv6:2001:db8::1]"),
            ("a@[IPv6:::ffff:192.0.2.1]", "a@[IPv6:::ffff:192.0.2.1]"),
        ])
    func forms(text: String, expected: String) throws {
        let mailbox = try AddrSpec(parsing: octets(text))
        #expect(mailbox.text == expected)
        #expect(mailbox.description == expected)
        #expect(try AddrSpec(parsing: expected.utf8) == mailbox)
    }

    @Test(
        "The explanation names what is wrong with an address",
        arguments: [
            ("", Rule.nothing), ("user", Rule.noAt),
            ("@example.com", Rule.nothing),
            ("user@", Rule.noDomain),
            ("us er@example.com", Rule.badCharacter),
            ("us,er@example.com", Rule.badCharacter),
            ("us(x)er@example.com", Rule.badCharacter),
            (".user@example.com", Rule.badDots), ("user.@example.com", Rule.badDots),
            ("us..er@example.com", Rule.badDots), (".@example.com", Rule.badDots),
            ("user@example.com ", Rule.textBehind),
            ("user@example.com,", Rule.textBehind),
            ("user@@example.com", Rule.noDomain),
            ("user@example.com@evil.example", Rule.textBehind),
            ("<user@example.com>", Rule.nothing),
            ("user@example.com.", Rule.lastDot),
            ("user@.example.com", Rule.noHost), ("user@example..com", Rule.noHost), ("user@-a.example", Rule.noHost),
            ("user@a-.example", Rule.noHost),
            ("user@a_b.example", Rule.noHost), ("user@192.0.2.1", Rule.noHost), ("user@example.1", Rule.noHost),
            ("user@a!b.example", Rule.noHost),
            (#""user@example.com"#, Rule.openQuote),
            (#""a\\\\"@example.com"#, Rule.backslash),
            (#""user\\"#, Rule.openQuote),
            (#"""@example.com"#, Rule.nothing),
            (#""user"x@example.com"#, Rule.badCharacter),
            (#"us"er"@example.com"#, Rule.badCharacter),
            (#"us\0er@example.com"#, Rule.control),
            (#"user@exam\r\nple.com"#, Rule.control),
            (#""us\ter"@example.com"#, Rule.control),
            (#"j\u{F6}rg@example.com"#, Rule.nonASCII), (#"user@b\u{FC}cher.example"#, Rule.nonASCII),
            (#"\u{F6}\0"#, Rule.nonASCII),
            (#"\{65*a}@example.com"#, Rule.tooLong), (#"a@\{64*abc.}c"#, Rule.tooLong),
            (#""\{63*a}"@example.com"#, Rule.tooLong), (#"\{300*a}"#, Rule.tooLong),
            ("a@[]", Rule.badLiteral), ("a@[192.0.2]", Rule.badLiteral), ("a@[192.0.2.256]", Rule.badLiteral),
            ("a@[192.0.02.1]", Rule.badLiteral),
            ("a@[192.0.2.1", Rule.openLiteral), ("a@[IPv6:]", Rule.badLiteral),
            ("a@[2001:db8::1]", Rule.badLiteral), ("a@[IPv6:1:2:3:4:5:6:7]", Rule.badLiteral),
            ("a@[example.com]", Rule.badLiteral),
            ("a@[192.0.2.1]x", Rule.textBehind),
        ] as [(String, [String])])
    func errors(text: String, parts: [String]) {
        let explanation = Self.explanation { _ = try AddrSpec(parsing: octets(text)) }
        #expect(explanation?.mentions(parts) == true, "\(explanation ?? "accepted")")
    }

    @Test(
        "IPv6 literals",
        arguments: [
            ("::", true), ("::1", true), ("1::", true), ("1:2:3:4:5:6:7:8", true), ("1::8", true),
            ("1:2:3:4:5:6:7::", true),
            ("::2:3:4:5:6:7:8", true), ("1:2:3:4:5:6:192.0.2.1", true), ("::192.0.2.1", true), ("1::192.0.2.1", true),
            ("::ffff:192.0.2.1", true), ("ABCD:ef01::", true), ("1:2:3::7:8", true),
            ("", false), (":", false), (":::", false), ("1", false), ("1:", false), (":1", false),
            ("1:2:3:4:5:6:7", false),
            ("1:2:3:4:5:6:7:8:9", false), ("1::2::3", false), ("12345::", false), ("g::", false),
            ("1:2:3:4:5:6:7:8::", false),
            ("1:2:3:4:5:6:7:192.0.2.1", false), (":192.0.2.1", false), ("192.0.2.1", false), ("192.0.2.1::", false),
            ("::192.0.2.1:1", false), ("::1%eth0", false), ("1:::2", false), (":1::", false), ("::1:", false),
        ])
    func ipv6(text: String, isValid: Bool) {
        let mailbox = try? AddrSpec(parsing: "a@[IPv6:\(text)]".utf8)
        #expect((mailbox != nil) == isValid)
        #expect(mailbox?.domainName == nil)
    }

    @Test("Two spellings of one mailbox are equal, and different mailboxes are not")
    func equality() throws {
        let a = try AddrSpec(parsing: "user@Example.com".utf8)
        #expect(a == (try AddrSpec(parsing: "\"user\"@EXAMPLE.COM".utf8)))
        #expect(a != (try AddrSpec(parsing: "User@example.com".utf8)))
        #expect(a.domainName?.text == "example.com")
    }

    @Test("The longest address is accepted, and one octet more is refused")
    func lengths() throws {
        let local = String(repeating: "a", count: 64)
        // The path may have 256 octets, brackets included.
        for (last, isTaken) in [(60, true), (61, true), (62, false)] {
            let domain = [63, 63, last].map { String(repeating: "b", count: $0) }.joined(separator: ".")
            let path = "<\(local)@\(domain)>"
            #expect(path.utf8.count == 195 + last)
            let explanation = Self.explanation {
                let mailbox = try SMTPPath.parseForwardPath(Array(path.utf8)).mailbox
                #expect(mailbox.text == "\(local)@\(domain)")
            }
            #expect(isTaken ? explanation == nil : explanation?.mentions(Rule.tooLong) == true)
            // The same limit applies to an address without a path, so that every address in a header can also be a
            // recipient.
            #expect(Self.explanation { _ = try AddrSpec(parsing: "\(local)@\(domain)".utf8) } == explanation)
        }
    }

    @Test("Random octets cause no crash, and an accepted mailbox can be parsed again")
    func random() {
        var generator = SeededGenerator(seed: 31)
        let alphabet = Array(#"ab.@"\<>[]:,( )1-I6pv"#.utf8) + [0, 13, 10, 200]
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...20, using: &generator)).map { _ in
                alphabet.randomElement(using: &generator) ?? 0
            }
            guard let mailbox = try? AddrSpec(parsing: bytes) else { continue }
            #expect((try? AddrSpec(parsing: mailbox.text.utf8)) == mailbox)
        }
    }
}

@Suite("Paths")
struct SMTPPathTests {
    @Test(
        "A path is parsed, and the text after it is returned",
        arguments: [
            ("<user@example.com>", "user@example.com", ""),
            ("<user@example.com> SIZE=1", "user@example.com", " SIZE=1"),
            ("<>", "", ""), ("<> BODY=8BITMIME", "", " BODY=8BITMIME"),
            ("<@a.example:user@example.com>", "user@example.com", ""),
            ("<@a.example,@b.example:user@example.com> x", "user@example.com", " x"),
            ("<@[192.0.2.1]:user@example.com>", "user@example.com", ""),
            (#"<"a>b"@example.com> x"#, #""a>b"@example.com"#, " x"),
            (#"<"a\\"> "@example.com>"#, #""a\"> "@example.com"#, ""),
            // Paths without angle brackets, as old devices write them.
            ("user@example.com", "user@example.com", ""), ("user@example.com SIZE=1", "user@example.com", " SIZE=1"),
            ("root@localhost ", "root@localhost", " "), ("a@[192.0.2.1] x", "a@[192.0.2.1]", " x"),
            (#""a b"@example.com x"#, #""a b"@example.com"#, " x"),
        ])
    func paths(text: String, expected: String, rest: String) throws {
        let (path, behind) = try SMTPPath.parsePath(octets(text))
        #expect(path.text == expected)
        #expect(InternetMessageTests.text(behind) == rest)
    }

    @Test(
        "The explanation names what is wrong with a path",
        arguments: [
            ("", Rule.missing),
            (" <user@example.com>", Rule.blankBefore),
            ("user", Rule.noAt), ("user SIZE=1", Rule.noAt),
            ("SIZE=1", Rule.noAt),
            ("user@", Rule.noDomain),
            ("us er@example.com", Rule.noAt),
            ("user@example.com>", Rule.noOpening),
            ("user@example.com,x", Rule.badEnd),
            (#"user@example.com\tx"#, Rule.control),
            ("@a.example:user@example.com", Rule.bareRoute),
            (#""user@example.com"#, Rule.openQuote),
            (#"\{250*a}@b.example"#, Rule.tooLong),
            ("App <user@example.com>", Rule.name), (#""App" <user@example.com>"#, Rule.name),
            ("user@example.com <user@example.com>", Rule.name), ("<App <user@example.com>>", Rule.name),
            (#"<"App" <user@example.com>>"#, Rule.name),
            ("< user@example.com >", Rule.blankInside), ("<user@example.com >", Rule.blankInside),
            ("< user@example.com>", Rule.blankInside),
            ("<user@example.com", Rule.noClosing),
            (#"<"user@example.com>"#, Rule.openQuote),
            ("<user@example.com>x", Rule.rest),
            (#"<user@example.com>\tx"#, Rule.rest),
            ("<user@example.com:25>", Rule.badEnd),
            ("<user>", Rule.noAt), ("<<user@example.com>", Rule.name),
            ("<user@example.com>>", Rule.rest),
            ("<@a.example>", Rule.badRoute),
            ("<@a.example,:user@example.com>", Rule.badRoute),
            ("<@a.example,b.example:user@example.com>", Rule.badRoute),
            ("<@:user@example.com>", Rule.noDomain),
            ("<@a.example:>", Rule.nothing),
            (#"<us\0er@example.com>"#, Rule.control),
            (#"<user@ex\u{E4}mple.com>"#, Rule.nonASCII),
            (#"\u{E4}"#, Rule.nonASCII),
            (#"<\{300*a}@example.com>"#, Rule.tooLong),
        ] as [(String, [String])])
    func errors(text: String, parts: [String]) {
        do {
            let (path, _) = try SMTPPath.parsePath(octets(text))
            Issue.record("\(path) was accepted")
        } catch {
            #expect(error.explanation.mentions(parts), "\(error.explanation)")
        }
    }

    @Test("The null path <> is refused as a recipient")
    func nullRecipient() {
        let error = #expect(throws: AddressError.self) {
            try SMTPPath.parseForwardPath(Array("<>".utf8))
        }
        #expect(error?.explanation.mentions("recipient", "<>") == true)
    }
}

@Suite("Domain names")
struct DomainNameTests {
    @Test(
        "ASCII domain names, as they are written in addresses",
        arguments: [
            ("example.com", "example.com"), ("EXAMPLE.Com", "example.com"), ("localhost", "localhost"),
            ("a.b.c.d.e", "a.b.c.d.e"),
            ("1.2.3.4a", "1.2.3.4a"), ("3com.com", "3com.com"), ("a--b.example", "a--b.example"), ("a.1-1", "a.1-1"),
            ("xn--p1ai", "xn--p1ai"),
            ("", nil), (".", nil), ("a.", nil), (".a", nil), ("a..b", nil), ("-a", nil), ("a-", nil), ("a-.b", nil),
            ("a.-b", nil),
            ("a_b", nil), ("a b", nil), ("1.2.3.4", nil), ("a.1", nil), ("123", nil), ("a@b", nil), ("a/b", nil),
            ("*.a", nil),
            (String(repeating: "a", count: 63), String(repeating: "a", count: 63)),
            (String(repeating: "a", count: 64), nil),
            (String(repeating: "a.", count: 126) + "b", String(repeating: "a.", count: 126) + "b"),
            (String(repeating: "a.", count: 126) + "bc", nil),
        ] as [(String, String?)])
    func ascii(text: String, expected: String?) {
        #expect(DomainName(ascii: text.utf8)?.text == expected)
        #expect(DomainName(text: text)?.text == expected)
    }

    /// The decoded form of a label is not shown if it would become another label when it is encoded again.
    @Test(
        "A label that has no valid U-label is shown in its xn-- form",
        arguments: [
            "xn--example.com", "xn--a.example", "xn--e28h.example", "xn--99999999.example", "xn--zckzah-a.example",
        ])
    func withoutUnicode(text: String) { #expect(DomainName(text: text)?.unicodeText == text) }

    @Test(
        "Domain names as people write them",
        arguments: [
            ("b\u{FC}cher.example", "xn--bcher-kva.example"), ("B\u{DC}CHER.Example", "xn--bcher-kva.example"),
            ("fa\u{DF}.de", "xn--fa-hia.de"), ("москва.рф", "xn--80adxhks.xn--p1ai"),
            ("МОСКВА.РФ", "xn--80adxhks.xn--p1ai"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"), ("ελλάς.gr", "xn--hxarsa0b.gr"),
            // Characters that are refused, such as an emoji, a full-width letter, another full stop, a zero-width
            // joiner, or a combining mark at the beginning.
            ("\u{1F600}.example", nil), ("\u{FF45}xample.com", nil), ("a\u{3002}example", nil),
            ("\u{FC}a\u{200D}b.example", nil),
            ("\u{301}a.example", nil), ("a\u{202E}b.example", nil), ("a\u{2044}b.example", nil),
            // Labels that are reserved, empty or too long, and hyphens in the wrong place.
            ("xn--\u{FC}.example", nil), ("\u{FC}b--c.example", nil), ("\u{FC}--c.example", "xn----c-goa.example"),
            ("-\u{FC}.example", nil), ("\u{FC}-.example", nil), ("\u{FC}..example", nil), (".\u{FC}", nil),
            ("\u{FC}.", nil),
            ("\u{130}.example", nil), ("\u{FC} x.example", nil), ("\u{FC}.example/x", nil),
            (String(repeating: "\u{FC}", count: 64) + ".example", nil),
        ] as [(String, String?)])
    func text(text: String, expected: String?) throws {
        #expect(DomainName(text: text)?.text == expected)
        guard expected != nil else { return }
        let shown = try #require(DomainName(text: text)).unicodeText
        #expect(DomainName(text: shown)?.text == expected)
        #expect(shown == text.lowercased())
    }

    @Test(
        "Subdomains",
        arguments: [
            ("a.example.com", true), ("a.b.example.com", true), ("example.com", false), ("evilexample.com", false),
            ("example.com.evil.test", false), ("com", false), ("a-example.com", false),
        ])
    func subdomains(text: String, expected: Bool) throws {
        let parent = try #require(DomainName(text: "example.com"))
        #expect(try #require(DomainName(text: text)).isSubdomain(of: parent) == expected)
    }

    /// The samples of RFC 3492, section 7.1, and a few short strings.
    @Test(
        "Punycode",
        arguments: [
            ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"), ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("他們爲什麽不說中文", "ihqwctvzc91f659drss3x8bo0yb"), ("Pročprostěnemluvíčesky", "Proprostnemluvesky-uyb24dma41a"),
            ("למההםפשוטלאמדבריםעברית", "4dbcagdahymbxekheh6e0a7fei0b"),
            ("यहलोगहिन्दीक्योंनहींबोलसकतेहैं", "i1baa7eci9glrd9b2ae1bj0hfcgg6iyaf8o0a1dig0cd"),
            ("なぜみんな日本語を話してくれないのか", "n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa"),
            (
                "세계의모든사람들이한국어를이해한다면얼마나좋을까",
                "989aomsvi5e83db1d2a355cv1e0vak1dwrv93d5xbh15a0dt30a5jpsd879ccm6fea98c"
            ),
            ("почемужеонинеговорятпорусски", "b1abfaaepdrnnbgefbadotcwatmq2g4l"),
            ("PorquénopuedensimplementehablarenEspañol", "PorqunopuedensimplementehablarenEspaol-fmd56a"),
            ("TạisaohọkhôngthểchỉnóitiếngViệt", "TisaohkhngthchnitingVit-kjcr8268qyxafd2f1b9g"),
            ("3年B組金八先生", "3B-ww4c5e180e575a65lsy2b"),
            ("安室奈美恵-with-SUPER-MONKEYS", "-with-SUPER-MONKEYS-pc58ag80a8qai00g7n9n"),
            ("Hello-Another-Way-それぞれの場所", "Hello-Another-Way--fc4qua05auwb3674vfr0b"),
            ("ひとつ屋根の下2", "2-u9tlzr9756bt3uc0v"), ("MajiでKoiする5秒前", "MajiKoi5-783gue6qz075azm5e"),
            ("パフィーdeルンバ", "de-jg4avhby1noc0d"), ("そのスピードで", "d9juau41awczczp"), ("-> $1.00 <-", "-> $1.00 <--"),
            ("\u{FC}", "tda"), ("b\u{FC}cher", "bcher-kva"), ("\u{1F600}", "e28h"), ("", ""),
        ])
    func punycode(text: String, expected: String) {
        #expect(Punycode.encode(Array(text.unicodeScalars)).map { InternetMessageTests.text($0) } == expected)
        #expect(Punycode.decode(Array(expected.utf8)) == Array(text.unicodeScalars))
    }

    /// The strings have an overflow, a character that is not a digit, or an end in the middle of a number.
    @Test("Invalid Punycode is not decoded", arguments: ["99999999", "a!", "\u{FC}-a", "z", "zzzzzzzzzzzzzzz"])
    func noPunycode(text: String) { #expect(Punycode.decode(Array(text.utf8)) == nil) }
}
