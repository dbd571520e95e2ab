import HTTPServer

/// What a form or a query brought: each field by its name, the first where a name comes twice; for check boxes all.
struct Form: Sendable {
    private var fields: [(name: String, value: String)]

    /// Octets of a form's body.
    static let longestBody = 64 * 1024

    /// Nil for what no browser sends.
    init?(_ text: some StringProtocol) {
        guard let fields = try? FormQuery.parameters(text) else { return nil }
        self.fields = fields
    }

    init(_ fields: [(String, String)] = []) { self.fields = fields.map { (name: $0.0, value: $0.1) } }

    /// Without blanks at its ends; empty where there is none.
    subscript(_ name: String) -> String { raw(name).trimmed }

    /// As it came.
    func raw(_ name: String) -> String { fields.first { $0.name == name }?.value ?? "" }

    func all(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    /// Whether a box is checked.
    func has(_ name: String) -> Bool { fields.contains { $0.name == name } }

    /// What stands on its lines and between its commas and blanks.
    func list(_ name: String) -> [String] {
        raw(name).split { $0.isNewline || $0 == "," || $0 == " " || $0 == "\t" }.map(String.init)
    }

    /// Nil for an empty field. Throws for what is no whole number.
    func number(_ name: String, _ label: String) throws(FormMistake) -> Int? {
        let text = self[name].filter { $0 != "," && $0 != " " }
        guard !text.isEmpty else { return nil }
        guard let number = Int(text) else { throw FormMistake(name, "\(label) must be a whole number, such as 100") }
        return number
    }
}

/// What is wrong with a field of a form, for the person who filled it in.
struct FormMistake: Error, Hashable {
    /// The field's name.
    var field: String
    /// Without a full stop.
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
