import Testing

@testable import InternetMessage

@Suite("The parts that a person sees")
struct ReadablePartsTests {
    private static let plain = "Content-Type: text/plain\\r\\n\\r\\nHi"
    private static let html = "Content-Type: text/html\\r\\n\\r\\n<p>Hi"
    private static let file =
        "Content-Type: application/pdf; name=a.pdf\\r\\nContent-Disposition: attachment; filename=b.pdf\\r\\nContent-Transfer-Encoding: base64\\r\\n\\r\\nSGVsbG8="

    static let messages: [(String, String)] = [
        ("\\r\\nHi\\r\\n", "text=Hi|"),
        (plain, "text=Hi"), (html, "html=<p>Hi"), (file, "attached application/pdf 5 b.pdf"),
        ("Content-Type: image/png\\r\\n\\r\\nabc", "attached image/png 3"),
        ("Content-Type: text\\r\\n\\r\\nHi", "text=Hi"), ("Content-Type:\\r\\n\\r\\nHi", "text=Hi"),
        ("Content-Type: TEXT/HTML; charset\\r\\n\\r\\nHi", "html=Hi"),
        ("Content-Type: text/html\\r\\nContent-Type: image/png\\r\\n\\r\\nHi", "html=Hi"),
        (multipart("alternative", "b", [plain, html]), "text=Hi; html=<p>Hi"),
        (
            multipart("mixed", "b", [multipart("alternative", "c", [plain, html]), file]),
            "text=Hi; html=<p>Hi; attached application/pdf 5 b.pdf"
        ),
        // The boundary of one multipart is the beginning of the boundary of another.
        (multipart("mixed", "b", [multipart("related", "bb", [html]), plain]), "text=Hi; html=<p>Hi"),
        (multipart("mixed", "b", [multipart("mixed", "b", [plain])]), "text=; attached text/plain 2"),
        (multipart("mixed", "b", [plain, plain]), "text=Hi; attached text/plain 2"),
        (multipart("mixed", "b", ["\\r\\nHi\\r\\n"]), "text=Hi|"),
        (multipart("mixed", "b", [""]), "text="),
        (multipart("digest", "b", ["\\r\\nA: 1\\r\\n\\r\\nHi"]), "attached message/rfc822 10"),
        (
            multipart("signed", "b", [plain, "Content-Type: application/pgp-signature\\r\\n\\r\\nxyz"]),
            "text=Hi; attached application/pgp-signature 3"
        ),
        (
            multipart(
                "report", "b",
                [
                    plain, "Content-Type: message/delivery-status\\r\\n\\r\\nA: 1\\r\\n",
                    "Content-Type: message/rfc822\\r\\n\\r\\n" + plain,
                ]),
            "text=Hi; attached message/delivery-status 6; attached message/rfc822 30"
        ),
        (
            multipart("mixed", "b", ["Content-Type: message/rfc822\\r\\n\\r\\n" + multipart("mixed", "c", [plain])]),
            "attached message/rfc822 91"
        ),
        // An attachment is not shown as text.
        (
            multipart("mixed", "b", ["Content-Disposition: ATTACHMENT\\r\\n\\r\\nno", plain]),
            "text=Hi; attached text/plain 2"
        ),
        (
            multipart(
                "mixed", "b",
                ["Content-Type: text/html\\r\\nContent-Disposition: attachment; filename=a.html\\r\\n\\r\\nno", html]),
            "html=<p>Hi; attached text/html 2 a.html"
        ),
        // Preamble and epilogue are not shown.
        (
            "Content-Type: multipart/mixed; boundary=b\\r\\n\\r\\nno\\r\\n--bb\\r\\n--b \\t\\r\\n\\r\\nHi\\r\\n--b--\\r\\nno\\r\\n--b\\r\\n\\r\\nno",
            "text=Hi"
        ),
        ("Content-Type: multipart/mixed; boundary=\"b \"\\n\\n--b\\n\\nHi\\n\\n--b--\\n", "text=Hi|"),
        (
            "Content-Type: multipart/mixed;\\r\\n boundary*0=b;\\r\\n boundary*1=c\\r\\n\\r\\n--bc\\r\\n\\r\\nHi",
            "text=Hi"
        ),
        // Missing or wrong boundaries.
        ("Content-Type: multipart/mixed\\r\\n\\r\\n--b\\r\\n\\r\\nHi", "text=--b||Hi"),
        ("Content-Type: multipart/mixed; boundary=\\r\\n\\r\\nHi", "text=Hi"),
        ("Content-Type: multipart/mixed; boundary=\"\"\\r\\n\\r\\nHi", "text=Hi"),
        ("Content-Type: multipart/mixed; boundary=c\\r\\n\\r\\n--b\\r\\n\\r\\nHi\\r\\n--b--", "text=--b||Hi|--b--"),
        ("Content-Type: multipart/mixed; boundary=c\\r\\n\\r\\nHi\\r\\n--c--\\r\\nthere", "text=Hi"),
        ("Content-Type: multipart/mixed; boundary=\"c\\r\\n\\r\\n--c\\r\\nHi", "text=--c|Hi"),
        (
            multipart("mixed", "b", ["Content-Type: multipart/mixed; boundary=c\\r\\n\\r\\nHi", html]),
            "text=Hi; html=<p>Hi"
        ),
        (
            multipart("mixed", "b", [plain, "Content-Type: multipart/mixed\\r\\n\\r\\nHo"]),
            "text=Hi; attached multipart/mixed 2"
        ),
        // An inner multipart that does not end.
        (
            multipart("mixed", "b", ["Content-Type: multipart/mixed; boundary=c\\r\\n\\r\\n--c\\r\\n" + plain, html]),
            "text=Hi; html=<p>Hi"
        ),
        // A part without an empty line, and a part with a line that is not a field.
        (
            "Content-Type: multipart/mixed; boundary=b\\r\\n\\r\\n--b\\r\\nContent-Type: text/html\\r\\n--b\\r\\nHi there\\r\\n--b--",
            "text=Hi there; html="
        ),
        // Messages that end before they are complete.
        (
            "Content-Type: multipart/mixed; boundary=b\\r\\n\\r\\n--b\\r\\nContent-Type: text/html\\r\\n\\r\\nHi\\r\\n--",
            "html=Hi|--"
        ),
        ("Content-Type: multipart/mixed; boundary=b\\r\\n\\r\\n--b\\r\\nContent-Ty", "text=Content-Ty"),
        ("Content-Type: multipart/mixed; boundary=b", "text="),
    ]

