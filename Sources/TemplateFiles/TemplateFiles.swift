import RelayCore
import StrictJSON
import Templates

/// A template in the files of a directory: `template.yaml` or `template.json` with its fields, `body.html` and
/// `body.txt`. The bodies may also be fields, so the JSON of the HTTP API is such a file, too.
public struct TemplateFiles: Sendable {
    /// The name of the file with the fields, in YAML.
    public static let yamlName = "template.yaml"
    /// The name of the file with the fields, in JSON.
    public static let jsonName = "template.json"
    /// The name of the file with the HTML body.
    public static let htmlName = "body.html"
    /// The name of the file with the text body.
    public static let textName = "body.txt"

    /// The largest number of octets of a file. The limits of a template are lower. So a template that is too long is
    /// still read, and the message about it can name the field.
    public static let longestFile = 4 << 20

    /// The name of the template.
    public let name: String
    /// The content of the template, with the variables that were not declared.
    public let content: TemplateContent
    /// The place of the name.
    public let place: FilePlace

    /// A file and its octets.
    public struct File: Sendable {
        /// The path, in the form that messages show.
        public var path: String
        /// The content of the file. It must be UTF-8.
        public var octets: [UInt8]

        public init(path: String, octets: [UInt8]) {
            self.path = path
            self.octets = octets
        }
    }

    /// Reads the files of one template, and checks the template.
    ///
    /// - Parameters:
    ///   - description: `template.yaml` or `template.json`. A path that ends with `.json` is read as JSON.
    ///   - html: nil if the template has no such file.
    ///   - text: nil if the template has no such file.
    /// - Throws: ``FileMistakes`` with all mistakes.
    public init(description: File, html: File?, text: File?) throws(FileMistakes) {
        var reader = DescriptionReader(description.path)
        do throws(FileMistake) {
            let document: FileValue
            if description.path.hasSuffix(".json") {
                document = try .json(description.octets, file: description.path)
            } else {
                document = try .yaml(try TemplateFiles.text(description), file: description.path)
            }
            reader.read(document)
        } catch {
            reader.mistakes.append(error)
        }
        for (file, path, field) in [(html, \TemplateContent.html, "html"), (text, \.text, "text")] {
            guard let file else { continue }
            if reader.content[keyPath: path] != nil {
                reader.mistakes.append(
                    FileMistake(
                        FilePlace(file: description.path),
                        "the field \"\(field)\" and the file \(file.path) both give this body; keep one of them"))
            }
            do throws(FileMistake) {
                reader.content[keyPath: path] = try TemplateFiles.text(file)
            } catch {
                reader.mistakes.append(error)
            }
        }
        if reader.content.html == nil, reader.content.text == nil {
            reader.mistakes.append(
                FileMistake(
                    FilePlace(file: description.path),
                    "there is no body: write it into \(TemplateFiles.htmlName) or \(TemplateFiles.textName) beside this file, or give it here as \"html\" or \"text\""
                ))
        }
        (name, content, place) = try reader.finish(
            html: html?.path ?? "\(description.path), html", text: text?.path ?? "\(description.path), text")
    }

    /// The fields of a form, in place of `template.yaml`. An empty field counts as left out.
    public struct Fields: Sendable {
        /// The name of the template, as the form gives it. It is checked when the template is read.
        public var name: String
        /// The subject, with placeholders. If empty, requests must have a subject.
        public var subject: String
        /// The sender: `Name <a@b>` or `a@b`.
        public var from: String
        /// The addresses, each in the form of ``from``.
        public var replyTo: [String]

        public init(name: String, subject: String, from: String, replyTo: [String]) {
            self.name = name
            self.subject = subject
            self.from = from
            self.replyTo = replyTo
        }
    }

    /// Reads a template from a form. Messages name the fields `Name`, `Subject`, `From`, `Reply to`, `Variables`,
    /// `HTML` and `Text`.
    ///
    /// - Parameters:
    ///   - variables: a list in YAML, like that of `variables:` in `template.yaml`.
    ///   - html: nil if the template has no HTML.
    ///   - text: nil if the template has no text.
    /// - Throws: ``FileMistakes`` with all mistakes.
    public init(fields: Fields, variables: String, html: String?, text: String?) throws(FileMistakes) {
        var reader = DescriptionReader("Name")
        func scalar(_ text: String, _ field: String) -> FileValue {
            FileValue(kind: .scalar(text, isText: true, isPlain: false), place: FilePlace(file: field))
        }
        var members = [("name", scalar(fields.name, "Name"))]
        if !fields.subject.isEmpty { members.append(("subject", scalar(fields.subject, "Subject"))) }
        if !fields.from.isEmpty { members.append(("from", scalar(fields.from, "From"))) }
        let addresses = fields.replyTo.map { scalar($0, "Reply to") }
        members.append(("reply_to", FileValue(kind: .list(addresses), place: FilePlace(file: "Reply to"))))
        do throws(FileMistake) {
            members.append(("variables", try .yaml(variables, file: "Variables")))
        } catch {
            reader.mistakes.append(error)
        }
        reader.read(
            FileValue(
                kind: .object(members.map { .init(name: $0.0, value: $0.1, place: $0.1.place) }),
                place: FilePlace(file: "Name")))
        (reader.content.html, reader.content.text) = (html, text)
        if html == nil, text == nil {
            reader.mistakes.append(
                FileMistake(FilePlace(file: "HTML"), "there is neither HTML nor text; write one of them, or both"))
        }
        (name, content, place) = try reader.finish(html: "HTML", text: "Text")
    }

