import HTTPServer

/// The fields of a form or a query. If a name occurs twice, the first field counts; for check boxes, all count.
struct Form: Sendable {
    private var fields: [(name: String, value: String)]

    /// The largest number of octets of a form's body.
    static let longestBody = 64 * 1024
    /// The largest number of octets of a form with a template. In a form, an octet can take three octets (`%C3`).
    static let longestTemplate = 7 << 20

    /// Nil for text that no browser sends.
    init?(_ text: some StringProtocol) {
        guard let fields = try? FormQuery.parameters(text) else { return nil }
        self.fields = fields
    }

    init(_ fields: [(String, String)] = []) { self.fields = fields.map { (name: $0.0, value: $0.1) } }

    /// A field without white space at its ends; empty if there is no such field.
    subscript(_ name: String) -> String { raw(name).trimmed }

    /// A field exactly as it was sent.
    func raw(_ name: String) -> String { fields.first { $0.name == name }?.value ?? "" }

    func all(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    /// Whether a check box is checked.
    func has(_ name: String) -> Bool { fields.contains { $0.name == name } }

    /// The items of a field, which line ends, commas or white space separate.
    func list(_ name: String) -> [String] {
        raw(name).split { $0.isNewline || $0 == "," || $0 == " " || $0 == "\t" }.map(String.init)
    }

    /// The number in a field; nil if the field is empty. Throws if the text is not a whole number.
    func number(_ name: String, _ label: String) throws(FormMistake) -> Int? {
        let text = self[name].filter { $0 != "," && $0 != " " }
        guard !text.isEmpty else { return nil }
        guard let number = Int(text) else { throw FormMistake(name, "\(label) must be a whole number, such as 100") }
        return number
    }
}

/// A mistake in a field of a form, described for the person who filled it in.
struct FormMistake: Error, Hashable {
    /// The name of the field.
    var field: String
    /// The description, without a full stop.
    var sentence: String

    init(_ field: String, _ sentence: String) {
        self.field = field
        self.sentence = sentence
    }
}

extension StringProtocol {
    var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text = text.dropFirst() }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return String(text)
    }
}
