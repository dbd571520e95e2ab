import RelayCore
import StrictJSON
import Templates

/// The fields of a template in a request.
struct TemplateFields: Sendable {
    /// What a request does with an optional field of a template.
    enum Change<Value: Sendable>: Sendable {
        /// The request does not have the field: the template's field stays as it is.
        case none
        case set(Value)
        /// The request has null: the template's field is removed.
        case remove
    }

    /// Nil: the name stays as it is.
    private(set) var name: String?
    private(set) var subject = Change<String>.none
    private(set) var html = Change<String>.none
    private(set) var text = Change<String>.none
    private(set) var variables = Change<[TemplateVariable]>.none
    private(set) var from = Change<String>.none
    private(set) var replyTo = Change<[String]>.none

    /// - Parameter isComplete: whether a template is created from the document, so that `name` is required.
    /// - Throws: ``EmailRequestFailure`` with all mistakes that can be found without the template that is changed.
    ///   `checked(_:)` finds the others.
    init(_ document: JSON, isComplete: Bool) throws(EmailRequestFailure) {
        var reader = EmailReader.ofFields
        guard let fields = reader.object(document, at: .root, FieldNames.template, "A template") else {
            throw .invalid(reader.errors.all)
        }
        name = reader.templateName(fields, isRequired: isComplete)
        subject = TemplateFields.change(fields, "subject") { reader.text("subject", fields) }
        html = TemplateFields.change(fields, "html") { reader.text("html", fields) }
        text = TemplateFields.change(fields, "text") { reader.text("text", fields) }
        from = TemplateFields.change(fields, "from") { reader.text("from", fields) }
        replyTo = TemplateFields.change(fields, "reply_to") { reader.replyTo(fields) }
        variables = TemplateFields.change(fields, "variables") { reader.variables(fields) }
        if isComplete {
            // The mistakes that `checked` finds are reported together with those that were found above.
            do throws(EmailRequestFailure) {
                _ = try checked(TemplateContent())
            } catch {
                // A field that could not be read is not also reported as missing.
                let told = Set(reader.errors.all.map(\.pointer))
                if case .invalid(let mistakes) = error {
                    for mistake in mistakes where !told.contains(mistake.pointer) {
                        reader.errors.add(mistake.detail, at: mistake.pointer, mistake.kind)
                    }
                }
            }
        }
        guard reader.errors.all.isEmpty else { throw .invalid(reader.errors.all) }
    }

    /// - Parameter read: returns nil for an invalid value, whose mistake it has reported.
    private static func change<Value>(
        _ fields: EmailReader.Fields, _ name: String, _ read: () -> Value?
    ) -> Change<Value> {
        guard let value = fields.object[name] else { return .none }
        if value == .null { return .remove }
        return read().map { .set($0) } ?? .none
    }

    /// The new content of a template that has this content now.
    ///
    /// - Throws: ``EmailRequestFailure`` with all mistakes.
    func checked(_ content: TemplateContent) throws(EmailRequestFailure) -> TemplateContent {
        var changed = content
        subject.apply(to: &changed.subject)
        html.apply(to: &changed.html)
        text.apply(to: &changed.text)
        from.apply(to: &changed.from)
        switch replyTo {
        case .none: break
        case .set(let addresses): changed.replyTo = addresses
        case .remove: changed.replyTo = []
        }
        switch variables {
        case .none:
            // A variable without a placeholder is removed: otherwise requests would have to give a value that is not
            // used.
            let used = ParsedTemplate.names(in: changed)
            changed.variables.removeAll { !used.contains($0.name) }
        case .set(let declared): changed.variables = declared
        case .remove: changed.variables = []
        }
        do throws(TemplateMistakes) {
            return try ParsedTemplate(changed).content
        } catch {
            throw .invalid(error.all.map { ValidationError($0.sentence, at: $0.pointer) })
        }
    }
}

extension TemplateFields.Change {
    fileprivate func apply(to value: inout Value?) {
        switch self {
        case .none: break
        case .set(let new): value = new
        case .remove: value = nil
        }
    }
}

extension FieldNames {
    static let template = FieldNames(
        known: ["name", "subject", "html", "text", "variables", "from", "reply_to"],
        synonyms: [
            "title": "name", "alias": "name", "subjectline": "subject", "body": "html", "content": "html",
            "htmlbody": "html", "bodyhtml": "html", "htmlcontent": "html", "textbody": "text", "bodytext": "text",
            "plain": "text", "plaintext": "text", "textcontent": "text", "fields": "variables", "params": "variables",
            "sender": "from",
        ],
        explanations: [
            "id": "The field \"id\" can't be set; the relay assigns the id of a template.",
            "version":
                "The field \"version\" can't be set: each save creates the next version; POST …/rollback goes back to an earlier one.",
        ])

    static let variable = FieldNames(
        known: ["name", "type", "required", "default"],
        synonyms: [
            "key": "name", "kind": "type", "mandatory": "required", "isrequired": "required", "fallback": "default",
            "fallbackvalue": "default", "defaultvalue": "default", "value": "default",
        ])

    static let render = FieldNames(
        known: ["variables", "version"], synonyms: ["values": "variables", "data": "variables"])

    static let rollback = FieldNames(known: ["version"], synonyms: ["to": "version"])
}
