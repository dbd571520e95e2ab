import StrictJSON

/// A mistake in a template or in the values of its variables: what to change, and where.
public struct TemplateMistake: Error, Hashable, Sendable {
    /// A sentence with its full stop or question mark.
    public var detail: String
    /// The place in the JSON of the template in the HTTP API (`/html`, `/variables/0/name`), or in the object of the
    /// values (`/customer/name`).
    public var pointer: JSONPointer
    /// The position in the text of the field. Nil if the mistake concerns the whole field.
    public var position: TextPosition?

    public init(_ detail: String, at pointer: JSONPointer, _ position: TextPosition? = nil) {
        self.detail = detail
        self.pointer = pointer
        self.position = position
    }

    /// The detail, after the line and column if the mistake has a position.
    public var sentence: String {
        position.map { "Line \($0.line), column \($0.column): \(detail)" } ?? detail
    }
}

/// All mistakes of a template or of values. As an error it has at least one.
public struct TemplateMistakes: Error, Hashable, Sendable {
    /// The mistakes in the order in which they were found. If there are more mistakes than the limit, a last one says
    /// so.
    public private(set) var all: [TemplateMistake] = []
    private let limit: Int

    /// The largest number of mistakes that are reported, unless another limit is given.
    public static let limit = 100

    init(limit: Int = TemplateMistakes.limit) { self.limit = max(1, limit) }

    /// Whether `add(_:at:_:)` still adds something: a mistake, or the last one, which says that there are more.
    var hasRoom: Bool { all.count <= limit }

    mutating func add(_ detail: @autoclosure () -> String, at pointer: JSONPointer, _ position: TextPosition? = nil) {
        guard hasRoom else { return }
        all.append(
            all.count < limit
                ? TemplateMistake(detail(), at: pointer, position)
                : TemplateMistake("There are more mistakes than these \(limit).", at: .root))
    }
}

/// A position in a text.
public struct TextPosition: Hashable, Sendable {
    /// The number of the line, from 1 on.
    public var line: Int
    /// The number of the Unicode scalar in its line, from 1 on.
    public var column: Int

    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

/// Finds the positions of octets in a text. If the offsets rise, each octet is examined only once.
struct TextPositions {
    private let octets: [UInt8]
    private var offset = 0
    private var position = TextPosition(line: 1, column: 1)

    init(_ octets: [UInt8]) { self.octets = octets }

    /// The position of the octet with index `target`. LF, CR and CRLF end a line.
    mutating func position(of target: Int) -> TextPosition {
        if target < offset { (offset, position) = (0, TextPosition(line: 1, column: 1)) }
        while offset < min(target, octets.count) {
            let octet = octets[offset]
            offset += 1
            switch octet {
            case 0x0A: position = TextPosition(line: position.line + 1, column: 1)
            case 0x0D where offset >= octets.count || octets[offset] != 0x0A:
                position = TextPosition(line: position.line + 1, column: 1)
            // All octets of a scalar after its first one.
            case 0x80...0xBF: break
            default: position.column += 1
            }
        }
        return position
    }
}
