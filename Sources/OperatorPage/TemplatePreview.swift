import HTTPServer
import HTTPTypes
import NIOCore
import RelayCore
import StrictJSON
import Templates

/// A template with values, as a document for a frame that allows neither scripts nor requests.
enum TemplatePreview {
    /// The memory that one preview may need while it is made, in octets.
    static let octets = 8 << 20
    /// The largest number of octets of the rendered email: enough for the largest template with ordinary values.
    private static let longest = 4 << 20

    /// The stored template with sample values.
    static func stored(_ page: OperatorPage, _ id: TemplateID, _ query: Form) async throws -> HTTPAnswer {
        let template = try await TemplatePage.template(
            page, id, version: TemplatePage.version(query["version"]))
        return try await page.turns.with(octets) { answer(template.content, values: "", showsText: false) }
    }

    /// - Parameter values: JSON; empty: sample values are used.
    static func answer(_ content: TemplateContent, values: String, showsText: Bool) -> HTTPAnswer {
        let given: JSON
        if values.isEmpty {
            given = SampleValues.json(for: content.variables)
        } else {
            do throws(JSONError) {
                given = try JSON(reading: Array(values.utf8))
            } catch {
                return answer(["Values, line \(error.line), column \(error.column): \(error.explanation)."])
            }
        }
        do throws(TemplateMistakes) {
            let parsed = try ParsedTemplate(content)
            let checked = try parsed.values(given)
            guard checked.size <= longest else {
                return answer(["The email would have \(grouped(checked.size)) octets, too many for a preview."])
            }
            return answer(parsed.render(checked), showsText: showsText)
        } catch {
            return answer(
                error.all.map { mistake in
                    let name = mistake.pointer.tokens.joined(separator: ".")
                    return name.isEmpty ? mistake.sentence : "\(name): \(mistake.sentence)"
                })
        }
    }

    private static func answer(_ rendered: RenderedTemplate, showsText: Bool) -> HTTPAnswer {
        let head: HTML = """
            <p class="line"><b>\(rendered.subject ?? "(the subject of the request)")</b><br>\(rendered.from ?? "(the sender of the request)")</p>
            """
        var octets = Array(document(head).text.utf8)
        if let html = rendered.html, !showsText || rendered.text == nil {
            octets += FramedHTML.octets(of: html)
        } else {
            octets += Array(("<pre>\(lines: rendered.text ?? "")</pre>" as HTML).text.utf8)
        }
        return MessageContent.framed(octets)
    }

    /// The mistakes, in the place of the preview.
    static func answer(_ mistakes: [String]) -> HTTPAnswer {
        MessageContent.framed(
            Array(document("<ul class=\"wrong\">\(mistakes.map { "<li>\($0)</li>" as HTML })</ul>").text.utf8))
    }

    private static func document(_ body: HTML) -> HTML {
        """
        <!doctype html><html lang="en"><meta charset="utf-8"><title>Preview</title><style>
        .line, .wrong, pre { font: 15px/1.5 system-ui, sans-serif; color: #1f1d1a; margin: 0 0 12px; white-space: pre-wrap; overflow-wrap: anywhere; }
        .line { border-bottom: 1px solid #dedad3; padding-bottom: 8px; }
        .wrong { color: #a6261d; padding-left: 20px; }
        </style>\(body)

        """
    }
}

/// Sample values, which show where each variable is.
enum SampleValues {
    static func json(for variables: [TemplateVariable]) -> JSON {
        .object(object(variables.map { ($0.name.split(separator: ".").map(String.init)[...], $0) }))
    }

    private static func object(_ variables: [(path: ArraySlice<String>, variable: TemplateVariable)]) -> JSONObject {
        var names: [String] = []
        var below: [String: [(path: ArraySlice<String>, variable: TemplateVariable)]] = [:]
        for (path, variable) in variables {
            guard let name = path.first else { continue }
            if below[name] == nil { names.append(name) }
            below[name, default: []].append((path.dropFirst(), variable))
        }
        return JSONObject(
            names.map { name in
                let inner = below[name] ?? []
                if let variable = inner.first(where: { $0.path.isEmpty })?.variable {
                    return .init(JSONString(name), value(variable))
                }
                return .init(JSONString(name), .object(object(inner)))
            })
    }

    private static func value(_ variable: TemplateVariable) -> JSON {
        if let value = variable.defaultValue { return value.json }
        let last = variable.name.split(separator: ".").last.map { $0.lowercased() } ?? ""
        switch variable.type {
        case .number: return 42
        case .boolean: return true
        case .date: return "2026-12-01"
        // A value at the beginning of a link must be a link.
        case .string where ["url", "link", "href", "src", "image"].contains { last.hasSuffix($0) }:
            return "https://example.com/"
        case .string: return JSON(variable.name.replacing(".", with: " ").replacing("_", with: " "))
        }
    }
}
