import RelayCore
import StrictJSON
import TestSupport
import Testing

@testable import Templates

/// A mistake that was found.
struct FoundMistake: Equatable, CustomStringConvertible {
    /// `pointer line:column`, or only the pointer.
    var place: String
    var sentence: String

    var description: String { "\(place) \(sentence)" }
}

func mistakes(_ body: () throws -> Void) -> [FoundMistake] {
    do {
        try body()
        return []
    } catch let mistakes as TemplateMistakes {
        return mistakes.all.map { mistake in
            let place = mistake.position.map { " \($0.line):\($0.column)" } ?? ""
            return FoundMistake(place: "\(mistake.pointer)\(place)", sentence: mistake.detail)
        }
    } catch {
        return [FoundMistake(place: "", sentence: "\(error)")]
    }
}

/// Checks that these mistakes were found, in this order: each at its place, with a sentence that mentions the parts.
func expect(
    _ found: [FoundMistake], _ expected: [(String, [String])], sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(found.map(\.place) == expected.map { $0.0 }, sourceLocation: sourceLocation)
    for (mistake, (_, parts)) in zip(found, expected) {
        #expect(mistake.sentence.mentions(parts), "\(mistake)", sourceLocation: sourceLocation)
    }
}

func mistakes(html: String) -> [FoundMistake] { mistakes { _ = try ParsedTemplate(TemplateContent(html: html)) } }

func json(_ text: String) throws -> JSON { try JSON(reading: Array(text.utf8)) }

/// The template with the variables that a document gives.
func rendered(_ content: TemplateContent, _ variables: String) throws -> RenderedTemplate {
    let template = try ParsedTemplate(content)
    return template.render(try template.values(try json(variables)))
}
