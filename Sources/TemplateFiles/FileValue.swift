import StrictJSON
import Yams

/// A value in a template's file, with its place for messages. A value from YAML and one from JSON look the same.
struct FileValue {
    enum Kind {
        case null
        /// `isText`: the scalar may be a string. `isPlain`: it may be a number or a boolean. A plain scalar of YAML may
        /// be either.
        case scalar(String, isText: Bool, isPlain: Bool)
        case list([FileValue])
        case object([Member])
    }

    struct Member {
        var name: String
        var value: FileValue
        /// The place of the name.
        var place: FilePlace
    }

    var kind: Kind
    var place: FilePlace

    /// The kind in words, for messages.
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

/// A place in a file, for messages: a line and a column, or a JSON pointer if the reader of the file knows no lines.
public struct FilePlace: Hashable, Sendable, CustomStringConvertible {
    /// The path of the file, or the name of a form's field.
    public var file: String
    /// The number of the line, from 1 on. Nil if the place is the whole file or a pointer.
    public var line: Int?
    /// The number of the character in its line, from 1 on. The column is not shown if there is no line.
    public var column: Int?
    /// The JSON pointer (RFC 6901), such as `/variables/0`.
    public var pointer: String?

    public init(file: String, line: Int? = nil, column: Int? = nil, pointer: String? = nil) {
        self.file = file
        self.line = line
        self.column = column
        self.pointer = pointer
    }

    /// The place in the form `welcome/template.yaml:3:5` or `welcome/template.json#/variables/0`.
    public var description: String {
        var text = file
        if let line { text += ":\(line)" }
        if let line, line > 0, let column { text += ":\(column)" }
        if let pointer { text += "#\(pointer)" }
        return text
    }
}

/// A mistake in a file.
public struct FileMistake: Error, Hashable, Sendable, CustomStringConvertible {
    /// Where the mistake is. It may be the whole file.
    public var place: FilePlace
    /// What is wrong and what to do: a sentence without its full stop.
    public var problem: String

    public init(_ place: FilePlace, _ problem: String) {
        self.place = place
        self.problem = problem
    }

    /// The place, a colon and the problem.
    public var description: String { "\(place): \(problem)" }
}

extension FileValue {
    // MARK: YAML

    /// Reads a document of YAML 1.1.
    ///
    /// - Parameter file: the name of the file for messages.
    /// - Throws: ``FileMistake`` for text that is not YAML, and for aliases and deep nesting.
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
                "is not valid YAML: \(problem); put quotes around a text that contains a colon or begins with braces")
        case .duplicatedKeysInMapping(let names, let context):
            return FileMistake(
                FilePlace(file: file, line: context.mark.line, column: context.mark.column),
                "\(names.first ?? "a field") appears more than once; keep one of them")
        case .reader(let problem, _, _, _):
            return FileMistake(FilePlace(file: file), "is not valid YAML: \(problem)")
        default: return FileMistake(FilePlace(file: file), "is not valid YAML")
        }
    }

    /// The depth of a scalar in an object in a list in an object.
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
                // An empty value has no place of its own.
                if case .null = read.kind { read.place = keyPlace }
                members.append(Member(name: name.string, value: read, place: keyPlace))
            }
            kind = .object(members)
        case .alias: throw FileMistake(place, "is a YAML alias; write the value itself")
        }
    }

    // MARK: JSON

    /// Reads a document of JSON.
    ///
    /// - Parameter file: the name of the file for messages.
    /// - Throws: ``FileMistake`` for text that is not JSON.
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
