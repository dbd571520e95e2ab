import Foundation
import Testing

@testable import InternetMessage

@Suite("Images within the HTML")
struct InlineImagesTests {
    /// A message with this HTML and an image `<i@x>` whose octets are `abc`.
    private static func related(_ html: String, type: String = "image/png", id: String = "<i@x>", count: Int = 1)
        -> String
    {
        let image = "Content-Type: \(type)\\r\\nContent-ID: \(id)\\r\\nContent-Transfer-Encoding: base64\\r\\n\\r\\n"
        return multipart(
            "related", "b",
            ["Content-Type: text/html\\r\\n\\r\\n" + html] + [String](repeating: image + "YWJj", count: count))
    }

    private static let shown = "data:image/png;base64,YWJj"

    @Test(
        "An image that src=\"cid:…\" names is put into the HTML, and nothing else changes",
        arguments: [
            ("<img src=\"cid:i@x\">", "<img src=\"\(shown)\">"),
            ("<IMG alt='' SRC = 'CID:i@x'>", "<IMG alt='' SRC = '\(shown)'>"),
            (
                "<img src=\"cid:i%40x\"/><img alt=\"\"src=\"cid:i@x\">",
                "<img src=\"\(shown)\"/><img alt=\"\"src=\"\(shown)\">"
            ),
            ("<img src=cid:i@x>", "<img src=cid:i@x>"), ("<img src=\"cid:i@y\">", "<img src=\"cid:i@y\">"),
            ("<img src=\"cid:I@X\">", "<img src=\"cid:I@X\">"),
            ("<img data-src=\"cid:i@x\">", "<img data-src=\"cid:i@x\">"),
            ("<a href=\"cid:i@x\">", "<a href=\"cid:i@x\">"), ("<img src=\"cid:i@x", "<img src=\"cid:i@x"),
            ("<img src='cid:i@x\">", "<img src='cid:i@x\">"),
            ("<img src=\"http://x.example/\">", "<img src=\"http://x.example/\">"),
            ("<img src", "<img src"), ("<img src=", "<img src="), ("<img src=\"", "<img src=\""),
            ("src=\"cid:i@x\"", "src=\"cid:i@x\""),
        ])
    func replaced(html: String, result: String) {
        let message = ReadableMessage(octets(Self.related(html)))
        #expect(message.html?.text == result)
        #expect(message.parts.map(\.isAttachment) == [!result.contains("data:")])
        #expect(message.parts.map(\.contentID) == ["i@x"])
        #expect(!message.isCutOff)
    }

    @Test(
        "Only images of types that hold no script are put into the HTML",
        arguments: ["image/svg+xml", "text/plain", "application/octet-stream", "image/bmp"])
    func types(type: String) {
        let message = ReadableMessage(octets(Self.related("<img src=\"cid:i@x\">", type: type)))
        #expect(message.html?.text == "<img src=\"cid:i@x\">")
    }

    @Test(
        "An image is written in base64 with its padding",
        arguments: [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("\\xFB\\xFF\\xBF?", "+/+/Pw==")])
    func base64(content: String, encoded: String) {
        let message = multipart(
            "related", "b",
            [
                "Content-Type: text/html\\r\\n\\r\\n<img src='cid:i'>",
                "Content-Type: image/gif\\r\\nContent-ID: i\\r\\n\\r\\n" + content,
            ])
        #expect(ReadableMessage(octets(message)).html?.text == "<img src='data:image/gif;base64,\(encoded)'>")
    }

    @Test("The first part with the Content-ID is used, even if it is marked as an attachment")
    func first() {
        #expect(
            ReadableMessage(octets(Self.related("<img src='cid:i@x'>", count: 2))).parts.map(\.isAttachment) == [
                false, true,
            ])
        let message = multipart(
            "mixed", "b",
            [
                "Content-Type: text/html\\r\\n\\r\\n<img src='cid:i'>",
                "Content-Type: image/gif\\r\\nContent-Disposition: attachment\\r\\nContent-ID: <i>\\r\\n\\r\\nabc",
            ])
        #expect(summary(message) == "html=<img src='data:image/gif;base64,YWJj'>; attached image/gif 3 <i>")
    }

    @Test("The number and the octets of images are limited, and an image counts each time that it is shown")
    func bounds() {
        let html = "\\{21*<img src='cid:i@x'>}"
        let many = ReadableMessage(octets(Self.related(html)))
        #expect(many.isCutOff)
        #expect(many.html?.text.components(separatedBy: Self.shown).count == 21)
        #expect(many.html?.text.hasSuffix("<img src='cid:i@x'>") == true)
        var limits = ReadableMessage.Limits()
        limits.imageSize = 7
        let large = ReadableMessage(octets(Self.related(html)), limits: limits)
        #expect(large.isCutOff)
        #expect(large.html?.text.components(separatedBy: Self.shown).count == 3)
    }
}