    private static func text(_ file: File) throws(FileMistake) -> String {
        guard let text = String(validating: file.octets, as: UTF8.self) else {
            throw FileMistake(FilePlace(file: file.path), "contains octets that are not UTF-8; save it in UTF-8")
        }
        return text
    }
}

/// All mistakes of a template's files: at least one.
public struct FileMistakes: Error, Hashable, Sendable {
    /// The mistakes by file, and in each file by line and column.
    public let all: [FileMistake]

    /// Sorts the mistakes. The files stay in the order in which they first occur.
    public init(_ all: [FileMistake]) {
        var files: [String] = []
        for mistake in all where !files.contains(mistake.place.file) { files.append(mistake.place.file) }
        self.all = files.flatMap { file in
            all.filter { $0.place.file == file }.sorted {
                ($0.place.line ?? 0, $0.place.column ?? 0) < ($1.place.line ?? 0, $1.place.column ?? 0)
            }
        }
    }
}

/// Reads the fields of a template from `template.yaml`, `template.json` or a form.
private struct DescriptionReader {
    private let file: String
    var name: (text: String, place: FilePlace)?
    var content = TemplateContent()
    var mistakes: [FileMistake] = []
    /// The places by JSON pointer. The check of the template names the places of its mistakes by such pointers.
    private var places: [String: FilePlace] = [:]

    private static let fields = ["name", "subject", "html", "text", "from", "reply_to", "variables"]
    private static let variableFields = ["name", "type", "required", "default"]

    init(_ file: String) { self.file = file }

    mutating func read(_ document: FileValue) {
        guard let members = object(document, DescriptionReader.fields, "a template") else { return }
        for member in members {
            let value = member.value
            places["/" + member.name] = value.place
            switch member.name {
            case "name": readName(value)
            case "subject": content.subject = text(value, "subject")
            case "html": content.html = text(value, "html")
            case "text": content.text = text(value, "text")
            case "from": content.from = text(value, "from")
            case "reply_to": content.replyTo = texts(value, "reply_to")
            case "variables": readVariables(value)
            default: break
            }
        }
        if !members.contains(where: { $0.name == "name" }) {
            mistakes.append(FileMistake(document.place, "\"name\" is missing; give the template a name"))
        }
    }

    private mutating func readName(_ value: FileValue) {
        guard case .scalar(let text, isText: true, _) = value.kind else {
            return mistakes.append(FileMistake(value.place, "\"name\" must be a text, not \(value.kindName)"))
        }
        if let fault = Template.fault(ofName: text) {
            mistakes.append(FileMistake(value.place, "the name \(fault)"))
        } else {
            name = (text, value.place)
        }
    }

    private mutating func readVariables(_ value: FileValue) {
        if case .null = value.kind { return }
        guard case .list(let elements) = value.kind else {
            return mistakes.append(
                FileMistake(value.place, "\"variables\" must be a list, each with a name, not \(value.kindName)"))
        }
        for (index, element) in elements.enumerated() {
            let pointer = "/variables/\(index)"
            places[pointer] = element.place
            guard let members = object(element, DescriptionReader.variableFields, "a variable") else { continue }
            for member in members { places["\(pointer)/\(member.name)"] = member.value.place }
            if let variable = variable(members, element.place) { content.variables.append(variable) }
        }
    }

    private mutating func variable(_ members: [FileValue.Member], _ place: FilePlace) -> TemplateVariable? {
        let count = mistakes.count
        func member(_ name: String) -> FileValue? { members.first { $0.name == name }?.value }
        var variable = TemplateVariable(name: "")
        if let value = member("name") {
            variable.name = text(value, "name") ?? ""
        } else {
            mistakes.append(FileMistake(place, "the variable has no \"name\""))
        }
        if let value = member("type"), let word = text(value, "type") {
            if let type = TemplateVariableType(rawValue: word) {
                variable.type = type
            } else {
                let all = TemplateVariableType.allCases.map(\.rawValue).joined(separator: ", ")
                mistakes.append(FileMistake(value.place, "\"\(printable(word))\" is not a type; the types are \(all)"))
            }
        }
        let standard = member("default").flatMap { value in
            if case .null = value.kind { nil as FileValue? } else { value }
        }
        variable.isRequired = standard == nil
        if let value = member("required") {
            if case .scalar(let word, _, isPlain: true) = value.kind, let flag = Bool(word) {
                variable.isRequired = flag
            } else {
                mistakes.append(FileMistake(value.place, "\"required\" must be true or false"))
            }
        }
        if let standard {
            variable.defaultValue = self.standard(standard, variable.type)
            if variable.defaultValue == nil {
                mistakes.append(FileMistake(standard.place, "the default must be \(variable.type.phrase)"))
            }
        }
        return mistakes.count == count ? variable : nil
    }

