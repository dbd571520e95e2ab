import FuzzSupport
import MessageComposition
import RelayCore
import StrictJSON
import Templates

extension Property {
    /// A template is refused in words that are fit for a client, or it accepts any values. Then the result has the
    /// announced size, is the template with each value in its place, and can be composed.
    ///
    /// Input: subject, html, text and two values, separated by the octet 255, which never occurs in UTF-8.
    public static let template = Property("template") { input in
        let pieces = input.split(separator: 0xFF, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        func piece(_ index: Int) -> String? { index < pieces.count ? pieces[index] : nil }
        let content = TemplateContent(subject: piece(0), html: piece(1), text: piece(2))
        let template: ParsedTemplate
        do throws(TemplateMistakes) {
            template = try ParsedTemplate(content)
        } catch {
            return try check(error, input)
        }
        try require(
            try ParsedTemplate(template.content).content == template.content, "read in two ways: \(shown(input))")
        let plain = try rendered(template, ["x", "x"], input)
        let made: RenderedTemplate
        do {
            made = try rendered(template, [piece(3) ?? "", piece(4) ?? ""], input)
        } catch let mistakes as TemplateMistakes {
            return try check(mistakes, input)
        }
        try checkMarkup(made, plain, input)
        try checkComposes(made, input)
    }

    private static func check(_ mistakes: TemplateMistakes, _ input: [UInt8]) throws {
        try require(
            (1...(TemplateMistakes.limit + 1)).contains(mistakes.all.count),
            "\(mistakes.all.count) mistakes: \(shown(input))")
        for mistake in mistakes.all {
            try checkWords(mistake.sentence, input)
            try require(
                mistake.detail.hasSuffix(".") || mistake.detail.hasSuffix("?"), "not a sentence: \(mistake.detail)")
            guard let position = mistake.position else { continue }
            try require(
                (1...(input.count + 1)).contains(position.line) && (1...(input.count + 1)).contains(position.column),
                "a mistake at \(position) of \(shown(input))")
        }
    }

    /// Renders the template. Its variables get the values in turn.
    private static func rendered(
        _ template: ParsedTemplate, _ values: [String], _ input: [UInt8]
    ) throws -> RenderedTemplate {
        var tree = Tree()
        for (index, variable) in template.content.variables.enumerated() {
            tree.set(variable.name.split(separator: ".").map(String.init)[...], values[index % values.count])
        }
        let given = try template.values(tree.json)
        let made = template.render(given)
        let size = [made.subject, made.html, made.text].reduce(0) { $0 + ($1?.utf8.count ?? 0) }
        try require(given.size == size, "\(given.size) octets were announced, but there are \(size): \(shown(input))")
        return made
    }

    /// Checks that the characters that begin or end a tag or an attribute come only from the template.
    private static func checkMarkup(_ made: RenderedTemplate, _ plain: RenderedTemplate, _ input: [UInt8]) throws {
        for mark in "<>\"'".utf8 {
            func count(_ html: String?) -> Int { html?.utf8.count { $0 == mark } ?? 0 }
            try require(
                count(made.html) == count(plain.html),
                "a value has added \(Character(Unicode.Scalar(mark))): \(shown(input))")
        }
        let subject = made.subject ?? ""
        try require(
            subject.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) || $0 == "\t" },
            "the subject \(subject.debugDescription): \(shown(input))")
    }

    private static func checkComposes(_ made: RenderedTemplate, _ input: [UInt8]) throws {
        let author = try Mailbox(parsing: "a@b.example")
        let email = Email(
            from: author, to: [author], subject: made.subject ?? "", text: made.text, html: made.html)
        guard email.subject.utf8.count <= Email.maximumSubjectLength else { return }
        try require(email.defects().isEmpty, "\(email.defects()): \(shown(input))")
        var composer = MessageComposer(email, seed: 1)
        var octets = 0
        while let piece = composer.next() { octets += piece.count }
        try require(
            octets == composer.size, "\(composer.size) octets were announced, but there are \(octets): \(shown(input))")
    }
}

/// The values, in a tree by the parts of their names.
private struct Tree {
    private var values: [(name: String, value: String)] = []
    private var children: [(name: String, tree: Tree)] = []

    mutating func set(_ path: ArraySlice<String>, _ value: String) {
        guard let name = path.first else { return }
        if path.count == 1 {
            values.append((name, value))
        } else if let index = children.firstIndex(where: { $0.name == name }) {
            children[index].tree.set(path.dropFirst(), value)
        } else {
            var tree = Tree()
            tree.set(path.dropFirst(), value)
            children.append((name, tree))
        }
    }

    var json: JSON {
        .object(
            JSONObject(
                values.map { .init(JSONString($0.name), JSON($0.value)) }
                    + children.map { .init(JSONString($0.name), $0.tree.json) }))
    }
}
