import InternetMessage
import MessageComposition
import RelayCore
import StrictJSON
import TestSupport
import Testing

@testable import Templates

@Suite("Rules that are true for all values") struct PropertyTests {
    /// Values that do harm if they can leave their place.
    private static let hostile = [
        "<script>a</script>", "\"><img src=x onerror=a>", "' onclick='a", "-->", "</title><b>", "</textarea>", "{{a}}",
        "\\{{",
        "&lt;", "&#58;", "javascript:a", "\r\nBcc: a@b.example", "\n\n", "\u{0}", "\u{85}", "\u{2028}", "é",
        "\u{202E}a",
        "=?utf-8?q?a?=", "]]>", "`", "=", ";}", "/", "", " ", "a", "https://a.example/?a=b&c",
    ]
    private static let pieces = [
        "<p>", "</p>", "<a href=\"", "<a href='", "\">", "'>", "<p title=\"", "<p style='", "<title>", "</title>",
        "<!--", "-->",
        "<style>", "</style>", "<svg>", "</svg>", "<", ">", "\"", "'", "&", "{", "}", "{{a}}", "{{a}}", "{{b.c}}",
        "{{ a }}",
        "\\{{", "text", "é", "\r\n", "https://a.example/", "java", ":", "<textarea>", "</textarea>", "=", " ",
        "<noscript>",
        "</noscript>", "<select>", "<b x=y>",
    ]

