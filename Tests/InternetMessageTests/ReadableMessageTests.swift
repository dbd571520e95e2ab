import Foundation
import Testing

@testable import InternetMessage

private func read(_ message: String) -> ReadableMessage { ReadableMessage(octets(message)) }

/// The text that a person sees of a message with these fields and this body. The message has only one text part.
private func text(_ fields: String, _ body: String) -> String? {
    let message = read(fields + #"\r\n\r\n"# + body)
    #expect(message.parts.isEmpty && message.html == nil && !message.isCutOff)
    return message.text
}

@Suite("The header that a person reads")
struct ReadableHeaderTests {
    @Test(
        "A value is one line of decoded text",
        arguments: [
            ("a", "a"), ("  a b \\t", "a b"), ("", ""), ("a\\r\\n b", "a b"), ("a\\r\\n\\tb\\r\\n  c", "a\\tb  c"),
            ("a\\n b", "a b"), ("=?utf-8?q?J=C3=BCrgen?= <j@x.example>", "J\\u{FC}rgen <j@x.example>"),
            ("=?utf-8?B?SsO8cmdlbg==?=", "J\\u{FC}rgen"), ("=?UTF-8*en?q?a_b?=", "a b"),
            ("=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "\\u{FC}"), ("=?utf-8?q?a?=\\r\\n =?utf-8?q?b?= c", "ab c"),
            ("=?utf-8?q?a?= =?iso-8859-1?q?=FC?=", "a\\u{FC}"), ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
            ("=?iso-8859-15?q?=A4?=", "\\u{20AC}"), ("=?windows-1252?q?=80?=", "\\u{20AC}"),
            ("=?koi8-r?q?=C1?=", "\\u{430}"), ("=?iso-8859-2?q?=A3?=", "\\u{141}"),
            ("=?windows-1250?q?=8A?=", "\\u{160}"), ("=?windows-1251?q?=C0?=", "\\u{410}"),
            ("=?us-ascii?q?a_b?=", "a b"), ("=?x-mine?q?a?=", "=?x-mine?q?a?="), ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?q?=G1=?=", "=G1="), ("=?utf-8?b?Sm/D\\r\\n tg?=", "Jo\\u{F6}"), ("=?utf-8?q?a", "=?utf-8?q?a"),
            ("=?=?=?utf-8?q?a?=", "=?=?a"), ("=?utf-8?q??=", ""), ("J\\u{FC}rgen", "J\\u{FC}rgen"),
            ("J\\xFCrgen", "J\\u{FC}rgen"),
            ("a\\0b\\eb\\x7F", "a\\u{FFFD}b\\u{FFFD}b\\u{FFFD}"), ("a\\rb", "a\\u{FFFD}b"),
            ("=?utf-8?q?a=0D=0AFrom:_b?=", "a\\u{FFFD}\\u{FFFD}From: b"), ("a\\u{202E}b", "a\\u{FFFD}b"),
            ("=?utf-8?q?=FF?=", "\\u{FFFD}"),
        ])
    func value(written: String, shown: String) {
        let message = read("Subject:" + written + #"\r\nTo: x\r\n\r\n"#)
        #expect(message.fields.map(\.name) == ["Subject", "To"])
        #expect(message.fields.first?.value == InternetMessageTests.text(octets(shown)))
        #expect(message.text == "")
    }

    @Test("Fields keep the order of the message, and repeated fields stay repeated")
    func order() {
        let message = read(#"B: 1\r\na: 2\r\nB : 3\r\n\r\nC: 4\r\n"#)
        #expect(message.fields.map { "\($0.name)=\($0.value)" } == ["B=1", "a=2", "B=3"])
        #expect(message.text == "C: 4\n")
    }

    @Test("A line that is not a field begins the body")
    func notAField() {
        let message = read(#"A: 1\r\nHello there\r\nB: 2\r\n"#)
        #expect(message.fields.map(\.name) == ["A"])
        #expect(message.text == "Hello there\nB: 2\n")
        #expect(read(#": 1\r\n"#).text == ": 1\n")
        #expect(read("J\\u{FC}: 1").text == "J\u{FC}: 1")
    }

    @Test("An incomplete header is read", arguments: ["", "A", "A:", "A: 1", "A: 1\\r", "A: 1\\r\\n", " A"])
    func cut(octets message: String) {
        let message = read(message)
        #expect(message.fields.count <= 1)
        #expect(!message.isCutOff)
    }

    @Test("The number of fields and the characters of each field are limited")
    func bounds() {
        let many = read("\\{1001*A: 1\\r\\n}\\r\\n")
        #expect(many.fields.count == 1000 && many.isCutOff)
        let allowed = read("\\{1000*A: 1\\r\\n}\\r\\n")
        #expect(allowed.fields.count == 1000 && !allowed.isCutOff)
        let long = read("A: \\{4001*\u{FC}}\\r\\n\\r\\n")
        #expect(long.fields.first?.value.unicodeScalars.count == 4000 && long.isCutOff)
        #expect(!read("A: \\{4000*\u{FC}}\\r\\n\\r\\n").isCutOff)
        let name = read("\\{4001*A}: x\\r\\n\\r\\n")
        #expect(name.fields.first?.name.count == 4000 && name.isCutOff)
        let hidden = read("\\{1000*A: 1\\r\\n}Content-Type: image/png\\r\\n\\r\\nx")
        #expect(hidden.text == "x" && hidden.isCutOff)
    }
}

@Suite("The text that a person reads")
struct ReadableTextTests {
    @Test(
        "Transfer encodings are decoded, leniently",
        arguments: [
            ("7bit", "a =41\\r\\nb", "a =41\\nb"), ("x-unknown", "=41", "=41"), ("", "=41", "=41"),
            ("quoted-printable", "=41=c3=BC", "A\\u{FC}"), ("Quoted-Printable ", "=41", "A"),
            ("quoted-printable (as it is)", "=41", "A"),
            ("quoted-printable", "a=\\r\\nb=\\nc", "abc"), ("quoted-printable", "a= \\t\\r\\nb", "ab"),
            ("quoted-printable", "a \\t\\r\\nb \\nc \\td \\t", "a\\nb\\nc \\td"), ("quoted-printable", "a=", "a"),
            ("quoted-printable", "a=4", "a=4"), ("quoted-printable", "=4G=zz= a==41", "=4G=zz= a=A"),
            ("quoted-printable", "a=\\r", "a"), ("quoted-printable", "=0D=0Aa=0Db", "\\na\\nb"),
            ("base64", "SGVsbG8=", "Hello"), ("BASE64", "SGVs\\r\\nbG8", "Hello"),
            ("base64", "S G-V*s bG8=\\r\\n", "Hello"),
            ("base64", "SGVsbG8=\\r\\n--\\r\\nfooter", "Hello"), ("base64", "=SGVsbG8=", "Hello"),
            ("base64", "SGVsb", "Hel"),
            ("base64", "", ""), ("base64", "====", ""),
        ])
    func encodings(encoding: String, body: String, shown: String) {
        #expect(
            text("Content-Transfer-Encoding: " + encoding, body) == InternetMessageTests.text(octets(shown)))
        let length = TransferEncoding(octets(encoding)[...]).decodedCount(octets(body)[...])
        #expect(TransferEncoding(octets(encoding)[...]).decoded(octets(body)[...], limit: 1000).count == length)
    }

    @Test(
        "Charsets are decoded; text in an unknown charset is read as UTF-8 or windows-1252",
        arguments: [
            ("utf-8", "\\xC3\\xBC\\xFF\\xC3", "\\u{FC}\\u{FFFD}\\u{FFFD}"), ("UTF8", "\\u{FEFF}a", "a"),
            ("us-ascii", "\\xC3\\xBC", "\\u{FC}"), ("us-ascii", "\\xFC", "\\u{FC}"),
            ("iso-8859-1", "\\xC3\\x80", "\\u{C3}\\u{20AC}"), ("ISO-8859-15", "\\xA4", "\\u{20AC}"),
            ("windows-1252", "\\x93a\\x94\\x81", "\\u{201C}a\\u{201D}\\u{FFFD}"),
            ("iso-8859-2", "\\xB3\\x81", "\\u{142}\\u{FFFD}"),
            ("windows-1250", "\\x9C", "\\u{15B}"), ("windows-1251", "\\xFF", "\\u{44F}"),
            ("koi8-r", "\\xD1", "\\u{44F}"),
            ("x-mine", "\\xC3\\xBC", "\\u{FC}"), ("x-mine", "\\xFC\\x80", "\\u{FC}\\u{20AC}"),
            ("x-mine", "\\xC3\\xBC\\xE2\\x82", "\\u{FC}\\u{FFFD}"), ("\"utf-8\"", "\\xC3\\xBC", "\\u{FC}"),
            ("", "\\xFC", "\\u{FC}"),
        ])
    func charsets(charset: String, body: String, shown: String) {
        #expect(
            text("Content-Type: text/plain; charset=" + charset, body) == InternetMessageTests.text(octets(shown)))
    }

    @Test("Each table decodes each octet as Foundation does")
    func tables() throws {
        let encodings: [(TextCharset.Table, String.Encoding)] = [
            (.windows1250, .windowsCP1250), (.windows1251, .windowsCP1251), (.windows1252, .windowsCP1252),
            (.latin2, .isoLatin2),
        ]
        for (table, encoding) in encodings {
            for octet in UInt8.min...UInt8.max {
                let character = table.string([octet])
                #expect(character.unicodeScalars.count == 1)
                guard character != "\u{FFFD}" else { continue }
                #expect(character == String(data: Data([octet]), encoding: encoding), "\(table) \(octet)")
            }
        }
    }

    @Test("Line ends become LF, and all other control characters except tab become U+FFFD")
    func controls() {
        #expect(text("A: 1", "a\\r\\nb\\rc\\nd\\r\\r\\ne\\tf") == "a\nb\nc\nd\n\ne\tf")
        #expect(text("A: 1", "\\0\\e\\x7F\\u{85}\\x0C") == "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}")
    }

    @Test("A long text is cut between two characters, whatever its encoding is")
    func bounds() {
        let limit = 256 * 1024
        #expect(read("\\r\\n\\{\(limit)*a}").isCutOff == false)
        let long = read("\\r\\n\\{\(limit + 1)*a}")
        #expect(long.isCutOff && long.text?.utf8.count == limit)
        let wide = read("Content-Type: text/html\\r\\n\\r\\na\\{\(limit)*\u{20AC}}")
        #expect(wide.isCutOff && wide.html?.text.utf8.count == 1 + (limit - 1) / 3 * 3)
        #expect(wide.html?.text.contains("\u{FFFD}") == false)
        let lines = read("\\r\\n\\{\(limit)*\\r\\n}")
        #expect(!lines.isCutOff && lines.text?.utf8.count == limit)
        let encoded = read("Content-Transfer-Encoding: quoted-printable\\r\\n\\r\\n\\{\(limit / 2 + 1)*=C3=BC}")
        #expect(encoded.isCutOff && encoded.text?.utf8.count == limit)
    }
}
