import HTTPServer
import HTTPTypes
import NIOCore
import RelayCore
import StrictJSON
import Templates
import Testing

@testable import OperatorPage

@Suite struct TemplatePreviewTests {
    /// The sample values fit each template: they are nested as its names are, they have its types, and a value is a
    /// link if its place needs a link.
    @Test func sampleValuesFitTheTemplate() throws {
        let content = TemplateContent(
            subject: "{{ customer.name }}",
            html:
                "<a href=\"{{ customer.page_url }}\">{{ total }} {{ seen }} {{ when }} {{ code }}</a><a href=\"{{ x }}\"></a>",
            variables: [
                TemplateVariable(name: "total", type: .number), TemplateVariable(name: "seen", type: .boolean),
                TemplateVariable(name: "when", type: .date),
                TemplateVariable(
                    name: "code", isRequired: false, defaultValue: TemplateValue("007", type: .string)),
            ])
        let parsed = try ParsedTemplate(content)
        let values = try parsed.values(SampleValues.json(for: parsed.content.variables))
        let rendered = parsed.render(values)
        #expect(rendered.subject == "customer name")
        #expect(
            rendered.html
                == "<a href=\"https://example.com/\">42 true 2026-12-01 007</a><a href=\"x\"></a>")
    }

    @Test(arguments: ["", "{", "[]", #"{"y": 1}"#]) func previewAnswersAnyValues(_ values: String) {
        let answer = TemplatePreview.answer(
            TemplateContent(html: "<p>{{ x }}</p>", variables: [TemplateVariable(name: "x")]), values: values,
            showsText: false)
        let text = String(buffer: answer.body)
        #expect(text.contains("class=\"wrong\"") == !values.isEmpty)
        #expect(answer.head.headerFields[.contentSecurityPolicy]?.contains("sandbox") == true)
    }

    @Test func previewDropsElementsThatOpenConnections() {
        let answer = TemplatePreview.answer(
            TemplateContent(html: "<link rel=preconnect href=\"https://x.example/\"><b>x</b>"), values: "",
            showsText: false)
        #expect(!String(buffer: answer.body).contains("<link"))
    }
}
