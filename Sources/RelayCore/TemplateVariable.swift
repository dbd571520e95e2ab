import StrictJSON

/// A variable that a template declares.
public struct TemplateVariable: Hashable, Sendable {
    /// A dotted path such as `customer.name`. ``fault(ofName:)`` finds no fault in it.
    public var name: String
    /// The type that the default must have, and the value in a request.
    public var type: TemplateVariableType
    /// Whether a request must provide a value. A variable that is not required and not provided has its default, or is
    /// empty if it has no default.
    public var isRequired: Bool
    /// The default, of the type ``type``. Nil: none.
    public var defaultValue: TemplateValue?

    public init(
        name: String, type: TemplateVariableType = .string, isRequired: Bool = true, defaultValue: TemplateValue? = nil
    ) {
        self.name = name
        self.type = type
        self.isRequired = isRequired
        self.defaultValue = defaultValue
    }

    /// The most octets of a name.
    public static let longestName = 100
    /// The most parts of a name, which full stops separate.
    public static let mostParts = 8
    /// The most octets of a default.
    public static let longestDefault = 4096

    /// What is wrong with a name, as the rest of a sentence whose subject is the name; nil if nothing is wrong.
    public static func fault(ofName name: String) -> String? {
        if name.isEmpty { return "is empty; choose one such as customer.name" }
        if name.utf8.count > longestName {
            return "has \(name.utf8.count) octets; shorten it to at most \(longestName)"
        }
        let parts = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        if parts.count > mostParts { return "has \(parts.count) parts; nest it at most \(mostParts) deep" }
        guard parts.allSatisfy(isPart) else {
            return
                "is not made of letters (A to Z), digits and underscores, with a full stop between its parts, none of which begins with a digit; write it such as customer.name"
        }
        return nil
    }

    private static func isPart(_ octets: Substring.UTF8View) -> Bool {
        guard let first = octets.first, !isDigit(first) else { return false }
        return octets.allSatisfy { isDigit($0) || $0 == UInt8(ascii: "_") || (0x61...0x7A).contains($0 | 0x20) }
    }

    private static func isDigit(_ octet: UInt8) -> Bool { (0x30...0x39).contains(octet) }
}

/// The type of a variable's values. The raw values are the words of the HTTP API and of template files.
public enum TemplateVariableType: String, CaseIterable, Sendable, Hashable {
    case string, number, boolean
    /// RFC 3339: a date (`2026-12-01`), or a date with a time and its zone.
    case date

    /// The type with its article, for a sentence.
    public var phrase: String {
        switch self {
        case .string: "a string"
        case .number: "a number"
        case .boolean: "a boolean"
        case .date: "a date as a string (2026-12-01, or 2026-12-01T09:00:00Z)"
        }
    }
}

/// A value of a variable, as it was written.
public struct TemplateValue: Hashable, Sendable {
    /// A string, a number or a boolean.
    package let json: JSON

    /// Nil if the value is not of this type.
    package init?(_ json: JSON, type: TemplateVariableType) {
        switch (type, json) {
        case (.string, .string), (.number, .number), (.boolean, .bool): break
        case (.date, .string(let text)) where TemplateValue.isDate(text.utf8): break
        default: return nil
        }
        self.json = json
    }

    /// The text that replaces a placeholder: a string, a number as it was written, `true` or `false`.
    public var octets: ArraySlice<UInt8> {
        switch json {
        case .string(let text): text.utf8
        case .number(let number): Array(number.text.utf8)[...]
        case .bool(let value): Array((value ? "true" : "false").utf8)[...]
        case .null, .array, .object: []
        }
    }

    private static func isDate(_ text: ArraySlice<UInt8>) -> Bool {
        let midnight = text.count == 10 ? Array(text) + Array("T00:00:00Z".utf8) : Array(text)
        return Timestamp(rfc3339: midnight) != nil
    }
}

extension TemplateVariable {
    /// `{"name", "type", "required", "default"}`, the form of the HTTP API and the stores. The member `default` is
    /// missing if there is no default.
    package var json: JSON {
        var object = JSONObject([
            .init("name", JSON(name)), .init("type", JSON(type.rawValue)), .init("required", .bool(isRequired)),
        ])
        if let defaultValue { object.append("default", defaultValue.json) }
        return .object(object)
    }

    /// Reads the form of ``json``. Nil for anything else.
    package init?(_ json: JSON) {
        guard case .object(let object) = json, case .string(let name)? = object["name"],
            TemplateVariable.fault(ofName: name.text) == nil, case .string(let word)? = object["type"],
            let type = TemplateVariableType(rawValue: word.text), case .bool(let isRequired)? = object["required"]
        else { return nil }
        self.init(name: name.text, type: type, isRequired: isRequired)
        guard let value = object["default"] else { return }
        guard let read = TemplateValue(value, type: type) else { return nil }
        defaultValue = read
    }
}

extension [TemplateVariable] {
    /// JSON in UTF-8, the form in which a store keeps them.
    public var stored: [UInt8] { JSON.array(map(\.json)).bytes }

    /// Reads ``stored``. Nil for any other octets.
    public init?(stored: [UInt8]) {
        guard case .array(let elements)? = try? JSON(reading: stored) else { return nil }
        let read = elements.map { TemplateVariable($0) }
        guard read.allSatisfy({ $0 != nil }) else { return nil }
        self = read.compactMap { $0 }
    }
}
