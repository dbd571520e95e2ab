import RelayCore

/// A text, divided into literal text and placeholders.
struct TextWithPlaceholders: Sendable {
    struct Placeholder: Sendable, Hashable {
        /// The index of the octet in ``TextWithPlaceholders/literal`` before which the placeholder is.
        var offset: Int
        /// The index of the placeholder's first brace in the source.
        var source: Int
        var name: String
    }

    /// A mistake of the grammar.
    struct Fault: Sendable, Hashable {
        /// The index in the source at which the mistake begins.
        var source: Int
        /// A sentence with its full stop.
        var detail: String
    }

    /// The text without its placeholders, with `{{` in place of `\{{`.
    private(set) var literal: [UInt8]
    /// The placeholders in the order of the text.
    private(set) var placeholders: [Placeholder] = []
    private(set) var faults: [Fault] = []

    /// The largest number of faults that are kept.
    private static let mostFaults = TemplateMistakes.limit + 1

    /// Reads the grammar: `{{ a.b }}` is a placeholder, `\{{` is two braces, and all other text is literal. A single
    /// brace is literal, and so is `}}` without a `{{` before it.
    ///
    /// - Parameter mostPlaceholders: the largest number that is allowed. One placeholder more is kept, so that the
    ///   caller sees when there are too many.
    init(_ source: [UInt8], mostPlaceholders: Int) {
        literal = []
        literal.reserveCapacity(source.count)
        var index = 0
        var taken = 0
        while let start = TextWithPlaceholders.openBraces(in: source, from: index) {
            index = start
            if start > taken, source[start - 1] == UInt8(ascii: "\\") {
                literal += source[taken..<(start - 1)]
                literal += TextWithPlaceholders.braces
                index = start + 2
                taken = index
                continue
            }
            literal += source[taken..<start]
            switch TextWithPlaceholders.expression(in: source, from: start) {
            case .name(let name, let end):
                if placeholders.count <= mostPlaceholders {
                    placeholders.append(Placeholder(offset: literal.count, source: start, name: name))
                }
                index = end
            case .fault(let detail, let end):
                if faults.count < TextWithPlaceholders.mostFaults {
                    faults.append(Fault(source: start, detail: detail))
                }
                index = end
            }
            taken = index
        }
        literal += source[taken...]
    }

    private static let braces = Array("{{".utf8)

    private static func openBraces(in source: [UInt8], from start: Int) -> Int? {
        var index = start
        while index + 1 < source.count {
            // Two braces in sequence fill two neighbouring octets, so it is enough to look at every second octet.
            if source[index + 1] != UInt8(ascii: "{") {
                index += 2
            } else if source[index] == UInt8(ascii: "{") {
                return index
            } else {
                index += 1
            }
        }
        return nil
    }

    private enum Expression {
        case name(String, end: Int)
        case fault(String, end: Int)
    }

    /// Reads the expression that begins with the `{{` at `start`.
    private static func expression(in source: [UInt8], from start: Int) -> Expression {
        let inside = start + 2
        var end = inside
        while end < source.count, source[end] != 0x0A, source[end] != 0x0D {
            if source[end] == UInt8(ascii: "}"), end + 1 < source.count, source[end + 1] == UInt8(ascii: "}") {
                return judge(source[inside..<end], source, end: end + 2)
            }
            // Another placeholder begins, so this one is not closed. If a third brace follows the first two, `judge`
            // reports it.
            if end > inside, source[end] == UInt8(ascii: "{"), end + 1 < source.count,
                source[end + 1] == UInt8(ascii: "{")
            {
                break
            }
            end += 1
        }
        return .fault(
            "The placeholder is not closed; write it on one line, such as {{name}}, or write \\{{ for two braces.",
            end: end > inside ? end : inside)
    }

    /// Checks the octets between the braces.
    private static func judge(_ inside: ArraySlice<UInt8>, _ source: [UInt8], end: Int) -> Expression {
        if inside.first == UInt8(ascii: "{") {
            let isClosed = end < source.count && source[end] == UInt8(ascii: "}")
            return .fault(
                "Three braces have no meaning, because a value is always escaped for its place; write two.",
                end: isClosed ? end + 1 : end)
        }
        let isBlank = { (octet: UInt8) in octet == 0x20 || octet == 0x09 }
        let name = inside.drop(while: isBlank)
        let last = name.lastIndex { !isBlank($0) }
        guard let last, let first = name.first else {
            return .fault("The placeholder has no name; write one, such as {{customer.name}}.", end: end)
        }
        if "#/^>!&=*".utf8.contains(first) || name[...last].elementsEqual("else".utf8) {
            return .fault(
                "There are no conditions, loops or partials in a template; prepare the text in the application and give it as a variable.",
                end: end)
        }
        // The limit is longer than any valid name. It keeps the message about a wrong name short.
        let text = String(decoding: name[...last].prefix(4 * TemplateVariable.longestName), as: UTF8.self)
        if let fault = TemplateVariable.fault(ofName: text) {
            return .fault("The name in the placeholder \(fault).", end: end)
        }
        return .name(text, end: end)
    }
}
