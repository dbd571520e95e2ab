import Yams

/// Converts the file's text to Yams' nodes, and Yams' errors to settings mistakes.
enum YAMLText {
    struct Position: Hashable {
        var line: Int
        var column: Int

        init(line: Int, column: Int) {
            self.line = line
            self.column = column
        }

        init(_ mark: Mark) { self.init(line: mark.line, column: mark.column) }
    }

    /// The real names of the keys that were renamed to get past Yams.
    typealias RenamedKeys = [Position: String]

    /// Yams' text for a key that is not a scalar.
    private static let keyWithoutText = "<uncovertable>"

    /// Parses one document.
    ///
    /// Yams stops at the first key that occurs twice, and would hide all other mistakes. So one of the two keys gets a
    /// name of the same length that no setting has, and parsing starts again. The caller finds the real name by its
    /// position.
    static func compose(
        _ text: String, file: String
    ) throws(SettingsMistake) -> (root: Node?, renamedKeys: RenamedKeys) {
        var text = text
        var renamedKeys: RenamedKeys = [:]
        if let bad = firstForbidden(text) { throw mistake(file, bad.position, bad.problem) }
        while true {
            do {
                return (try Yams.compose(yaml: text, .basic, .default, .utf8), renamedKeys)
            } catch YamlError.duplicatedKeysInMapping(let names, let context) {
                // Yams sorts keys by their text. Keys that are lists or mappings come in random order, so Yams may name
                // any of them.
                guard !names.contains(keyWithoutText) else {
                    throw SettingsMistake(
                        .file(file, line: nil, column: nil), nil,
                        "has a list or a mapping as a key, more than once; keys must be words")
                }
                let position = Position(context.mark)
                guard let name = names.first, renamedKeys.count < 100,
                    let renamed = rename(name, at: position, in: text, number: renamedKeys.count)
                else {
                    throw SettingsMistake(
                        .file(file, line: position.line, column: position.column), names.first.map(legible),
                        "occurs more than once; keep one of them")
                }
                text = renamed
                renamedKeys[position] = name
            } catch {
                throw syntaxMistake(error, file)
            }
        }
    }

    private static func syntaxMistake(_ error: any Error, _ file: String) -> SettingsMistake {
        switch error as? YamlError {
        case .scanner(let context, let problem, let mark, let yaml),
            .parser(let context, let problem, let mark, let yaml):
            let position = Position(mark)
            if scalar(at: position, in: yaml) == "\t" {
                return mistake(file, position, "there is a tab where YAML requires spaces")
            }
            let beginning = context.map { " \($0.text), which begins in line \($0.mark.line)" } ?? ""
            // This message of libYAML is the most common and helps least.
            let isStrayColon = problem.contains("mapping values are not allowed")
            let advice = isStrayColon ? "; check the indentation, and put quotes around a value with a colon" : ""
            return mistake(file, position, problem + beginning + advice)
        case .composer(let context, let problem, let mark, _):
            return mistake(file, Position(mark), (context.map { $0.text + " " } ?? "") + problem)
        default:
            return SettingsMistake(.file(file, line: nil, column: nil), nil, "is not valid YAML")
        }
    }

    private static func mistake(_ file: String, _ position: Position, _ problem: String) -> SettingsMistake {
        SettingsMistake(
            .file(file, line: position.line, column: position.column), nil, "is not valid YAML: \(problem)")
    }

    /// The first character that YAML 1.1 section 4.1.1 does not allow. Yams would report only an offset.
    private static func firstForbidden(_ text: String) -> (position: Position, problem: String)? {
        for (position, index) in Positions(text) {
            switch text.unicodeScalars[index].value {
            case 0x09, 0x0A, 0x0D, 0x20...0x7E, 0x85, 0xA0...0xD7FF, 0xE000...0xFEFE, 0xFF00...0xFFFD, 0x10000...:
                continue
            case let value: return (position, "the character U+\(hexadecimal(value)) is not allowed")
            }
        }
        return nil
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    private static func scalar(at position: Position, in text: String) -> Unicode.Scalar? {
        Positions(text).first { $0.position == position }.map { text.unicodeScalars[$0.index] }
    }

    /// `text` with the key's first letter changed. Nil if the file's text at that position differs from the key's name,
    /// because of an anchor or an escape.
    private static func rename(_ name: String, at position: Position, in text: String, number: Int) -> String? {
        guard var index = Positions(text).first(where: { $0.position == position })?.index else { return nil }
        var scalars = text.unicodeScalars
        if scalars[index] == "\"" || scalars[index] == "'" { index = scalars.index(after: index) }
        guard !name.isEmpty, scalars[index...].starts(with: name.unicodeScalars),
            let substitute = Unicode.Scalar(0xE000 + UInt32(number))
        else { return nil }
        scalars.replaceSubrange(index...index, with: CollectionOfOne(substitute))
        return String(scalars)
    }

    /// All characters with their lines and columns, counted from 1 as in libYAML.
    private struct Positions: Sequence, IteratorProtocol {
        private let scalars: String.UnicodeScalarView
        private var index: String.Index
        private var position = Position(line: 1, column: 1)

        init(_ text: String) {
            scalars = text.unicodeScalars
            index = scalars.startIndex
        }

        mutating func next() -> (position: Position, index: String.Index)? {
            guard index < scalars.endIndex else { return nil }
            let current = (position, index)
            let scalar = scalars[index]
            index = scalars.index(after: index)
            let isInsideCRLF = scalar == "\r" && index < scalars.endIndex && scalars[index] == "\n"
            if !isInsideCRLF, ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"].contains(scalar) {
                position = Position(line: position.line + 1, column: 1)
            } else {
                position.column += 1
            }
            return current
        }
    }
}
