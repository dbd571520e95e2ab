/// Why octets are not valid JSON, and where.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A plain sentence without a full stop that says what to change. It contains nothing of the document except a
    /// short excerpt of a member's name, without control characters.
    public let explanation: String
    /// The number of octets before the mistake.
    public let offset: Int
    /// The line, counted from 1. A line ends with LF, CR or CRLF.
    public let line: Int
    /// The column, counted from 1 in Unicode scalars. An octet outside any scalar counts as one.
    public let column: Int

    init(_ explanation: String, at offset: Int, in document: ArraySlice<UInt8>) {
        self.explanation = explanation
        self.offset = offset
        var line = 1
        var column = 1
        var previous: UInt8 = 0
        for octet in document.prefix(offset) {
            switch octet {
            case 0x0A where previous == 0x0D: break
            case 0x0A, 0x0D:
                line += 1
                column = 1
            // The continuation octets of a scalar count together with its first octet.
            case 0x80...0xBF: break
            default: column += 1
            }
            previous = octet
        }
        self.line = line
        self.column = column
    }

    /// `line 3, column 14: …`
    public var description: String { "line \(line), column \(column): \(explanation)" }
}
