import RelayCore
import StrictJSON
import TemplateFiles
import Templates
import TestSupport
import Testing

private func file(_ path: String, _ text: String) -> TemplateFiles.File {
    TemplateFiles.File(path: path, octets: Array(text.utf8))
}

private func read(
    _ description: String, as name: String = "template.yaml", html: String? = nil, text: String? = "Hello"
) throws -> TemplateFiles {
    try TemplateFiles(
        description: file(name, description), html: html.map { file("body.html", $0) },
        text: text.map { file("body.txt", $0) })
}

/// The mistakes that are reported for these files.
private func mistakes(
    _ description: String, as name: String = "template.yaml", html: String? = nil, text: String? = "Hello"
) -> [String] {
    do {
        _ = try read(description, as: name, html: html, text: text)
        return []
    } catch let error as FileMistakes {
        return error.all.map(\.description)
    } catch {
        return ["\(error)"]
    }
}

private func variable(
    _ name: String, _ type: TemplateVariableType = .string, required: Bool = true, _ standard: JSON? = nil
) -> TemplateVariable {
    TemplateVariable(
        name: name, type: type, isRequired: required, defaultValue: standard.flatMap { TemplateValue($0, type: type) })
}

@Suite struct TemplateFilesTests {
    @Test func allFieldsAreRead() throws {
        let files = try read(
            """
            name: welcome
            subject: "Hello {{ customer.name }}"
            from: Shop <shop@example.com>
            reply_to: [a@example.com, b@example.com]
            variables:
              - name: customer.name
              - {name: total, type: number, default: 0.50}
              - name: seen
                type: boolean
                required: false
              - name: when
                type: date
                default: 2026-12-01
              - name: code
                default: 007
            """, html: "<p>{{ total }}</p>\r\n", text: "{{ other }}\n")
        #expect(files.name == "welcome")
        let expected = TemplateContent(
            subject: "Hello {{ customer.name }}", html: "<p>{{ total }}</p>\r\n", text: "{{ other }}\n",
            variables: [
                variable("customer.name"),
                variable("total", .number, required: false, try JSON(reading: Array("0.50".utf8))),
                variable("seen", .boolean, required: false),
                variable("when", .date, required: false, "2026-12-01"),
                variable("code", required: false, "007"),
                // This variable is not declared, so each request must give its value.
                variable("other"),
            ], from: "Shop <shop@example.com>", replyTo: ["a@example.com", "b@example.com"])
        #expect(files.content == expected)
    }

    @Test func jsonDescriptionIsReadLikeYAML() throws {
        let files = try read(
            #"{"name": "\u00e9", "variables": [{"name": "n", "type": "number", "default": 1e2}], "reply_to": "a@b.example"}"#,
            as: "template.json")
        #expect(files.name == "\u{E9}")
        #expect(files.content.replyTo == ["a@b.example"])
        #expect(files.content.variables.first?.defaultValue?.octets.elementsEqual("1e2".utf8) == true)
    }

