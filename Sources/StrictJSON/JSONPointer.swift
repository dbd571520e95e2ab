/// The place of a value in a document (RFC 6901).
public struct JSONPointer: Hashable, Sendable, CustomStringConvertible {
    /// The names of members and the positions in arrays, from the outermost to the innermost, without escapes.
    public private(set) var tokens: [String]

    /// The whole document.
    public static let root = JSONPointer([])

    /// The place with these tokens, which have no escapes.
    public init(_ tokens: [String]) { self.tokens = tokens }

    /// The place of the member `name` in the object at this place.
    public func appending(_ name: String) -> JSONPointer { JSONPointer(tokens + [name]) }

    /// The place of an element in the array at this place. The first position is 0.
    public func appending(_ position: Int) -> JSONPointer { appending(String(position)) }

    /// The pointer as RFC 6901 section 3 writes it: `/to/0`. The whole document is the empty text.
    public var description: String {
        tokens.reduce(into: "") { text, token in
            text += "/"
            for character in token.unicodeScalars {
                switch character {
                case "~": text += "~0"
                case "/": text += "~1"
                default: text.unicodeScalars.append(character)
                }
            }
        }
    }

    /// The pointer as a fragment of a URI (RFC 6901 section 6): `#/to/0`. Characters that a fragment can't contain are
    /// percent-encoded (RFC 3986 section 3.5).
    public var fragment: String {
        description.utf8.reduce(into: "#") { text, octet in
            if JSONPointer.isFragmentText(octet) {
                text.unicodeScalars.append(Unicode.Scalar(octet))
            } else {
                text += "%" + (octet < 0x10 ? "0" : "") + String(octet, radix: 16, uppercase: true)
            }
        }
    }

    private static func isFragmentText(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._~!$&'()*+,;=:@/?".utf8.contains(octet)
        }
    }
}