    private static func text(_ pieces: [String], _ most: Int, _ random: inout SeededGenerator) -> String {
        (0..<Int.random(in: 0...most, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
    }

    @Test(
        "A rendered email has the texts of the template and the values, and can be composed",
        arguments: [1, 2, 3, 4] as [UInt64])
    func rendering(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var rendered = 0
        for _ in 0..<1500 {
            let content = TemplateContent(
                subject: PropertyTests.text(["{{a}}", "{{b.c}}", "text", "é", "\\{{", "{", "}"], 4, &random),
                html: PropertyTests.text(PropertyTests.pieces, 8, &random),
                text: PropertyTests.text(PropertyTests.pieces, 8, &random),
                variables: [.init(name: "a"), .init(name: "b.c")])
            guard let template = try? ParsedTemplate(content) else { continue }
            let a = PropertyTests.text(PropertyTests.hostile, 3, &random)
            let c = PropertyTests.text(PropertyTests.hostile, 3, &random)
            guard let values = try? template.values(["a": JSON(a), "b": ["c": JSON(c)]]) else { continue }
            rendered += 1
            let made = template.render(values)
            #expect(values.size == [made.subject, made.html, made.text].reduce(0) { $0 + ($1?.utf8.count ?? 0) })
            #expect(
                made.text == naive(content.text, a, c) { $0 } && made.html == naive(content.html, a, c, escaped),
                "\(content)")
            try checkComposes(made)
        }
        // If few emails were rendered, the test would prove little.
        #expect(rendered > 100)
    }

    /// Renders in another way: it splits the source at each placeholder and joins the pieces with the value.
    private func naive(_ source: String?, _ a: String, _ c: String, _ form: (String) -> String) -> String? {
        source?.replacing("\\{{", with: "\u{E000}").split(separator: "{{ a }}", omittingEmptySubsequences: false)
            .joined(separator: "{{a}}").split(separator: "{{a}}", omittingEmptySubsequences: false).map { part in
                part.split(separator: "{{b.c}}", omittingEmptySubsequences: false).joined(separator: form(c))
            }.joined(separator: form(a)).replacing("\u{E000}", with: "{{")
    }

    private func escaped(_ value: String) -> String {
        let references: [Unicode.Scalar: String] = [
            "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&#39;",
        ]
        return value.unicodeScalars.map { references[$0] ?? String($0) }.joined()
    }

    private func checkComposes(_ made: RenderedTemplate) throws {
        let author = try Mailbox(parsing: "a@b.example")
        let email = Email(
            from: author, to: [author], subject: made.subject ?? "", text: made.text, html: made.html)
        #expect(email.defects().isEmpty, "\(email.defects())")
        var composer = MessageComposer(email, seed: 1)
        var message: [UInt8] = []
        while let piece = composer.next() { message += piece }
        let header = String(decoding: message, as: UTF8.self).split(separator: "\r\n\r\n", maxSplits: 1)[0]
        let names = header.split(separator: "\r\n").filter { $0.first != " " && $0.first != "\t" }
            .map { String($0.prefix { $0 != ":" }) }
        // No value has added a header field.
        #expect(names.sorted() == ["Content-Type", "From", "MIME-Version", "Subject", "To"], "\(names)")
        let read = ReadableMessage(message)
        #expect(lines(read.text) == lines(made.text), "\(made)")
        #expect(lines(read.html?.text) == lines(made.html), "\(made)")
    }

    private func lines(_ text: String?) -> String {
        var lines = (text ?? "").replacing("\r\n", with: "\n").replacing("\r", with: "\n")
        // `ReadableMessage` does not show these characters.
        for control in ["\u{85}", "\u{202E}"] { lines = lines.replacing(control, with: "\u{FFFD}") }
        lines = lines.replacing("\u{2028}", with: "\u{FFFD}")
        return lines.isEmpty || lines.hasSuffix("\n") ? lines : lines + "\n"
    }

    @Test("Any text is read as a template without a crash, and within the limits", arguments: [5, 6] as [UInt64])
    func anyText(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let octets = Array("<>{}\"'=!-/&ab \n{{\\:;#".utf8)
        for _ in 0..<5000 {
            let text = String(
                decoding: (0..<Int.random(in: 0...40, using: &random)).map { _ in
                    octets.randomElement(using: &random) ?? 0
                }, as: UTF8.self)
            let found = mistakes { _ = try ParsedTemplate(TemplateContent(subject: text, html: text, text: text)) }
            #expect(found.count <= TemplateMistakes.limit + 1)
            #expect(found.allSatisfy { $0.sentence.hasSuffix(".") || $0.sentence.hasSuffix("?") }, "\(found)")
        }
    }
}

@Suite("The difference between two texts") struct LineDiffTests {
    @Test("The difference has both texts, and is as short as possible", arguments: [7, 8, 9] as [UInt64])
    func difference(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let (a, b) = (lines(&random), lines(&random))
            let diff = LineDiff(text(a), text(b))
            #expect(diff.lines.filter { $0.kind != .added }.map(\.text) == a)
            #expect(diff.lines.filter { $0.kind != .removed }.map(\.text) == b)
            #expect(diff.lines.filter { $0.kind == .same }.count == longestCommon(a, b), "\(a) \(b)")
            #expect(diff.isEmpty == (a == b))
            for hunk in diff.hunks(context: 1) {
                #expect(
                    Array(a.dropFirst(hunk.oldStart - 1).prefix(hunk.lines.filter { $0.kind != .added }.count))
                        == hunk.lines.filter { $0.kind != .added }.map(\.text))
                #expect(
                    Array(b.dropFirst(hunk.newStart - 1).prefix(hunk.lines.filter { $0.kind != .removed }.count))
                        == hunk.lines.filter { $0.kind != .removed }.map(\.text))
            }
            #expect(
                diff.hunks(context: 1).flatMap(\.lines).filter { $0.kind != .same }
                    == diff.lines.filter { $0.kind != .same })
        }
    }

    private func lines(_ random: inout SeededGenerator) -> [String] {
        (0..<Int.random(in: 0...12, using: &random)).map { _ in ["a", "b", "c", ""].randomElement(using: &random) ?? ""
        }
    }

    private func text(_ lines: [String]) -> String { lines.map { $0 + "\n" }.joined() }

    private func longestCommon(_ a: [String], _ b: [String]) -> Int {
        var row = Array(repeating: 0, count: b.count + 1)
        for x in a {
            var next = [0]
            for (j, y) in b.enumerated() { next.append(x == y ? row[j] + 1 : max(row[j + 1], next[j])) }
            row = next
        }
        return row[b.count]
    }

    @Test("Texts that have nothing in common are compared quickly") func bounded() {
        let a = (0..<200_000).map { "a\($0)\n" }.joined()
        let b = (0..<200_000).map { "b\($0)\n" }.joined()
        let diff = LineDiff(a, b)
        #expect(diff.lines.filter { $0.kind == .removed }.count == 200_000)
        #expect(diff.lines.filter { $0.kind == .added }.count == 200_000)
        #expect(LineDiff(nil, "a\n").lines.map(\.kind) == [.added])
        #expect(LineDiff("a\r\nb", "a\nb\n").isEmpty)
    }
}
