import RelayCore

/// HTML of which only what stands in the sources is taken as it is: every text that is put into it is escaped, by its type.
///
/// ```swift
/// let row: HTML = "<td title=\"\(message.subject)\">\(message.subject)</td>"
/// ```
///
/// A `String` in an interpolation becomes text, in elements and in attributes with quotes alike; an `HTML` stays markup. There is no
/// way to make markup of a `String`. No attribute stands without quotes, and no text is put into a script or a style: there are none
/// in the pages.
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
        /// Text of several lines, for `pre` and `textarea`.
        mutating func appendInterpolation(lines text: String) { HTML.append(text, keepingLines: true, to: &self.text) }
    }

    /// What would be markup becomes a reference. Controls, and what turns the direction of the text around, become U+FFFD.
    private static func append(_ text: String, keepingLines: Bool, to result: inout String) {
        let text = keepingLines ? printableLines(text) : printable(text)
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
    /// Nothing for nil.
    var orEmpty: HTML { self ?? .empty }
}

/// `html` where the condition holds, else nothing.
func when(_ condition: Bool, _ html: @autoclosure () -> HTML) -> HTML { condition ? html() : .empty }
