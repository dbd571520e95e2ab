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
        "What is no placeholder means itself", arguments: ["{", "}", "}}", "{ {a} }", "a{b{c}}d}", "\\{", "\\\\", "{}"])
    func literal(_ text: String) throws { #expect(try rendered(TemplateContent(text: text), "{}").text == text) }

    @Test("A backslash before two braces makes two braces of them") func escapedBraces() throws {
        let content = TemplateContent(text: #"\{{a}} {{a}} \\{{ \{{{a}}"#)
        #expect(try rendered(content, #"{"a": "1"}"#).text == #"{{a}} 1 \{{ {{{a}}"#)
    }

    @Test("Braces in a value mean nothing") func bracesInValues() throws {
        let content = TemplateContent(subject: "{{a}}", html: "{{a}}{{b}}", text: "{{a}}{{b}}")
        let made = try rendered(content, #"{"a": "{{b}} \\{{", "b": "}}"}"#)
        #expect(made.text == "{{b}} \\{{}}")
        #expect(made.html == "{{b}} \\{{}}")
        #expect(made.subject == "{{b}} \\{{")
    }

    @Test("All mistakes are told at once, each with its line and column") func positions() throws {
        let content = TemplateContent(
            subject: "é {{}}", html: "<p>\r\n{{#if a}}\n<b>{{{x}}}</b>", text: "{{a\n}} {{1a}}\r{{a b}} {{a")
        let expected = [
            "/subject 1:3 The placeholder has no name; write one, such as {{customer.name}}.",
            "/html 2:1 There are no conditions, loops or partials in a template; prepare the text in the application and give it as a variable.",
            "/html 3:4 Three braces have no meaning, because a value is always escaped for its place; write two.",
            "/text 1:1 The placeholder is not closed; write it on one line, such as {{name}}, or write \\{{ for two braces.",
            "/text 2:4 The name in the placeholder is not made of letters (A to Z), digits and underscores, with a full stop between its parts, none of which begins with a digit; write it such as customer.name.",
            "/text 3:1 The name in the placeholder is not made of letters (A to Z), digits and underscores, with a full stop between its parts, none of which begins with a digit; write it such as customer.name.",
            "/text 3:9 The placeholder is not closed; write it on one line, such as {{name}}, or write \\{{ for two braces.",
        ]
        #expect(mistakes { _ = try ParsedTemplate(content) } == expected)
    }

    @Test("A template may be as large and nested as the limits say, and no larger") func limits() throws {
        let longest = TemplateContent.longestBody
        let open = String(repeating: "{{", count: longest / 2)
        #expect(mistakes { _ = try ParsedTemplate(TemplateContent(text: open)) }.count == TemplateMistakes.limit + 1)
        let large = String(repeating: "a", count: longest + 1)
        #expect(
            mistakes { _ = try ParsedTemplate(TemplateContent(text: large)) }
                == ["/text \"text\" has \(longest + 1) octets; shorten it to at most \(longest)."])
        let many = String(repeating: "{{a}}", count: TemplateContent.mostPlaceholders)
        #expect(mistakes { _ = try ParsedTemplate(TemplateContent(text: many)) } == [])
        #expect(
            mistakes { _ = try ParsedTemplate(TemplateContent(text: many + "{{a}}")) }
                == [" The template has more than 1000 placeholders; use fewer."])
        let variables = (0...TemplateContent.mostVariables).map { "{{a\($0)}}" }.joined()
        #expect(
            mistakes { _ = try ParsedTemplate(TemplateContent(text: variables)) }
                == ["/variables The template has more than 200 variables; use fewer."])
        let deep = Array(repeating: "a", count: 9).joined(separator: ".")
        #expect(
            mistakes { _ = try ParsedTemplate(TemplateContent(text: "{{\(deep)}}")) }
                == ["/text 1:1 The name in the placeholder has 9 parts; nest it at most 8 deep."])
    }

    @Test("Addresses have no placeholders, and are addresses") func addresses() throws {
        let content = TemplateContent(text: "a", from: "{{a}}@b.example", replyTo: ["ok@b.example", "b"])
        let found = mistakes { _ = try ParsedTemplate(content) }
        #expect(found.count == 2)
        #expect(
            found.first
                == "/from An address of a template can't have placeholders; give \"from\" in the request instead.")
        #expect(found.last?.hasPrefix("/reply_to/1 ") == true)
    }

    @Test("A placeholder that is not declared becomes a required string") func undeclared() throws {
        let declared = TemplateVariable(name: "n", type: .number)
        let template = try ParsedTemplate(
            TemplateContent(subject: "{{s}}", html: "{{n}}", text: "{{t.u}}", variables: [declared]))
        #expect(template.content.variables == [declared, .init(name: "s"), .init(name: "t.u")])
    }

    @Test("A variable is not both a value and the parent of others") func conflicts() throws {
        let content = TemplateContent(text: "{{a}} {{a.b}}", variables: [.init(name: "c.d"), .init(name: "c")])
        #expect(
            mistakes { _ = try ParsedTemplate(content) } == [
                "/variables/1/name \"c\" is a variable, so it can't contain other variables such as \"c.d\"; rename one of them.",
                "/variables \"a\" is a variable, so it can't contain other variables such as \"a.b\"; rename one of them.",
            ])
    }
}
