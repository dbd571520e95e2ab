import StrictJSON

/// What is wrong with a template or with the values of its variables: what to change, and where.
public struct TemplateMistake: Error, Hashable, Sendable {
    /// A sentence with its full stop or question mark.
    public var detail: String
    /// In a document as ``TemplateContent`` is written in the API (`/html`, `/variables/0/name`), or in the object of the values
    /// (`/customer/name`).
    public var pointer: JSONPointer
    /// Where it is in the text of the field; nil where it concerns the field as a whole.
    public var position: TextPosition?

    public init(_ detail: String, at pointer: JSONPointer, _ position: TextPosition? = nil) {
        self.detail = detail
        self.pointer = pointer
        self.position = position
    }

    /// With its line and column, where it has them.
    public var sentence: String {
        position.map { "Line \($0.line), column \($0.column): \(detail)" } ?? detail
    }
}

/// All mistakes of a template or of values: at least one.
public struct TemplateMistakes: Error, Hashable, Sendable {
    public private(set) var all: [TemplateMistake] = []
    private let limit: Int

    /// Mistakes that are told.
    public static let limit = 100

    init(limit: Int = TemplateMistakes.limit) { self.limit = max(1, limit) }

    /// Whether another one would be told.
    var hasRoom: Bool { all.count <= limit }

    mutating func add(_ detail: @autoclosure () -> String, at pointer: JSONPointer, _ position: TextPosition? = nil) {
        guard hasRoom else { return }
        all.append(
            all.count < limit
                ? TemplateMistake(detail(), at: pointer, position)
                : TemplateMistake("There are more mistakes than these \(limit).", at: .root))
    }
}

/// A place in a text. Both count from 1; a column is a Unicode scalar.
public struct TextPosition: Hashable, Sendable {
    public var line: Int
    public var column: Int

    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

/// Finds the positions of octets in a text. Looks at each octet once where the offsets rise.
struct TextPositions {
    private let octets: [UInt8]
    private var offset = 0
    private var position = TextPosition(line: 1, column: 1)

    init(_ octets: [UInt8]) { self.octets = octets }

    /// LF, CR and CRLF end a line.
    mutating func position(of target: Int) -> TextPosition {
        if target < offset { (offset, position) = (0, TextPosition(line: 1, column: 1)) }
        while offset < min(target, octets.count) {
            let octet = octets[offset]
            offset += 1
            switch octet {
            case 0x0A: position = TextPosition(line: position.line + 1, column: 1)
            case 0x0D where offset >= octets.count || octets[offset] != 0x0A:
                position = TextPosition(line: position.line + 1, column: 1)
            // Octets behind the first of a scalar.
            case 0x80...0xBF: break
            default: position.column += 1
            }
        }
        return position
    }
}