    private func standard(_ value: FileValue, _ type: TemplateVariableType) -> TemplateValue? {
        guard case .scalar(let text, let isText, let isPlain) = value.kind else { return nil }
        switch type {
        case .string, .date: return isText ? TemplateValue(JSON(text), type: type) : nil
        case .number, .boolean:
            guard isPlain, let json = try? JSON(reading: Array(text.utf8)) else { return nil }
            return TemplateValue(json, type: type)
        }
    }

    // MARK: Forms

    private mutating func object(_ value: FileValue, _ names: [String], _ what: String) -> [FileValue.Member]? {
        guard case .object(let members) = value.kind else {
            mistakes.append(
                FileMistake(
                    value.place, "\(what) must have fields in the form \"name: value\", but this is \(value.kindName)"))
            return nil
        }
        for member in members where !names.contains(member.name) {
            let near = Spelling.nearest(to: member.name, among: names)
            let advice = near.map { "did you mean \($0)?" } ?? "the fields are \(names.joined(separator: ", "))"
            mistakes.append(
                FileMistake(member.place, "\"\(printable(member.name))\" is no field of \(what); \(advice)"))
        }
        return members
    }

    /// The text of a field. Nil if it is null, which means left out, or if it is not a text, which is a mistake.
    private mutating func text(_ value: FileValue, _ name: String) -> String? {
        switch value.kind {
        case .null: return nil
        case .scalar(let text, isText: true, _): return text
        default:
            mistakes.append(FileMistake(value.place, "\"\(name)\" must be a text, not \(value.kindName)"))
            return nil
        }
    }

    /// The texts of a field that may be one text or a list of texts.
    private mutating func texts(_ value: FileValue, _ name: String) -> [String] {
        guard case .list(let elements) = value.kind else { return text(value, name).map { [$0] } ?? [] }
        var texts: [String] = []
        for (index, element) in elements.enumerated() {
            places["/\(name)/\(index)"] = element.place
            if let text = text(element, name) { texts.append(text) }
        }
        return texts
    }

    // MARK: Mistakes of the template

    /// Checks the template. If fields have mistakes, it is checked all the same, so that the mistakes of the bodies are
    /// reported with them.
    ///
    /// - Parameters:
    ///   - html: the name of the HTML in messages.
    ///   - text: the name of the text in messages.
    mutating func finish(
        html: String, text: String
    ) throws(FileMistakes) -> (name: String, content: TemplateContent, place: FilePlace) {
        var parsed: TemplateContent?
        do throws(TemplateMistakes) {
            parsed = try ParsedTemplate(content).content
        } catch {
            let told = error.all.filter { isToBeTold($0) }
            mistakes += told.map { mistake($0, html: html, text: text) }
        }
        guard mistakes.isEmpty, let name, let parsed else { throw FileMistakes(mistakes) }
        return (name.text, parsed, name.place)
    }

    /// Whether to report a mistake of the template. A field that has mistakes of its own was left out. A mistake that
    /// may only result from this is not reported.
    func isToBeTold(_ mistake: TemplateMistake) -> Bool {
        let hasBody = content.html != nil || content.text != nil
        switch mistake.pointer.tokens.first {
        case "html", "text": return hasBody
        case "subject": return true
        default: return mistakes.isEmpty
        }
    }

    /// Finds the place of a template's mistake in its file.
    func mistake(_ mistake: TemplateMistake, html: String, text: String) -> FileMistake {
        var detail = mistake.detail
        // All messages about files come without a full stop.
        if detail.hasSuffix(".") { detail.removeLast() }
        detail = detail.prefix(1).lowercased() + detail.dropFirst()
        let body: String? =
            switch mistake.pointer.tokens.first {
            case "html": html
            case "text": text
            default: nil
            }
        if let body, !body.isEmpty {
            return FileMistake(
                FilePlace(file: body, line: mistake.position?.line, column: mistake.position?.column), detail)
        }
        // A field's text may be written with escapes, so its columns differ from those of the file.
        let field = mistake.pointer.tokens.first ?? "template"
        if let position = mistake.position { detail = "\(field), character \(position.column): \(detail)" }
        return FileMistake(place(of: mistake.pointer), detail)
    }

    private func place(of pointer: JSONPointer) -> FilePlace {
        var tokens = pointer.tokens
        while !tokens.isEmpty {
            if let place = places[JSONPointer(tokens).description] { return place }
            tokens.removeLast()
        }
        return FilePlace(file: file)
    }
}
