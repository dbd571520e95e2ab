/// A JSON value (RFC 8259) as it was written.
///
/// Two values are equal when they are written alike, white space and escapes aside: members stand in the same order, and
/// `1.0` is not `1`.
public enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(JSONString)
    case array([JSON])
    case object(JSONObject)

    /// What kind of value this is, with its article, for a sentence: `a string`, `an object`, `null`.
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// A number, kept as it is written, which is exact (RFC 8259 section 6).
public struct JSONNumber: Hashable, Sendable, CustomStringConvertible {
    /// Follows the grammar of RFC 8259 section 6.
    public let text: String

    /// For text that follows the grammar.
    init(checked text: String) { self.text = text }

    public init(_ value: some FixedWidthInteger) { text = String(value) }

    /// Nil for an infinite value and for what is not a number: JSON can't say them. A whole number has no fraction: 10, not 10.0.
    public init?(_ value: Double) {
        guard value.isFinite else { return nil }
        text = Int(exactly: value).map { String($0) } ?? String(value)
    }

    public var description: String { text }
}

/// A string: valid UTF-8 without escapes.
///
/// Where the document has no escape in it, the octets are those of the document itself, so that a long string is not copied.
/// Such a string keeps the whole document in memory.
///
/// Compared octet by octet: two ways to compose an accented letter are two strings.
public struct JSONString: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// UTF-8. May hold any character, U+0000 too.
    public let utf8: ArraySlice<UInt8>

    /// For octets that are valid UTF-8.
    init(checked utf8: ArraySlice<UInt8>) { self.utf8 = utf8 }

    public init(_ text: String) { utf8 = Array(text.utf8)[...] }

    public init(stringLiteral value: String) { self.init(value) }

    /// A copy.
    public var text: String { String(decoding: utf8, as: UTF8.self) }

    public var description: String { text }
}

/// The members of an object, in the order in which they are written.
public struct JSONObject: Hashable, Sendable {
    public struct Member: Hashable, Sendable {
        public var name: JSONString
        public var value: JSON

        public init(_ name: JSONString, _ value: JSON) {
            self.name = name
            self.value = value
        }
    }

    /// A document that was read has no name twice. Code that builds an object must see to the same.
    public private(set) var members: [Member]

    public init(_ members: [Member] = []) { self.members = members }

    /// The value of the member with this name. Takes time in proportion to the number of members.
    public subscript(name: String) -> JSON? {
        members.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    /// Adds a member behind the others.
    public mutating func append(_ name: JSONString, _ value: JSON) { members.append(Member(name, value)) }
}

extension JSON: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int) { self = .number(JSONNumber(value)) }
    public init(stringLiteral value: String) { self = .string(JSONString(value)) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }

    /// Members in the order of the literal.
    public init(dictionaryLiteral elements: (JSONString, JSON)...) {
        self = .object(JSONObject(elements.map { JSONObject.Member($0.0, $0.1) }))
    }
}

extension JSON {
    /// Nil makes null.
    public init(_ text: String?) { self = text.map { .string(JSONString($0)) } ?? .null }
    public init(_ value: Int?) { self = value.map { .number(JSONNumber($0)) } ?? .null }
}
