import RelayCore
import StrictJSON

/// The email that results from a template and the values of its variables.
public struct RenderedTemplate: Sendable, Hashable {
    /// Nil if the template has no subject. `html`, `text` and `from` are nil in the same way.
    public var subject: String?
    /// The HTML body. The values are in it with character references for `& < > " '`.
    public var html: String?
    /// The text body.
    public var text: String?
    /// The sender of the template: `Name <a@b>` or `a@b`. It has no placeholders.
    public var from: String?
    /// The Reply-To addresses of the template, in the form of `from`. Empty if it has none.
    public var replyTo: [String]
}

/// The values of a template's variables. They are checked and ready for ``ParsedTemplate/render(_:)``.
public struct TemplateValues: Sendable {
    fileprivate let values: [ArraySlice<UInt8>]
    /// The number of octets of the subject, HTML and text together, once the values are in them.
    public let size: Int
}

extension ParsedTemplate {
    /// The number of octets of the subject, HTML and text together, without any value.
    public var leastSize: Int { [subject, html, text].reduce(0) { $0 + ($1?.literal.count ?? 0) } }

    /// Reads and checks values, and calculates the size of the email. Renders nothing yet.
    ///
    /// - Parameters:
    ///   - variables: an object, nested like the names: `{"customer": {"name": "Ada"}}`. Nil: no values are given.
    ///   - limit: the largest number of mistakes that are reported.
    /// - Throws: ``TemplateMistakes`` with all missing, unknown and mistyped variables, and all values that their
    ///   places don't allow. Pointers begin at the object.
    public func values(
        _ variables: JSON?, limit: Int = TemplateMistakes.limit
    ) throws(TemplateMistakes) -> TemplateValues {
        let values = try tree.values(in: variables, rules: rules, limit: limit)
        let sizes = values.map { ValueSize($0) }
        let size = [subject, html, text].reduce(0) { $0 + ($1?.size(sizes) ?? 0) }
        return TemplateValues(values: values, size: size)
    }

    /// Replaces the placeholders by the values. Braces in a value mean nothing, because values are not searched for
    /// placeholders.
    ///
    /// - Parameter values: the result of ``values(_:limit:)`` of this template.
    public func render(_ values: TemplateValues) -> RenderedTemplate {
        let sizes = values.values.map { ValueSize($0) }
        return RenderedTemplate(
            subject: subject?.rendered(values.values, sizes), html: html?.rendered(values.values, sizes),
            text: text?.rendered(values.values, sizes), from: content.from, replyTo: content.replyTo)
    }
}

/// The number of octets of a value in each form. It is computed once for all placeholders of the variable.
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
        // The literal and the values are UTF-8, and no piece ends within a scalar. So the result is UTF-8, too.
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

    /// Memory that octets are appended to. It has room for the octets that were counted. Octets beyond that number
    /// would be left out.
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

/// The character references that replace octets of a value in HTML.
enum HTMLEscape {
    /// The reference for an octet. Nil if the octet needs none.
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

    /// The number of octets of ``reference(for:)``, or 1 if the octet needs no reference.
    static func length(of octet: UInt8) -> Int {
        switch octet {
        case UInt8(ascii: "&"), UInt8(ascii: "'"): 5
        case UInt8(ascii: "<"), UInt8(ascii: ">"): 4
        case UInt8(ascii: "\""): 6
        default: 1
        }
    }
}
