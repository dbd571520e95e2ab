import MessageComposition
import RelayCore
import StrictJSON

/// A checked template, divided into literal text and placeholders. It can be rendered any number of times.
public struct ParsedTemplate: Sendable {
    /// The content from which the template was made. Variables that only placeholders name are added after the declared
    /// ones, as required strings.
    public let content: TemplateContent
    let subject: TemplatePart?
    let html: TemplatePart?
    let text: TemplatePart?
    /// The rules for the values of each variable, by the index of the variable.
    let rules: [ValueRules]
    let tree: VariableTree

    /// Checks a template's fields, its placeholders and their places, its variables and their defaults.
    ///
    /// - Throws: ``TemplateMistakes`` with all mistakes at once. Pointers begin at the template.
    public init(_ content: TemplateContent) throws(TemplateMistakes) {
        var mistakes = TemplateMistakes()
        ContentCheck.check(content, &mistakes)
        var names = VariableNames(content.variables, &mistakes)
        var parts: [TemplatePart?] = []
        var count = 0
        for (kind, source) in [
            (TemplatePart.Kind.subject, content.subject), (.html, content.html), (.text, content.text),
        ] {
            guard let source, mistakes.hasRoom else {
                parts.append(nil)
                continue
            }
            let part = TemplatePart(kind, Array(source.utf8), &names, &mistakes)
            count += part.slots.count
            parts.append(part)
        }
        if count > TemplateContent.mostPlaceholders {
            mistakes.add(
                "The template has more than \(TemplateContent.mostPlaceholders) placeholders; use fewer.", at: .root)
        }
        if names.variables.count > TemplateContent.mostVariables {
            mistakes.add(
                "The template has more than \(TemplateContent.mostVariables) variables; use fewer.",
                at: .root.appending("variables"))
        }
        tree = VariableTree(names.variables, declared: content.variables.count, &mistakes)
        var rules = Array(repeating: ValueRules(), count: names.variables.count)
        for part in parts {
            for slot in part?.slots ?? [] { rules[slot.variable].formUnion(slot.form.rules) }
        }
        ContentCheck.checkDefaults(names.variables, rules, &mistakes)
        guard mistakes.all.isEmpty else { throw mistakes }
        (subject, html, text) = (parts[0], parts[1], parts[2])
        self.rules = rules
        var content = content
        content.variables = names.variables
        self.content = content
    }
}

extension ParsedTemplate {
    /// The names in the placeholders of a content, which may have mistakes.
    public static func names(in content: TemplateContent) -> Set<String> {
        var names: Set<String> = []
        for source in [content.subject, content.html, content.text] {
            guard let source else { continue }
            let parsed = TextWithPlaceholders(Array(source.utf8), mostPlaceholders: TemplateContent.mostPlaceholders)
            names.formUnion(parsed.placeholders.map(\.name))
        }
        return names
    }
}

/// The variables of a template: first the declared ones, then those that only placeholders name.
struct VariableNames {
    private(set) var variables: [TemplateVariable] = []
    private var indices: [String: Int] = [:]

    init(_ declared: [TemplateVariable], _ mistakes: inout TemplateMistakes) {
        for (index, variable) in declared.enumerated() {
            let place = JSONPointer.root.appending("variables").appending(index).appending("name")
            if let fault = TemplateVariable.fault(ofName: variable.name) {
                mistakes.add("The name of the variable \(fault).", at: place)
            } else if indices[variable.name] != nil {
                mistakes.add("The variable \"\(variable.name)\" is declared twice; declare it once.", at: place)
            }
            if indices[variable.name] == nil { indices[variable.name] = index }
            variables.append(variable)
        }
    }

    /// The index of the variable that a placeholder names. A variable that is not declared is added as a required
    /// string.
    mutating func index(of name: String) -> Int {
        if let index = indices[name] { return index }
        indices[name] = variables.count
        variables.append(TemplateVariable(name: name))
        return variables.count - 1
    }
}

/// Checks the fields of a template, but not the placeholders in its texts.
private enum ContentCheck {
    static func check(_ content: TemplateContent, _ mistakes: inout TemplateMistakes) {
        let root = JSONPointer.root
        if content.html == nil, content.text == nil {
            mistakes.add("\"html\", \"text\" or both are required.", at: root.appending("text"))
        }
        for (name, value, limit) in [
            ("subject", content.subject, TemplateContent.longestSubject),
            ("html", content.html, TemplateContent.longestBody),
            ("text", content.text, TemplateContent.longestBody),
        ] {
            guard let value, value.utf8.count > limit else { continue }
            mistakes.add(
                "\"\(name)\" has \(value.utf8.count) octets; shorten it to at most \(limit).", at: root.appending(name))
        }
        if content.variables.count > TemplateContent.mostVariables {
            mistakes.add(
                "\"variables\" has \(content.variables.count) elements; declare at most \(TemplateContent.mostVariables).",
                at: root.appending("variables"))
        }
        if let from = content.from { check(address: from, at: root.appending("from"), &mistakes) }
        if content.replyTo.count > TemplateContent.mostReplyTo {
            mistakes.add(
                "\"reply_to\" has \(content.replyTo.count) addresses; give at most \(TemplateContent.mostReplyTo).",
                at: root.appending("reply_to"))
        }
        for (index, address) in content.replyTo.prefix(TemplateContent.mostReplyTo).enumerated() {
            check(address: address, at: root.appending("reply_to").appending(index), &mistakes)
        }
    }

    private static func check(address: String, at pointer: JSONPointer, _ mistakes: inout TemplateMistakes) {
        if address.utf8.count > TemplateContent.longestAddress {
            return mistakes.add(
                "The address has \(address.utf8.count) octets; shorten it to at most \(TemplateContent.longestAddress).",
                at: pointer)
        }
        if address.contains("{{") {
            return mistakes.add(
                "An address of a template can't have placeholders; give \"\(pointer.tokens[0])\" in the request instead.",
                at: pointer)
        }
        do throws(MailboxError) {
            _ = try Mailbox(parsing: address)
        } catch {
            mistakes.add(error.explanation + ".", at: pointer)
        }
    }

    static func checkDefaults(
        _ variables: [TemplateVariable], _ rules: [ValueRules], _ mistakes: inout TemplateMistakes
    ) {
        for (index, variable) in variables.enumerated() {
            guard let value = variable.defaultValue else { continue }
            let place = JSONPointer.root.appending("variables").appending(index).appending("default")
            if variable.isRequired {
                mistakes.add(
                    "The variable \"\(variable.name)\" has a default, so it can't be required; leave one of the two out.",
                    at: place)
            }
            if value.octets.count > TemplateVariable.longestDefault {
                mistakes.add(
                    "The default has \(value.octets.count) octets; shorten it to at most \(TemplateVariable.longestDefault).",
                    at: place)
            }
            if let fault = rules[index].fault(of: value.octets) {
                mistakes.add("The default of \"\(variable.name)\" \(fault).", at: place)
            }
        }
    }
}
