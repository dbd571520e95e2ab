import RelayCore
import StrictJSON
import Testing

@testable import Templates

@Suite("Placeholders in HTML") struct PlaceTests {
    @Test(
        "A value can stand in text and in quoted attributes",
        arguments: [
            "{{x}}", "a {{x}} b", "<p>{{x}}</p>", "<p title=\"{{x}}\">", "<p title='a {{x}}'>",
            "<p a=b title = \"{{x}}\"/>",
            "<title>{{x}}</title>", "<textarea>\n{{x}}</textarea>", "<!-- a --><p>{{x}}", "<!DOCTYPE html><p>{{x}}",
            "<style>a{b:c}</style>{{x}}", "<style><!-- a > b --></style>{{x}}", "<a href=\"https://a.example/?{{x}}\">",
            "<a href=\"{{x}}\">", "<a href=\"page/{{x}}\">", "<a href=\"{{x}}&amp;t=1:2\">", "<svg><a/></svg>{{x}}",
            "<select><option>{{x}}</option></select>", "a < b {{x}}", "<p style=\"color:{{x}}\">",
            "<noscript><img src=\"a.gif\"></noscript>{{x}}", "<!--[if mso]><table><![endif]-->{{x}}",
            "<script type=\"application/ld+json\">{\"a\": \"<b>\"}</script>{{x}}", "<a href='mailto:{{x}}'>",
        ]) func allowed(_ html: String)
    { #expect(mistakes(html: html) == []) }

    @Test(
        "A value can't be used where escaping does not keep it in its place",
        arguments: [
            "<{{x}}>", "</{{x}}>", "<p{{x}}>", "<p {{x}}>", "<p {{x}}=\"a\">", "<p title={{x}}>", "<p title=a{{x}}>",
            "<p title=\"a\"{{x}}>", "<p title= {{x}} >", "<!--{{x}}-->", "<!-- a {{x}}", "<!DOCTYPE {{x}}>",
            "<?a {{x}}>",
            "<script>{{x}}</script>", "<STYLE>{{x}}</style>", "<iframe>{{x}}</iframe>", "<noscript>{{x}}</noscript>",
            "<plaintext>{{x}}", "<p onclick=\"{{x}}\">", "<p ONload='a({{x}})'>", "<iframe srcdoc=\"{{x}}\">",
            "<a href={{x}}>", "<a href=\"java{{x}}:a\">", "<a href=\"{{x}}:a\">", "<a href=\"{{x}}&#58;a\">",
            "<a href=\"{{x}}&colon;a\">", "<a href=\"javascript:a({{x}})\">", "<a href=\"java\nscript:a({{x}})\">",
            "<a href=\"javascript&colon;{{x}}\">", "<a href=\"&#106;avascript:{{x}}\">",
            "<a href=\"javascript&{{x}}\">",
            "<a href=\"data:text/html,{{x}}\">", "<title><{{x}}</title>", "<title></{{x}}</title>",
            "<title></title{{x}}></title>", "<svg>{{x}}</svg>", "<svg a=/>{{x}}", "<math><p title=\"{{x}}\">",
            "<svg><style><a title=\"</style>{{x}}\">", "<select><style><a onclick=\"</style>{{x}}\">",
            "<script><!--<script></script>{{x}}", "<!-->{{x}}", "<!-- --!>{{x}}", "<noscript><!-- </noscript>{{x}}",
            "<svg></svg><![CDATA[ <p> ]]>{{x}}", "<p title=\"{{y}}\" {{x}}>", "a <{{x}} b",
        ]) func forbidden(_ html: String)
    { #expect(mistakes(html: html).count == 1, "\(mistakes(html: html))") }

    @Test("A value is written in the form that its place needs") func forms() throws {
        let content = TemplateContent(
            subject: "{{v}}", html: "<p title='{{v}}' id=\"{{v}}\">{{v}}</p>", text: "{{v}}")
        let made = try rendered(content, #"{"v": "a<b>&\"c'\r\n\u0085d\u2028"}"#)
        let escaped = "a&lt;b&gt;&amp;&quot;c&#39;\r\n\u{85}d\u{2028}"
        #expect(made.html == "<p title='\(escaped)' id=\"\(escaped)\">\(escaped)</p>")
        #expect(made.text == "a<b>&\"c'\r\n\u{85}d\u{2028}")
        #expect(made.subject == "a<b>&\"c' d ")
    }

    @Test(
        "A value in a link may have only an allowed scheme",
        arguments: [
            ("https://a.example/", true), ("HTTP://a", true), ("mailto:a@b.example", true), ("tel:1", true),
            ("cid:a", true),
            ("/a:b", true), ("a?b:c", true), ("#a:", true), ("", true), (" https://a", true), ("//a.example", true),
            ("javascript:a", false), (" JavaScript:a", false), ("java\tscript:a", false), ("\u{1}javascript:a", false),
            ("data:text/html,a", false), ("vbscript:a", false), (":a", false), ("file:///a", false),
        ]) func links(_ url: String, _ isAllowed: Bool) throws
    {
        let template = try ParsedTemplate(TemplateContent(html: "<a href=\"{{x}}\">"))
        let found = mistakes { _ = try template.values(["x": JSON(url)]) }
        #expect(found.isEmpty == isAllowed, "\(found)")
        #expect(found.allSatisfy { $0.place == "/x" })
    }

    @Test("A value after the beginning of a URL can't make a scheme") func partsOfURLs() throws {
        let template = try ParsedTemplate(TemplateContent(html: "<img src=\"a{{x}}.png\">"))
        #expect(mistakes { _ = try template.values(["x": "b/c:d"]) } == [])
        expect(mistakes { _ = try template.values(["x": ":b"]) }, [("/x", ["\"x\"", "URL", "scheme", "%3A"])])
    }

    @Test("A value in a style attribute stays in its declaration", arguments: ["a;b", "url(a)", "a}b", "a\\b", "a\nb"])
    func styles(_ value: String) throws {
        let template = try ParsedTemplate(TemplateContent(html: "<p style=\"color:{{x}}\">"))
        #expect(mistakes { _ = try template.values(["x": "#f0f0f0"]) } == [])
        #expect(mistakes { _ = try template.values(["x": JSON(value)]) }.count == 1)
    }

    @Test(
        "HTML that is slow to check is checked only once",
        arguments: ["<!---->", "<noscript>", "<svg>", "<a b='", "<title>", "</", "<script>a</script>"])
    func hostile(_ piece: String) {
        let html = String(repeating: piece, count: (TemplateContent.longestBody - 5) / piece.utf8.count) + "{{x}}"
        #expect(mistakes(html: html).count <= 1)
    }
}
