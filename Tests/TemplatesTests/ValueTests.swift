import RelayCore
import StrictJSON
import Testing

@testable import Templates

@Suite("The values of variables") struct ValueTests {
    private let template = try? ParsedTemplate(
        TemplateContent(
            text: "{{customer.name}} {{count}} {{paid}} {{due}} {{note}} {{greeting}}",
            variables: [
                TemplateVariable(name: "customer.name"), TemplateVariable(name: "count", type: .number),
                TemplateVariable(name: "paid", type: .boolean), TemplateVariable(name: "due", type: .date),
                TemplateVariable(name: "note", isRequired: false),
                TemplateVariable(
                    name: "greeting", isRequired: false, defaultValue: TemplateValue("Hello", type: .string)),
            ]))

    private func text(_ variables: String) throws -> String? {
        let template = try #require(template)
        return template.render(try template.values(try json(variables))).text
    }

    private func found(_ variables: String) throws -> [FoundMistake] {
        let template = try #require(template)
        let document = try json(variables)
        return mistakes { _ = try template.values(document) }
    }

    @Test("Numbers and dates are written as given") func asGiven() throws {
        #expect(
            try text(#"{"customer": {"name": "Ada"}, "count": 1.50e+2, "paid": true, "due": "2026-02-28"}"#)
                == "Ada 1.50e+2 true 2026-02-28  Hello")
        #expect(
            try text(
                #"{"customer": {"name": ""}, "count": -0, "paid": false, "due": "2026-12-01T09:00:00+01:00", "note": "n", "greeting": null}"#
            ) == " -0 false 2026-12-01T09:00:00+01:00 n Hello")
    }

    @Test("All missing, unknown and mistyped values are reported at once") func allAtOnce() throws {
        let document =
            #"{"customer": {"nam": "Ada"}, "count": "1", "paid": 1, "due": "2026-02-30", "notes": 1, "note": {}}"#
        expect(
            try found(document),
            [
                ("/customer/nam", ["\"customer.nam\"", "\"customer.name\""]),
                ("/count", ["\"count\"", "number", "string"]), ("/paid", ["\"paid\"", "boolean", "number"]),
                ("/due", ["\"due\"", "date", "2026-12-01", "2026-12-01T09:00:00Z", "string"]),
                ("/notes", ["\"notes\"", "\"note\""]), ("/note", ["\"note\"", "string", "object"]),
                ("/customer/name", ["\"customer.name\"", "required", "string"]),
            ])
        expect(
            try found(#"{"customer": "Ada", "count": 1, "paid": true, "due": "2026-01-01"}"#),
            [("/customer", ["\"customer\"", "object", "string"])])
        expect(try found("[]"), [("", ["\"variables\"", "object", "array"])])
    }

    @Test("The value of a name with a full stop is in a nested object") func dotted() throws {
        let document = #"{"customer.name": "Ada", "count": 1, "paid": true, "due": "2026-01-01"}"#
        expect(
            try found(document),
            [
                ("/customer.name", ["\"customer.name\"", "{\"customer\": {\"name\": …}}"]),
                ("/customer/name", ["\"customer.name\"", "required", "string"]),
            ])
    }

    @Test("The number of reported mistakes is bounded") func bounded() throws {
        let many = "{" + (0..<100_000).map { "\"v\($0)\": 1" }.joined(separator: ",") + "}"
        let template = try #require(template)
        let document = try JSON(reading: Array(many.utf8), limits: JSONLimits(values: 1_000_000))
        #expect(mistakes { _ = try template.values(document, limit: 3) }.count == 4)
    }

    @Test("A body can't contain a NUL character") func null() throws {
        let template = try ParsedTemplate(TemplateContent(subject: "{{b}}", text: "{{a}}"))
        expect(
            mistakes { _ = try template.values(["a": "x\u{0}", "b": "\u{0}"]) }, [("/a", ["\"a\"", "NUL"])])
    }

    @Test("The size is known before anything is rendered") func size() throws {
        let content = TemplateContent(
            subject: "{{a}}", html: String(repeating: "<p>{{a}}</p>", count: 900), text: "{{a}}")
        let template = try ParsedTemplate(content)
        let megabyte = 1 << 20
        let values = try template.values(["a": JSON(String(repeating: "&", count: megabyte))])
        #expect(values.size == 900 * (7 + 5 * megabyte) + 2 * megabyte)
        let small = try template.values(["a": "\"\n\u{85}é"])
        let made = template.render(small)
        #expect(small.size == [made.subject, made.html, made.text].reduce(0) { $0 + ($1?.utf8.count ?? 0) })
    }

    @Test("A default must follow the same rules as a value") func defaults() throws {
        let url = TemplateVariable(
            name: "u", isRequired: false, defaultValue: TemplateValue("javascript:a", type: .string))
        let both = TemplateVariable(name: "b", defaultValue: TemplateValue("b", type: .string))
        let found = mistakes {
            _ = try ParsedTemplate(TemplateContent(html: "<a href='{{u}}'>", variables: [url, both]))
        }
        expect(
            found,
            [
                ("/variables/0/default", ["default", "\"u\"", "link"]),
                ("/variables/1/default", ["\"b\"", "default", "required"]),
            ])
    }

    @Test("Variables read back as they were stored") func stored() throws {
        let variables = try #require(template).content.variables
        #expect([TemplateVariable](stored: variables.stored) == variables)
        #expect([TemplateVariable](stored: Array("[{}]".utf8)) == nil)
    }
}
