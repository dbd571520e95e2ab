import StrictJSON
import Yams

/// A value of a template's file, with its place for messages. YAML and JSON are the same from here on.
struct FileValue {
    enum Kind {
        case null
        /// `isText`: it may be taken for a string. `isPlain`: it may be taken for a number or a boolean.
        case scalar(String, isText: Bool, isPlain: Bool)
        case list([FileValue])
        case object([Member])
    }

    struct Member {
        var name: String
        var value: FileValue
        /// Where the name stands.
        var place: FilePlace
    }

    var kind: Kind
    var place: FilePlace

    /// As a word for messages.
    var kindName: String {
        switch kind {
        case .null: "nothing"
        case .scalar(_, isText: false, _): "a number or a boolean"
        case .scalar: "a text"
        case .list: "a list"
        case .object: "a group of fields"
        }
    }
}

/// Where something stands: in a line and column of a file, each counted from 1, or where the file's reader does not know that, at a
/// JSON pointer.
public struct FilePlace: Hashable, Sendable, CustomStringConvertible {
    public var file: String
    public var line: Int?
    public var column: Int?
    public var pointer: String?

    public init(file: String, line: Int? = nil, column: Int? = nil, pointer: String? = nil) {
        self.file = file
        self.line = line
        self.column = column
        self.pointer = pointer
    }

    /// `welcome/template.yaml:3:5`, `welcome/template.json#/variables/0`.
    public var description: String {
        var text = file
        if let line { text += ":\(line)" }
        if let line, line > 0, let column { text += ":\(column)" }
        if let pointer { text += "#\(pointer)" }
        return text
    }
}

/// What is wrong with a file: a sentence without its full stop.
public struct FileMistake: Error, Hashable, Sendable, CustomStringConvertible {
    public var place: FilePlace
    public var problem: String

    public init(_ place: FilePlace, _ problem: String) {
        self.place = place
        self.problem = problem
    }

    public var description: String { "\(place): \(problem)" }
}

extension FileValue {
    // MARK: YAML

    /// - Throws: ``FileMistake``.
    static func yaml(_ text: String, file: String) throws(FileMistake) -> FileValue {
        let node: Node?
        do {
            node = try Yams.compose(yaml: text, .basic, .default, .utf8)
        } catch {
            throw mistake(error, file)
        }
        guard let node else { return FileValue(kind: .null, place: FilePlace(file: file, line: 1, column: 1)) }
        return try FileValue(node, file, depth: 0)
    }

    private static func mistake(_ error: any Error, _ file: String) -> FileMistake {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return FileMistake(
                FilePlace(file: file, line: mark.line, column: mark.column),
                "is not valid YAML: \(problem); put quotes around a text with a colon or with braces at its beginning")
        case .duplicatedKeysInMapping(let names, let context):
            return FileMistake(
                FilePlace(file: file, line: context.mark.line, column: context.mark.column),
                "\(names.first ?? "a field") is there more than once; keep one of them")
        case .reader(let problem, _, _, _):
            return FileMistake(FilePlace(file: file), "is not valid YAML: \(problem)")
        default: return FileMistake(FilePlace(file: file), "is not valid YAML")
        }
    }

    /// A list of objects, in an object.
    private static let greatestDepth = 4

    private init(_ node: Node, _ file: String, depth: Int) throws(FileMistake) {
        let mark = node.mark
        place = FilePlace(file: file, line: mark?.line, column: mark?.column)
        guard depth < FileValue.greatestDepth else { throw FileMistake(place, "is nested too deeply") }
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain || scalar.style == .any
            let isNull =
                scalar.string.isEmpty && isPlain || isPlain && ["~", "null", "Null", "NULL"].contains(scalar.string)
            kind = isNull ? .null : .scalar(scalar.string, isText: true, isPlain: isPlain)
        case .sequence(let sequence):
            var values: [FileValue] = []
            for element in sequence { values.append(try FileValue(element, file, depth: depth + 1)) }
            kind = .list(values)
        case .mapping(let mapping):
            var members: [Member] = []
            for (key, value) in mapping {
                let keyPlace = FilePlace(file: file, line: key.mark?.line, column: key.mark?.column)
                guard case .scalar(let name) = key else { throw FileMistake(keyPlace, "a field's name must be a word") }
                var read = try FileValue(value, file, depth: depth + 1)
                // What is empty stands nowhere.
                if case .null = read.kind { read.place = keyPlace }
                members.append(Member(name: name.string, value: read, place: keyPlace))
            }
            kind = .object(members)
        case .alias: throw FileMistake(place, "is an alias; write the value out")
        }
    }

    // MARK: JSON

    /// - Throws: ``FileMistake``.
    static func json(_ octets: [UInt8], file: String) throws(FileMistake) -> FileValue {
        let document: JSON
        do throws(JSONError) {
            document = try JSON(reading: octets)
        } catch {
            throw FileMistake(
                FilePlace(file: file, line: error.line, column: error.column), "is not valid JSON: \(error.explanation)"
            )
        }
        return FileValue(document, file, .root)
    }

    private init(_ value: JSON, _ file: String, _ pointer: JSONPointer) {
        place = FilePlace(file: file, pointer: pointer.description)
        switch value {
        case .null: kind = .null
        case .string(let string): kind = .scalar(string.text, isText: true, isPlain: false)
        case .number(let number): kind = .scalar(number.text, isText: false, isPlain: true)
        case .bool(let flag): kind = .scalar(flag ? "true" : "false", isText: false, isPlain: true)
        case .array(let elements):
            kind = .list(elements.enumerated().map { FileValue($1, file, pointer.appending($0)) })
        case .object(let object):
            kind = .object(
                object.members.map { member in
                    let place = pointer.appending(member.name.text)
                    return Member(
                        name: member.name.text, value: FileValue(member.value, file, place),
                        place: FilePlace(file: file, pointer: place.description))
                })
        }
    }
}
