import RelayCore

/// A text with placeholders, taken apart.
struct TextWithPlaceholders: Sendable {
    struct Placeholder: Sendable, Hashable {
        /// Where it stands in ``TextWithPlaceholders/literal``, before the octet with this index.
        var offset: Int
        /// Where its braces begin in the source.
        var source: Int
        var name: String
    }

    /// A mistake of the grammar.
    struct Fault: Sendable, Hashable {
        /// Where it begins in the source.
        var source: Int
        /// A sentence with its full stop.
        var detail: String
    }

    /// All that is no placeholder, with `\{{` as the two braces that it means.
    private(set) var literal: [UInt8]
    /// In their order.
    private(set) var placeholders: [Placeholder] = []
    private(set) var faults: [Fault] = []

    /// Faults that are kept.
    private static let mostFaults = TemplateMistakes.limit + 1

    /// Reads the grammar: `{{ a.b }}` is a placeholder, `\{{` two braces, and other text means itself. A single brace means itself, and
    /// so do two that close where none are open.
    ///
    /// - Parameter mostPlaceholders: what is over is not kept, but for one.
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
            // Every second octet is enough to find two.
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

    /// What stands at `{{`.
    private static func expression(in source: [UInt8], from start: Int) -> Expression {
        let inside = start + 2
        var end = inside
        while end < source.count, source[end] != 0x0A, source[end] != 0x0D {
            if source[end] == UInt8(ascii: "}"), end + 1 < source.count, source[end + 1] == UInt8(ascii: "}") {
                return judge(source[inside..<end], source, end: end + 2)
            }
            // Another one begins, so this one was not closed. A third brace is told as such.
            if end > inside, source[end] == UInt8(ascii: "{"), end + 1 < source.count,
                source[end + 1] == UInt8(ascii: "{")
            {
                break
            }
            end += 1
        }
        return .fault(
            "The placeholder is not closed; write it on one line such as {{name}}, or \\{{ for two braces.",
            end: end > inside ? end : inside)
    }

    private static func judge(_ inside: ArraySlice<UInt8>, _ source: [UInt8], end: Int) -> Expression {
        if inside.first == UInt8(ascii: "{") {
            let isClosed = end < source.count && source[end] == UInt8(ascii: "}")
            return .fault(
                "Three braces mean nothing here: a value is always escaped as its place needs it; write two.",
                end: isClosed ? end + 1 : end)
        }
        let isBlank = { (octet: UInt8) in octet == 0x20 || octet == 0x09 }
        let name = inside.drop(while: isBlank)
        let last = name.lastIndex { !isBlank($0) }
        guard let last, let first = name.first else {
            return .fault("The placeholder has no name; write it such as {{customer.name}}.", end: end)
        }
        if "#/^>!&=*".utf8.contains(first) || name[...last].elementsEqual("else".utf8) {
            return .fault(
                "There are no conditions, loops or partials in a template; prepare the text in the application and give it as a variable.",
                end: end)
        }
        // Longer than any name, so that what is told of it stays short.
        let text = String(decoding: name[...last].prefix(4 * TemplateVariable.longestName), as: UTF8.self)
        if let fault = TemplateVariable.fault(ofName: text) {
            return .fault("The name in the placeholder \(fault).", end: end)
        }
        return .name(text, end: end)
    }
}
