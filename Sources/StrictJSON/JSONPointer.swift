/// The place of a value in a document (RFC 6901).
public struct JSONPointer: Hashable, Sendable, CustomStringConvertible {
    /// Names of members and positions in arrays, from the outside to the inside, without escapes.
    public private(set) var tokens: [String]

    /// The whole document.
    public static let root = JSONPointer([])

    public init(_ tokens: [String]) { self.tokens = tokens }

    /// The member `name` of the object at this place.
    public func appending(_ name: String) -> JSONPointer { JSONPointer(tokens + [name]) }

    /// The element of the array at this place; the first is 0.
    public func appending(_ position: Int) -> JSONPointer { appending(String(position)) }

    /// RFC 6901 section 3: `/to/0`. The whole document is the empty text.
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

    /// As a fragment of a URI (RFC 6901 section 6): `#/to/0`, with percent-encoding of what a fragment can't hold (RFC 3986
    /// section 3.5).
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
