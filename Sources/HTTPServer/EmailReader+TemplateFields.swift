import RelayCore
import StrictJSON

extension EmailReader {
    mutating func templateName(_ fields: Fields, isRequired: Bool) -> String? {
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
    mutating func replyTo(_ fields: Fields) -> [String]? {
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

    mutating func variables(_ fields: Fields) -> [TemplateVariable]? {
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

    mutating func version(_ fields: Fields) -> Int? {
        guard let (value, pointer) = fields.value("version") else { return nil }
        guard case .number(let number) = value, let version = Int(number.text), (1...999_999_999).contains(version)
        else {
            errors.add("\"version\" must be the number of a version: 1 or more.", at: pointer)
            return nil
        }
        return version
    }
}
