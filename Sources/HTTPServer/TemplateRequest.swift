import HTTPTypes
import MessageComposition
import RelayCore
import StrictJSON
import Templates

/// A request about a template that has a body.
struct TemplateRequest: RequestWithBody {
    enum Purpose: Hashable, Sendable {
        case create
        case change(TemplateID)
        case render(TemplateID)
        case rollBack(TemplateID)
    }

    let purpose: Purpose
    let api: EmailAPI
    let configuration: HTTPServerConfiguration

    /// Octets of a body: the longest html and text, with room for the escapes of JSON.
    static let maximumBodySize = 8 << 20

    var bodies: RequestBodyStore {
        RequestBodyStore(
            directory: configuration.scratchDirectory, limit: TemplateRequest.maximumBodySize, turns: api.service.turns,
            refusalOfSpace: { _ in nil })
    }

    var tooLarge: Problem {
        Problem(
            .refusal(.size), .contentTooLarge,
            "The body of the request is over the limit of \(TemplateRequest.maximumBodySize) octets.")
    }

    func refusal(of fields: HTTPFields) -> Problem? { refusalOfBody(fields) }

    func completed(_ answer: HTTPAnswer) async -> HTTPAnswer { answer }

    func answer(_ octets: [UInt8], _ fields: HTTPFields) async -> HTTPAnswer {
        let document: JSON
        do throws(JSONError) {
            document = try JSON(reading: octets)
        } catch {
            return api.refuse(.notJSON(error))
        }
        let templates = TemplateAPI(api: api)
        do throws(EmailRequestFailure) {
            switch purpose {
            case .create: return await templates.create(try TemplateFields(document, isComplete: true))
            case .change(let id):
                return await templates.change(id, try TemplateFields(document, isComplete: false))
            case .render(let id):
                return await templates.render(
                    id, try RenderFields(document), limit: configuration.maximumMessageSize)
            case .rollBack(let id): return await templates.rollBack(id, try RollbackFields(document))
            }
        } catch {
            return api.refuse(Problem(error))
        }
    }
}

/// The fields of a template as a request gives them.
struct TemplateFields: Sendable {
    /// What becomes of a field that a template need not have.
    enum Change<Value: Sendable>: Sendable {
        /// It is left out: the field stays as it is.
        case none
        case set(Value)
        /// It is null: the field goes.
        case remove
    }

    /// Nil: it stays as it is.
    private(set) var name: String?
    private(set) var subject = Change<String>.none
    private(set) var html = Change<String>.none
    private(set) var text = Change<String>.none
    private(set) var variables = Change<[TemplateVariable]>.none
    private(set) var from = Change<String>.none
    private(set) var replyTo = Change<[String]>.none