    @Test("Each message is shown as expected", arguments: messages)
    func message(octets message: String, shown: String) {
        #expect(summary(message) == shown)
    }

    @Test(
        "The name of a part comes from Content-Disposition or else from Content-Type, and is decoded",
        arguments: [
            ("; filename=a.png", "a.png"), ("; filename=\"a b.png\"", "a b.png"), ("", "t.png"),
            ("; filename=\"\"", "t.png"),
            ("; filename*=utf-8''J%C3%BC.png", "J\\u{FC}.png"), ("; filename*=iso-8859-15''%A4.png", "\\u{20AC}.png"),
            ("; filename*=x-mine''%FC.png", "\\u{FC}.png"),
            ("; filename*0*=utf-8''J%C3; filename*1*=%BC.png", "J\\u{FC}.png"),
            ("; filename*0=a; filename*1=b.png", "ab.png"), ("; filename=\"=?utf-8?q?J=C3=BC.png?=\"", "J\\u{FC}.png"),
            ("; filename=\"J\\xFC.png\"", "J\\u{FC}.png"), ("; filename=\"a\\x07.png\"", "a\\u{FFFD}.png"),
            ("; filename=a.png; b=[", "a.png"), ("; filename=\"\\{300*a}\"", "\\{255*a}"),
        ])
    func name(parameters: String, name: String) {
        let message = ReadableMessage(
            octets(
                "Content-Type: image/png; name=t.png\\r\\nContent-Disposition: attachment" + parameters
                    + "\\r\\n\\r\\nx"))
        #expect(message.parts.map(\.name) == [text(octets(name))])
        #expect(message.isCutOff == name.hasPrefix("\\{"))
    }

    @Test("Nested multiparts are opened only down to a limited depth")
    func depth() {
        func nested(_ depth: Int) -> String {
            (0..<depth).reversed().reduce(Self.plain) { multipart("mixed", "b\($1)x", [$0]) }
        }
        #expect(summary(nested(20)) == "text=Hi")
        let deep = ReadableMessage(octets(nested(21)))
        #expect(deep.parts.map(\.type) == ["multipart/mixed"] && deep.isCutOff && deep.text == nil)
        #expect(ReadableMessage(octets(nested(2000))).isCutOff)
    }

    @Test("The number of parts is limited, but a text after the last of them is still found")
    func parts() {
        let many = ReadableMessage(
            octets(multipart("mixed", "b", [String](repeating: Self.file, count: 201) + [Self.plain])))
        #expect(many.parts.count == 200 && many.text == "Hi" && many.isCutOff)
        let allowed = ReadableMessage(
            octets(multipart("mixed", "b", [Self.plain] + [String](repeating: Self.file, count: 200))))
        #expect(allowed.parts.count == 200 && !allowed.isCutOff)
    }
}
