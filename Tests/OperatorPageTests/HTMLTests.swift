import Testing

@testable import OperatorPage

@Suite struct HTMLTests {
    @Test(arguments: [
        ("plain", "plain"), ("a < b & c > d", "a &lt; b &amp; c &gt; d"), ("\"q\" 'a'", "&quot;q&quot; &#39;a&#39;"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"), ("&lt;", "&amp;lt;"),
        ("Grüße 👋", "Grüße 👋"),
        ("a\u{0}b\u{1B}c", "a\u{FFFD}b\u{FFFD}c"), ("a\u{202E}b", "a\u{FFFD}b"), ("a\r\nb", "a\u{FFFD}\u{FFFD}b"),
    ])
    func textIsEscaped(_ text: String, _ expected: String) {
        let html: HTML = "<p title=\"\(text)\">\(text)</p>"
        #expect(html.text == "<p title=\"\(expected)\">\(expected)</p>")
    }

    @Test func nestedMarkupIsNotEscapedAgain() {
        let inner: HTML = "<b>\("<i>")</b>"
        let outer: HTML = "<p>\(inner)\([inner, inner])\(3)</p>"
        #expect(outer.text == "<p><b>&lt;i&gt;</b><b>&lt;i&gt;</b><b>&lt;i&gt;</b>3</p>")
    }

    @Test func lineBreaksAndTabsAreKeptAndOtherControlsReplaced() {
        let html: HTML = "<pre>\(lines: "a\r\nb\n\tc<\u{7}")</pre>"
        #expect(html.text == "<pre>a\nb\n\tc&lt;\u{FFFD}</pre>")
    }

    /// For any text, the HTML has no characters that a browser would read as markup.
    @Test func noTextBecomesMarkup() {
        var generator = SystemRandomNumberGenerator()
        let alphabet: [Unicode.Scalar] = ["<", ">", "&", "\"", "'", "a", "=", "/", "\u{0}", "\n", "`", "\u{2028}", "é"]
        for _ in 0..<2000 {
            var text = ""
            for _ in 0..<Int.random(in: 0...20, using: &generator) {
                text.unicodeScalars.append(alphabet.randomElement(using: &generator) ?? "a")
            }
            let one: HTML = "\(text)"
            let several: HTML = "\(lines: text)"
            for html in [one, several] {
                #expect(!html.text.contains { "<>\"'".contains($0) })
                #expect(!html.text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
            }
        }
    }

    @Test func falseConditionOmitsMarkup() {
        #expect(when(true, "<b>").text == "<b>")
        #expect(when(false, "<b>").isEmpty)
    }
}
