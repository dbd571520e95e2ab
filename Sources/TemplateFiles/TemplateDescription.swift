import RelayCore
import StrictJSON

extension TemplateFiles {
    /// The text of `template.yaml` for a template. Together with the bodies it gives the same name and content again.
    public static func description(of template: Template) -> String {
        let content = template.content
        var lines = ["name: \(YAMLString.written(template.name))"]
        if let subject = content.subject { lines.append("subject: \(YAMLString.written(subject))") }
        if let from = content.from { lines.append("from: \(YAMLString.written(from))") }
        if !content.replyTo.isEmpty {
            lines.append("reply_to:")
            lines += content.replyTo.map { "  - \(YAMLString.written($0))" }
        }
        if !content.variables.isEmpty {
            lines.append("variables:")
            lines += content.variables.flatMap { TemplateFiles.lines(of: $0).map { "  " + $0 } }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The list of variables in YAML, in the form that ``init(fields:variables:html:text:)`` reads.
    public static func description(of variables: [TemplateVariable]) -> String {
        variables.flatMap { lines(of: $0) }.map { $0 + "\n" }.joined()
    }

    private static func lines(of variable: TemplateVariable) -> [String] {
        var lines = [
            "- name: \(YAMLString.written(variable.name))", "  type: \(variable.type.rawValue)",
            "  required: \(variable.isRequired)",
        ]
        if let value = variable.defaultValue {
            let text = String(decoding: value.octets, as: UTF8.self)
            let isString = variable.type == .string || variable.type == .date
            lines.append("  default: \(isString ? YAMLString.written(text) : text)")
        }
        return lines
    }
}

/// Writes a text as a scalar of YAML 1.1.
enum YAMLString {
    /// The text as a scalar: without quotes if it is certain that every reader reads it as a text (it has only ASCII
    /// letters, digits and a few signs), and otherwise in double quotes.
    static func written(_ text: String) -> String { isPlain(text) ? text : quoted(text) }

    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first), text.utf8.last != UInt8(ascii: " ") else { return false }
        let isSafe = text.utf8.allSatisfy { octet in
            isLetter(octet) || (0x30...0x39).contains(octet) || " _.-".utf8.contains(octet)
        }
        return isSafe && !words.contains(text.lowercased())
    }

    private static func isLetter(_ octet: UInt8) -> Bool { (0x61...0x7A).contains(octet | 0x20) }

    /// Words that some readers take for a boolean or for null (YAML 1.1, types `bool` and `null`).
    private static let words: Set<String> = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]

    /// The text in double quotes, with escapes (YAML 1.1 section 5.6).
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: quoted += "\\\""
            case 0x5C: quoted += "\\\\"
            case 0x0A: quoted += "\\n"
            case 0x0D: quoted += "\\r"
            case 0x09: quoted += "\\t"
            // Characters that YAML does not allow, or that it treats as line ends.
            case 0x00...0x1F, 0x7F...0xA0, 0x2028, 0x2029, 0xFEFF, 0xFFFE...0xFFFF:
                let digits = String(scalar.value, radix: 16, uppercase: true)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