    /// - Parameter isComplete: whether the template is made of it, so that `name` is needed.
    /// - Throws: ``EmailRequestFailure`` with all mistakes that show without the template; ``content(from:)`` finds the others.
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
            // Told together with what was found here.
            do throws(EmailRequestFailure) {
                _ = try checked(TemplateContent())
            } catch {
                // A field that could not be read is not missing too.
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

    /// - Parameter read: returns nil for a value that is no good, which it has told.
    private static func change<Value>(
        _ fields: EmailReader.Fields, _ name: String, _ read: () -> Value?
    ) -> Change<Value> {
        guard let value = fields.object[name] else { return .none }
        if value == .null { return .remove }
        return read().map { .set($0) } ?? .none
    }

    /// The content that a template with this content gets.
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
            // Whose placeholders are gone would be asked for in vain.
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

/// The body of `POST …/render`.
struct RenderFields: Sendable {
    var variables: JSON?
    /// Nil: the latest.
    var version: Int?

    init(_ document: JSON) throws(EmailRequestFailure) {
        var reader = EmailReader.ofFields
        guard let fields = reader.object(document, at: .root, FieldNames.render, "The request") else {
            throw .invalid(reader.errors.all)
        }
        variables = fields.value("variables")?.value
        version = reader.version(fields)
        guard reader.errors.all.isEmpty else { throw .invalid(reader.errors.all) }
    }
}

/// The body of `POST …/rollback`.
struct RollbackFields: Sendable {
    var version: Int

    init(_ document: JSON) throws(EmailRequestFailure) {
        var reader = EmailReader.ofFields
        guard let fields = reader.object(document, at: .root, FieldNames.rollback, "The request") else {
            throw .invalid(reader.errors.all)
        }
        let version = reader.version(fields)
        if fields.value("version") == nil {
            reader.errors.add(
                "\"version\" is required: the number of the version to go back to.", at: .root.appending("version"))
        }
        guard reader.errors.all.isEmpty, let version else { throw .invalid(reader.errors.all) }
        self.version = version
    }
}

extension EmailReader {
    /// For documents that hold no times and no recipients.
    static var ofFields: EmailReader { EmailReader(.init(now: Timestamp(milliseconds: 0), maximumRecipients: 0)) }

    fileprivate mutating func templateName(_ fields: Fields, isRequired: Bool) -> String? {
        let pointer = fields.pointer.appending("name")
        guard let name = text("name", fields) else {
            if isRequired, fields.value("name") == nil {
                errors.add("\"name\" is required: a string of 1 to \(Template.longestName) characters.", at: pointer)
            }
            return nil
        }
        guard let fault = Template.fault(ofName: name) else { return name }
        errors.add("The name \(fault).", at: pointer)
        return nil
    }

    /// One address as a string, or several in an array, as in an email.
    fileprivate mutating func replyTo(_ fields: Fields) -> [String]? {
        guard let (value, pointer) = fields.value("reply_to") else { return nil }
        switch value {
        case .string(let string): return [string.text]
        case .array(let elements):
            guard elements.count <= TemplateContent.mostReplyTo else {
                errors.add(
                    "\"reply_to\" has \(elements.count) addresses; give at most \(TemplateContent.mostReplyTo).",
                    at: pointer)
                return nil
            }
            var addresses: [String] = []
            for (index, element) in elements.enumerated() {
                if case .string(let string) = element {
                    addresses.append(string.text)
                } else {
                    errors.add("An address must be a string, not \(element.kind).", at: pointer.appending(index))
                }
            }
            return addresses.count == elements.count ? addresses : nil
        default:
            errors.add("\"reply_to\" must be a string or an array of strings, not \(value.kind).", at: pointer)
            return nil
        }
    }

    fileprivate mutating func variables(_ fields: Fields) -> [TemplateVariable]? {
        guard let (value, pointer) = fields.value("variables") else { return nil }
        guard case .array(let elements) = value else {
            errors.add("\"variables\" must be an array of objects, not \(value.kind).", at: pointer)
            return nil
        }
        guard elements.count <= TemplateContent.mostVariables else {
            errors.add(
                "\"variables\" has \(elements.count) elements; declare at most \(TemplateContent.mostVariables).",
                at: pointer)
            return nil
        }
        let variables = elements.enumerated().map { variable($1, at: pointer.appending($0)) }
        return variables.allSatisfy { $0 != nil } ? variables.compactMap { $0 } : nil
    }

    private mutating func variable(_ value: JSON, at pointer: JSONPointer) -> TemplateVariable? {
        let before = errors.all.count
        guard let fields = object(value, at: pointer, FieldNames.variable, "A variable") else { return nil }
        let name = text("name", fields)
        if fields.value("name") == nil {
            errors.add("\"name\" is required: a string such as customer.name.", at: pointer.appending("name"))
        } else if let fault = name.flatMap({ TemplateVariable.fault(ofName: $0) }) {
            errors.add("The name of the variable \(fault).", at: pointer.appending("name"))
        }
        var type = TemplateVariableType.string
        if let word = text("type", fields) {
            if let known = TemplateVariableType(rawValue: word) {
                type = known
            } else {
                let types = TemplateVariableType.allCases.map(\.rawValue).joined(separator: ", ")
                errors.add("\"type\" must be one of \(types).", at: pointer.appending("type"))
            }
        }
        var given: TemplateValue?
        if let (value, place) = fields.value("default") {
            given = TemplateValue(value, type: type)
            if given == nil { errors.add("\"default\" must be \(type.phrase).", at: place) }
        }
        var isRequired = given == nil
        switch fields.value("required") {
        case nil: break
        case (.bool(let wish), _)?: isRequired = wish
        case (let value, let place)?: errors.add("\"required\" must be true or false, not \(value.kind).", at: place)
        }
        guard errors.all.count == before, let name else { return nil }
        return TemplateVariable(name: name, type: type, isRequired: isRequired, defaultValue: given)
    }

    fileprivate mutating func version(_ fields: Fields) -> Int? {
        guard let (value, pointer) = fields.value("version") else { return nil }
        guard case .number(let number) = value, let version = Int(number.text), (1...999_999_999).contains(version)
        else {
            errors.add("\"version\" must be the number of a version: 1 or more.", at: pointer)
            return nil
        }
        return version
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
            "id": "The field \"id\" can't be set; the relay makes the id of a template.",
            "version":
                "The field \"version\" can't be set: each save makes the next version; POST …/rollback goes back to an earlier one.",
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