    @Test func allMistakesAreReportedWithTheirPlaces() {
        let told = mistakes(
            """
            name: tpl_x
            subjct: x
            subject: "{{ a"
            variables:
              - type: numbr
                name: a
              - name: b
                type: number
                default: "7"
              - required: perhaps
            """, html: "<b>\n  {{#if x}}", text: "{{ y")
        #expect(
            told.map { $0.split(separator: " ").first.map(String.init) } == [
                "template.yaml:1:7:", "template.yaml:2:1:", "template.yaml:3:10:", "template.yaml:5:11:",
                "template.yaml:9:14:", "template.yaml:10:5:", "template.yaml:10:15:", "body.html:2:3:",
                "body.txt:1:1:",
            ])
        #expect(told.contains { $0.hasPrefix("template.yaml:2:1: ") && $0.mentions("\"subjct\"", "subject") })
        #expect(told.contains { $0.hasPrefix("template.yaml:3:10: subject, character 1: ") })
    }

    @Test(
        arguments: [
            ("", ["template.yaml:1:1: ", "fields", "name: value"]),
            ("- x", ["template.yaml:1:1: ", "fields", "name: value", "list"]),
            ("subject: x", ["template.yaml:1:1: ", "\"name\"", "missing"]),
            ("name: [a]", ["template.yaml:1:7: ", "\"name\"", "text", "list"]),
            ("name: a\nname: b", ["name", "more than once"]), ("name: 'a", ["valid YAML"]),
            ("name: a\nsubject: a: b", ["template.yaml:2:11: ", "valid YAML"]),
            ("name: a\nvariables: x", ["template.yaml:2:12: ", "\"variables\"", "list"]),
            ("name: a\nvariables: [[[[[x]]]]]", ["nested"]),
            ("name: a\nfrom: nobody", ["template.yaml:2:7: "]), ("name: &x a\nsubject: *x", []),
            ("name: a\nvariables:\n  - name: a\n  - name: a.b", ["template.yaml:"]),
        ] as [(String, [String])])
    func badDescriptionsAreRefused(_ description: String, _ parts: [String]) {
        let told = mistakes(description)
        #expect(parts.isEmpty || told.contains { $0.mentions(parts) }, "\(told)")
    }

    @Test func jsonMistakesNameTheirPlace() {
        #expect(mistakes(#"{"name": "a", }"#, as: "template.json").first?.hasPrefix("template.json:1:15: ") == true)
        #expect(
            mistakes(#"{"name": "a", "variables": [{"name": 5}]}"#, as: "template.json")
                .first?.hasPrefix("template.json#/variables/0/name: ") == true)
        #expect(
            mistakes(#"{"name": 5}"#, as: "template.json").first?.mentions("\"name\"", "text", "number") == true)
    }

    @Test func bodyThatIsNotUTF8IsRefused() throws {
        let bad = TemplateFiles.File(path: "body.html", octets: [0x3C, 0xFF])
        do {
            _ = try TemplateFiles(description: file("template.yaml", "name: a"), html: bad, text: nil)
            Issue.record("the file was accepted")
        } catch {
            #expect(error.all.map(\.place.file).contains("body.html"))
        }
    }

    @Test func templateWithoutABodyIsRefused() {
        #expect(mistakes("name: a", text: nil).first?.mentions("body", "body.html", "body.txt") == true)
    }

    /// The JSON that the HTTP API accepts is also a valid file. It has the bodies as fields.
    @Test func bodiesMayBeGivenAsFields() throws {
        let files = try read(##"{"name": "a", "html": "<p>{{x}}</p>", "text": "t"}"##, as: "a.json", text: nil)
        #expect(files.content.html == "<p>{{x}}</p>" && files.content.text == "t")
        #expect(
            mistakes(#"{"name": "a", "text": "t"}"#, as: "template.json")
                .first?.mentions("\"text\"", "body.txt", "both") == true)
        #expect(
            mistakes(#"{"name": "a", "html": "{{x"}"#, as: "a.json", text: nil).first?.hasPrefix("a.json, html:1:")
                == true)
    }

    // MARK: Writing

    private static let texts = [
        "plain", "two words", "yes", "No", "null", "~", "", " ", "a ", "5", "0.5", "a: b", "- a", "#", "a #b",
        "{{ x }}",
        "'", "\"", "\\", "\\{{", "\u{E9}", "e\u{301}", "\u{1F600}", "\t", "a\nb", "\u{85}\u{2028}\u{FEFF}", "@x", "%",
        "a\u{A0}",
        "<a@b.example>", "y", "2026-12-01", "*x", "&x", "!x", "|", ">", "?", "[", "{",
    ]

    @Test(arguments: texts) func writtenTemplateIsReadBackUnchanged(_ text: String) throws {
        let content = TemplateContent(
            // A subject is one line.
            subject: text.contains("\n") ? "x" : text.replacing("{{ x }}", with: "{{ v0 }}"), text: "{{ v0 }}",
            variables: [
                TemplateVariable(
                    name: "v0", isRequired: false, defaultValue: TemplateValue(JSON(text), type: .string)),
                variable("n", .number, required: false, try JSON(reading: Array("-1.50e3".utf8))),
                variable("b", .boolean, required: false, true), variable("d", .date, required: false, "2026-12-01"),
            ])
        let name = Template.fault(ofName: text) == nil ? text : "name"
        var generator = SeededGenerator.next()
        let template = Template(
            id: TemplateID(using: &generator), owner: .shared, name: name, content: content, createdAt: Sample.now,
            updatedAt: Sample.now)
        let files = try read(TemplateFiles.description(of: template), text: content.text)
        #expect(files.name.utf8.elementsEqual(name.utf8))
        #expect(files.content == content)
        #expect(files.content.subject.map { Array($0.utf8) } == content.subject.map { Array($0.utf8) })
        #expect(files.content.variables.stored == content.variables.stored)
    }

    // MARK: Forms

    private func form(
        name: String = "a", subject: String = "", replyTo: [String] = [], variables: String = "", html: String? = nil,
        text: String? = "Hello"
    ) -> Result<TemplateFiles, FileMistakes> {
        do throws(FileMistakes) {
            return .success(
                try TemplateFiles(
                    fields: .init(name: name, subject: subject, from: "", replyTo: replyTo), variables: variables,
                    html: html, text: text))
        } catch {
            return .failure(error)
        }
    }

    @Test func formGivesTheSameTemplateAsFiles() throws {
        let files = try form(
            subject: "Hi {{ n }}", replyTo: ["a@b.example"], variables: "- name: n\n  type: number\n", text: "{{ x }}"
        ).get()
        let expected = TemplateContent(
            subject: "Hi {{ n }}", text: "{{ x }}", variables: [variable("n", .number), variable("x")],
            replyTo: ["a@b.example"])
        #expect(files.content == expected)
        let again = try form(
            subject: "Hi {{ n }}", replyTo: ["a@b.example"],
            variables: TemplateFiles.description(of: expected.variables), text: "{{ x }}"
        ).get()
        #expect(again.content == expected)
    }

    @Test func mistakesOfAFormNameItsFields() {
        guard
            case .failure(let mistakes) = form(
                name: "", subject: "{{", replyTo: ["nobody"], variables: "- name: 5\n- nam: x", html: "<p>\n{{ #x }}")
        else {
            Issue.record("the form was accepted")
            return
        }
        #expect(Set(mistakes.all.map(\.place.file)) == ["Name", "Subject", "Variables", "HTML"])
        #expect(mistakes.all.contains { $0.place == FilePlace(file: "HTML", line: 2, column: 1) })
        if case .failure(let empty) = form(text: nil) {
            #expect(empty.all.map(\.place.file) == ["HTML"])
        } else {
            Issue.record("a form without a body was accepted")
        }
    }

    /// A mistake in a field does not hide another mistake in the same field.
    @Test func allVariableMistakesAreReported() {
        let told = mistakes("name: a\nvariables:\n  - name: 5a\n  - name: 6a\n  - name: b\n  - name: b")
        #expect(
            told.map { $0.prefix { $0 != " " } } == [
                "template.yaml:3:11:", "template.yaml:4:11:", "template.yaml:6:11:",
            ])
    }
}
