import RelayCore

/// HTML in which only literals in the source code are markup. The type escapes every text that is put into it.
///
/// ```swift
/// let row: HTML = "<td title=\"\(message.subject)\">\(message.subject)</td>"
/// ```
///
/// A `String` in an interpolation becomes text, both in elements and in quoted attributes. An `HTML` stays markup. A
/// `String` can't be made into markup. The pages have no unquoted attributes and put no text into a script or a style.
struct HTML: Sendable, Hashable, ExpressibleByStringInterpolation {
    private(set) var text: String

    init(stringLiteral text: String) { self.text = text }

    init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

    static let empty: HTML = ""

    var isEmpty: Bool { text.isEmpty }

    static func + (a: HTML, b: HTML) -> HTML { "\(a)\(b)" }

    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + 16 * interpolationCount)
        }

        mutating func appendLiteral(_ literal: String) { text += literal }

        mutating func appendInterpolation(_ html: HTML) { text += html.text }
        mutating func appendInterpolation(_ parts: [HTML]) { for part in parts { text += part.text } }
        mutating func appendInterpolation(_ text: String) { HTML.append(text, keepingLines: false, to: &self.text) }
        mutating func appendInterpolation(_ number: Int) { text += String(number) }
        /// Unchanged text, for a `textarea` whose content is sent back: it must not change on the way.
        mutating func appendInterpolation(exactly text: String) { HTML.escape(text, to: &self.text) }
        /// Text of several lines, for `pre` and `textarea`.
        mutating func appendInterpolation(lines text: String) { HTML.append(text, keepingLines: true, to: &self.text) }
    }

    /// Replaces characters that would be markup by character references. Control characters, and characters that change
    /// the direction of text, become U+FFFD.
    private static func append(_ text: String, keepingLines: Bool, to result: inout String) {
        escape(keepingLines ? printableLines(text) : printable(text), to: &result)
    }

    private static func escape(_ text: String, to result: inout String) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(scalar)
            }
        }
    }

    private static func printableLines(_ text: String) -> String {
        text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
            .map { line in
                line.split(separator: "\t", omittingEmptySubsequences: false).map { printable(String($0)) }.joined(
                    separator: "\t")
            }
            .joined(separator: "\n")
    }
}

extension Optional where Wrapped == HTML {
    /// Empty for nil.
    var orEmpty: HTML { self ?? .empty }
}

/// `html` if the condition holds, else empty.
func when(_ condition: Bool, _ html: @autoclosure () -> HTML) -> HTML { condition ? html() : .empty }
