import MessageComposition
import RelayCore
import StrictJSON
import Templates

extension EmailReader {
    /// The result of filling a template with an email's values.
    struct TemplateUse {
        var rendered: RenderedTemplate
        /// The place for mistakes that only the filled template shows.
        var pointer: JSONPointer
        var templatePointer: JSONPointer
    }

    /// Whether the request names a template, correctly or not. Then fields that a template can provide may be missing.
    static func namesTemplate(_ fields: Fields) -> Bool { fields.value("template_id") != nil }

    /// The result of `template_id` and `variables`; nil if the email has no template, or if there are mistakes.
    mutating func templateUse(_ fields: Fields) -> TemplateUse? {
        guard EmailReader.namesTemplate(fields) else {
            if fields.value("variables") != nil {
                errors.add(
                    "\"variables\" are the values of a template; name the template in \"template_id\", or leave them out.",
                    at: fields.pointer.appending("variables"))
            }
            return nil
        }
        for name in ["html", "text"] where fields.value(name) != nil {
            errors.add(
                "\"\(name)\" can't be given together with \"template_id\": the template gives it; leave one of the two out.",
                at: fields.pointer.appending(name))
        }
        guard let (parsed, reference) = found(fields) else { return nil }
        let pointer = fields.pointer.appending("variables")
        let given = fields.value("variables")?.value
        let values: TemplateValues
        do throws(TemplateMistakes) {
            values = try parsed.values(given, limit: context.maximumMistakes)
        } catch {
            for mistake in error.all {
                let place = mistake.pointer.tokens.reduce(pointer) { $0.appending($1) }
                errors.add(mistake.detail, at: place, .templateVariables)
            }
            return nil
        }
        if let fault = context.rendering.fault(of: values.size) {
            errors.add(fault, at: given == nil ? fields.pointer.appending("template_id") : pointer, .size)
            return nil
        }
        renderedSize = values.size
        template = reference
        return TemplateUse(
            rendered: parsed.render(values),
            pointer: given == nil ? fields.pointer.appending("template_id") : pointer,
            templatePointer: fields.pointer.appending("template_id"))
    }

    private mutating func found(_ fields: Fields) -> (ParsedTemplate, TemplateReference)? {
        let pointer = fields.pointer.appending("template_id")
        guard let text = text("template_id", fields) else { return nil }
        guard let reference = TemplateReference(text) else {
            errors.add(
                "\"template_id\" must be the id of a template, such as tpl_0123456789abcdefghjk, or of one of its versions, such as tpl_0123456789abcdefghjk@3.",
                at: pointer)
            return nil
        }
        switch context.templates[reference] {
        case .parsed(let parsed, let reference): return (parsed, reference)
        case .unusable(let why):
            errors.add("The template can't be used as it was saved; save it again. \(why)", at: pointer)
        case nil:
            errors.add(
                reference.version == nil
                    ? "This API key has no template with this id."
                    : "This API key has no such version of a template.",
                at: pointer)
        }
        return nil
    }
}
