import RelayCore
import StrictJSON

@testable import Templates

/// Mistakes as `pointer line:column sentence`, for comparison.
func mistakes(_ body: () throws -> Void) -> [String] {
    do {
        try body()
        return []
    } catch let mistakes as TemplateMistakes {
        return mistakes.all.map { mistake in
            let place = mistake.position.map { " \($0.line):\($0.column)" } ?? ""
            return "\(mistake.pointer)\(place) \(mistake.detail)"
        }
    } catch {
        return ["\(error)"]
    }
}

func mistakes(html: String) -> [String] { mistakes { _ = try ParsedTemplate(TemplateContent(html: html)) } }

func json(_ text: String) throws -> JSON { try JSON(reading: Array(text.utf8)) }

/// The template with the variables that a document gives.
func rendered(_ content: TemplateContent, _ variables: String) throws -> RenderedTemplate {
    let template = try ParsedTemplate(content)
    return template.render(try template.values(try json(variables)))
}
