import RelayCore
import StrictJSON

/// A template with values in it.
public struct RenderedTemplate: Sendable, Hashable {
    /// Nil where the template has none.
    public var subject: String?
    public var html: String?
    public var text: String?
    public var from: String?
    public var replyTo: [String]
}

/// The values of a template's variables, checked: they can be put in.
public struct TemplateValues: Sendable {
    fileprivate let values: [ArraySlice<UInt8>]
    /// Octets of the subject, html and text that they make, together.
    public let size: Int
}

extension ParsedTemplate {
    /// Octets of subject, html and text together without any value.
    public var leastSize: Int { [subject, html, text].reduce(0) { $0 + ($1?.literal.count ?? 0) } }

    /// Reads values, and works out how large what is made of them will be. Nothing is made yet.
    ///
    /// - Parameters:
    ///   - variables: an object, nested as the names are: `{"customer": {"name": "Ada"}}`. Nil: none is given.
    ///   - limit: mistakes that are told.
    /// - Throws: ``TemplateMistakes`` with all missing, unknown and mistyped variables. Pointers begin at the object.
    public func values(
        _ variables: JSON?, limit: Int = TemplateMistakes.limit
    ) throws(TemplateMistakes) -> TemplateValues {
        let values = try tree.values(in: variables, rules: rules, limit: limit)
        let sizes = values.map { ValueSize($0) }
        let size = [subject, html, text].reduce(0) { $0 + ($1?.size(sizes) ?? 0) }
        return TemplateValues(values: values, size: size)
    }

    /// Puts the values in. Values are put in once and as they are: braces in them mean nothing.
    ///
    /// - Parameter values: of this template.
    public func render(_ values: TemplateValues) -> RenderedTemplate {
        let sizes = values.values.map { ValueSize($0) }
        return RenderedTemplate(
            subject: subject?.rendered(values.values, sizes), html: html?.rendered(values.values, sizes),
            text: text?.rendered(values.values, sizes), from: content.from, replyTo: content.replyTo)
    }
}

/// How many octets a value takes in each form. Counted once, however often the value is put in.
private struct ValueSize {
    let raw: Int
    let html: Int
    let line: Int

    init(_ value: ArraySlice<UInt8>) {
        raw = value.count
        html = value.reduce(0) { $0 + HTMLEscape.length(of: $1) }
        line = SubjectLine.line(value).count
    }

    func count(_ form: ValueForm) -> Int {
        switch form {
        case .raw: raw
        case .line: line
        case .html: html
        }
    }
}

extension TemplatePart {
    fileprivate func size(_ sizes: [ValueSize]) -> Int {
        slots.reduce(literal.count) { $0 + sizes[$1.variable].count($1.form) }
    }

    fileprivate func rendered(_ values: [ArraySlice<UInt8>], _ sizes: [ValueSize]) -> String {
        // Literal and values are UTF-8 each, and no piece ends within a scalar.
        String(unsafeUninitializedCapacity: size(sizes)) { buffer in
            var target = Target(buffer)
            var taken = 0
            for slot in slots {
                target.append(literal[taken..<slot.offset])
                taken = slot.offset
                let value = values[slot.variable]
                switch slot.form {
                case .raw: target.append(value)
                case .line: target.append(SubjectLine.line(value))
                case .html where sizes[slot.variable].html == value.count: target.append(value)
                case .html: target.appendEscaped(value)
                }
            }
            target.append(literal[taken...])
            return target.count
        }
    }

    /// Memory that octets are appended to. It has room for as many as were counted; what were over would be left out.
    private struct Target {
        private let buffer: UnsafeMutableBufferPointer<UInt8>
        private(set) var count = 0

        init(_ buffer: UnsafeMutableBufferPointer<UInt8>) { self.buffer = buffer }

        mutating func append(_ octets: ArraySlice<UInt8>) {
            let rest = UnsafeMutableBufferPointer(rebasing: buffer[count...])
            count += rest.update(fromContentsOf: octets.prefix(rest.count))
        }

        mutating func appendEscaped(_ octets: ArraySlice<UInt8>) {
            for octet in octets {
                let reference = HTMLEscape.reference(for: octet)
                if let reference {
                    append(ArraySlice(reference.utf8))
                } else if count < buffer.count {
                    buffer[count] = octet
                    count += 1
                }
            }
        }
    }
}

/// The character references that a value is written with in HTML.
enum HTMLEscape {
    static func reference(for octet: UInt8) -> String? {
        switch octet {
        case UInt8(ascii: "&"): "&amp;"
        case UInt8(ascii: "<"): "&lt;"
        case UInt8(ascii: ">"): "&gt;"
        case UInt8(ascii: "\""): "&quot;"
        case UInt8(ascii: "'"): "&#39;"
        default: nil
        }
    }

    /// Octets that it becomes.
    static func length(of octet: UInt8) -> Int {
        switch octet {
        case UInt8(ascii: "&"), UInt8(ascii: "'"): 5
        case UInt8(ascii: "<"), UInt8(ascii: ">"): 4
        case UInt8(ascii: "\""): 6
        default: 1
        }
    }
}
