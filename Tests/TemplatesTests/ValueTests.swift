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

    private func found(_ variables: String) throws -> [String] {
        let template = try #require(template)
        let document = try json(variables)
        return mistakes { _ = try template.values(document) }
    }

    @Test("Numbers and dates are written as they are given") func asGiven() throws {
        #expect(
            try text(#"{"customer": {"name": "Ada"}, "count": 1.50e+2, "paid": true, "due": "2026-02-28"}"#)
                == "Ada 1.50e+2 true 2026-02-28  Hello")
        #expect(
            try text(
                #"{"customer": {"name": ""}, "count": -0, "paid": false, "due": "2026-12-01T09:00:00+01:00", "note": "n", "greeting": null}"#
            ) == " -0 false 2026-12-01T09:00:00+01:00 n Hello")
    }

    @Test("All that is missing, unknown or mistyped is told at once") func allAtOnce() throws {
        let document =
            #"{"customer": {"nam": "Ada"}, "count": "1", "paid": 1, "due": "2026-02-30", "notes": 1, "note": {}}"#
        #expect(
            try found(document) == [
                "/customer/nam The template has no variable \"customer.nam\"; did you mean \"customer.name\"?",
                "/count The variable \"count\" must be a number, not a string.",
                "/paid The variable \"paid\" must be a boolean, not a number.",
                "/due The variable \"due\" must be a date as a string (2026-12-01, or 2026-12-01T09:00:00Z), not this string.",
                "/notes The template has no variable \"notes\"; did you mean \"note\"?",
                "/note The variable \"note\" must be a string, not an object.",
                "/customer/name The variable \"customer.name\" is required: a string.",
            ])
        #expect(
            try found(#"{"customer": "Ada", "count": 1, "paid": true, "due": "2026-01-01"}"#) == [
                "/customer \"customer\" must be an object, not a string."
            ])
        #expect(try found("[]") == [" \"variables\" must be an object, not an array."])
    }

    @Test("A name with a full stop is nested") func dotted() throws {
        let document = #"{"customer.name": "Ada", "count": 1, "paid": true, "due": "2026-01-01"}"#
        #expect(
            try found(document) == [
                "/customer.name The variable \"customer.name\" must be nested: {\"customer\": {\"name\": …}}.",
                "/customer/name The variable \"customer.name\" is required: a string.",
            ])
    }

    @Test("No more mistakes are told than are asked for") func bounded() throws {
        let many = "{" + (0..<100_000).map { "\"v\($0)\": 1" }.joined(separator: ",") + "}"
        let template = try #require(template)
        let document = try JSON(reading: Array(many.utf8), limits: JSONLimits(values: 1_000_000))
        #expect(mistakes { _ = try template.values(document, limit: 3) }.count == 4)
    }

    @Test("A NUL character stands in no body") func null() throws {
        let template = try ParsedTemplate(TemplateContent(subject: "{{b}}", text: "{{a}}"))
        #expect(
            mistakes { _ = try template.values(["a": "x\u{0}", "b": "\u{0}"]) }
                == ["/a The variable \"a\" holds a NUL character; leave it out."])
    }

    @Test("The size is known before anything is made") func size() throws {
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

    @Test("A default is held to what the values are held to") func defaults() throws {
        let url = TemplateVariable(
            name: "u", isRequired: false, defaultValue: TemplateValue("javascript:a", type: .string))
        let both = TemplateVariable(name: "b", defaultValue: TemplateValue("b", type: .string))
        let found = mistakes {
            _ = try ParsedTemplate(TemplateContent(html: "<a href='{{u}}'>", variables: [url, both]))
        }
        #expect(found.count == 2)
        #expect(found.first?.hasPrefix("/variables/0/default The default of \"u\" stands in a link") == true)
        #expect(found.last?.hasPrefix("/variables/1/default The variable \"b\" has a default") == true)
    }

    @Test("Variables read back as they were stored") func stored() throws {
        let variables = try #require(template).content.variables
        #expect([TemplateVariable](stored: variables.stored) == variables)
        #expect([TemplateVariable](stored: Array("[{}]".utf8)) == nil)
    }
}
