import RelayCore
import StrictJSON
import Testing

@testable import Templates

@Suite("The grammar of templates") struct GrammarTests {
    @Test(
        "A placeholder becomes its value, with or without blanks inside",
        arguments: ["{{a.b}}", "{{ a.b }}", "{{\ta.b  }}"])
    func placeholder(_ text: String) throws {
        #expect(try rendered(TemplateContent(text: "<\(text)>"), #"{"a": {"b": "x"}}"#).text == "<x>")
    }

    @Test(
        "Text that is not a placeholder stays as it is",
        arguments: ["{", "}", "}}", "{ {a} }", "a{b{c}}d}", "\\{", "\\\\", "{}"])
    func literal(_ text: String) throws { #expect(try rendered(TemplateContent(text: text), "{}").text == text) }

    @Test("Two braces after a backslash stay two braces") func escapedBraces() throws {
        let content = TemplateContent(text: #"\{{a}} {{a}} \\{{ \{{{a}}"#)
        #expect(try rendered(content, #"{"a": "1"}"#).text == #"{{a}} 1 \{{ {{{a}}"#)
    }

    @Test("Braces in a value have no special meaning") func bracesInValues() throws {
        let content = TemplateContent(subject: "{{a}}", html: "{{a}}{{b}}", text: "{{a}}{{b}}")
        let made = try rendered(content, #"{"a": "{{b}} \\{{", "b": "}}"}"#)
        #expect(made.text == "{{b}} \\{{}}")
        #expect(made.html == "{{b}} \\{{}}")
        #expect(made.subject == "{{b}} \\{{")
    }

    @Test("All mistakes are reported at once, each with its line and column") func positions() throws {
        let content = TemplateContent(
            subject: "é {{}}", html: "<p>\r\n{{#if a}}\n<b>{{{x}}}</b>", text: "{{a\n}} {{1a}}\r{{a b}} {{a")
        let badName = ["name", "A to Z", "digits", "underscores", "full stop", "customer.name"]
        let notClosed = ["closed", "{{name}}", "\\{{"]
        expect(
            mistakes { _ = try ParsedTemplate(content) },
            [
                ("/subject 1:3", ["no name", "{{customer.name}}"]), ("/html 2:1", ["conditions", "loops", "partials"]),
                ("/html 3:4", ["Three braces", "two"]), ("/text 1:1", notClosed), ("/text 2:4", badName),
                ("/text 3:1", badName), ("/text 3:9", notClosed),
            ])
    }

    @Test("A template may be as large as the limits allow, and no larger") func limits() throws {
        let longest = TemplateContent.longestBody
        let open = String(repeating: "{{", count: longest / 2)
        #expect(mistakes { _ = try ParsedTemplate(TemplateContent(text: open)) }.count == TemplateMistakes.limit + 1)
        let large = String(repeating: "a", count: longest + 1)
        expect(
            mistakes { _ = try ParsedTemplate(TemplateContent(text: large)) },
            [("/text", ["\"text\"", "\(longest + 1) octets", "\(longest)"])])
        let many = String(repeating: "{{a}}", count: TemplateContent.mostPlaceholders)
        #expect(mistakes { _ = try ParsedTemplate(TemplateContent(text: many)) } == [])
        expect(
            mistakes { _ = try ParsedTemplate(TemplateContent(text: many + "{{a}}")) }, [("", ["1000 placeholders"])])
        let variables = (0...TemplateContent.mostVariables).map { "{{a\($0)}}" }.joined()
        expect(
            mistakes { _ = try ParsedTemplate(TemplateContent(text: variables)) },
            [("/variables", ["200 variables"])])
        let deep = Array(repeating: "a", count: 9).joined(separator: ".")
        expect(
            mistakes { _ = try ParsedTemplate(TemplateContent(text: "{{\(deep)}}")) },
            [("/text 1:1", ["name", "9 parts", "8"])])
    }

    @Test("Addresses must be valid, and have no placeholders") func addresses() throws {
        let content = TemplateContent(text: "a", from: "{{a}}@b.example", replyTo: ["ok@b.example", "b"])
        expect(
            mistakes { _ = try ParsedTemplate(content) },
            [("/from", ["placeholders", "\"from\"", "request"]), ("/reply_to/1", [])])
    }

    @Test("A placeholder that is not declared becomes a required string") func undeclared() throws {
        let declared = TemplateVariable(name: "n", type: .number)
        let template = try ParsedTemplate(
            TemplateContent(subject: "{{s}}", html: "{{n}}", text: "{{t.u}}", variables: [declared]))
        #expect(template.content.variables == [declared, .init(name: "s"), .init(name: "t.u")])
    }

    @Test("A variable can't be both a value and the parent of other variables") func conflicts() throws {
        let content = TemplateContent(text: "{{a}} {{a.b}}", variables: [.init(name: "c.d"), .init(name: "c")])
        expect(
            mistakes { _ = try ParsedTemplate(content) },
            [("/variables/1/name", ["\"c\"", "\"c.d\""]), ("/variables", ["\"a\"", "\"a.b\""])])
    }
}
