/// A JSON value (RFC 8259) as it was written.
///
/// Two values are equal when their text is the same apart from white space and escapes. So members must have the same
/// order, and `1.0` is not equal to `1`.
public enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(JSONString)
    case array([JSON])
    case object(JSONObject)

    /// The kind of the value with its article, for a sentence: `a string`, `an object`, `null`.
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

/// A number. Its text is kept, which is exact (RFC 8259 section 6).
public struct JSONNumber: Hashable, Sendable, CustomStringConvertible {
    /// The text of the number. It follows the grammar of RFC 8259 section 6.
    public let text: String

    /// For text that is known to follow the grammar.
    init(checked text: String) { self.text = text }

    /// The number in decimal digits.
    public init(_ value: some FixedWidthInteger) { text = String(value) }

    /// Returns nil for an infinite value and for NaN, which JSON can't express. A whole number has no fraction: 10, not
    /// 10.0.
    public init?(_ value: Double) {
        guard value.isFinite else { return nil }
        text = Int(exactly: value).map { String($0) } ?? String(value)
    }

    public var description: String { text }
}

/// A string: valid UTF-8 without escapes.
///
/// If the string has no escapes in the document, its octets are those of the document itself, so that a long string is
/// not copied. Such a string keeps the whole document in memory.
///
/// Strings are compared octet by octet: two compositions of an accented letter are two different strings.
public struct JSONString: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The string in UTF-8. It may contain any character, including U+0000.
    public let utf8: ArraySlice<UInt8>

    /// For octets that are known to be valid UTF-8.
    init(checked utf8: ArraySlice<UInt8>) { self.utf8 = utf8 }

    /// The string as octets of UTF-8.
    public init(_ text: String) { utf8 = Array(text.utf8)[...] }

    public init(stringLiteral value: String) { self.init(value) }

    /// The string as a copy.
    public var text: String { String(decoding: utf8, as: UTF8.self) }

    public var description: String { text }
}

/// The members of an object, in the order of the document.
public struct JSONObject: Hashable, Sendable {
    /// A name with its value.
    public struct Member: Hashable, Sendable {
        /// The name of the member, without escapes.
        public var name: JSONString
        /// The value of the member, which may be null.
        public var value: JSON

        /// A member with this name, which has no escapes.
        public init(_ name: JSONString, _ value: JSON) {
            self.name = name
            self.value = value
        }
    }

    /// In a document that was read, no name occurs twice. Code that builds an object must ensure the same.
    public private(set) var members: [Member]

    /// - Precondition: no name occurs twice. This is not checked.
    public init(_ members: [Member] = []) { self.members = members }

    /// The value of the member with this name, or nil if there is no such member. The time is proportional to the
    /// number of members.
    public subscript(name: String) -> JSON? {
        members.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    /// Adds a member after the others.
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

    /// The members are in the order of the literal.
    public init(dictionaryLiteral elements: (JSONString, JSON)...) {
        self = .object(JSONObject(elements.map { JSONObject.Member($0.0, $0.1) }))
    }
}

extension JSON {
    /// Nil becomes null.
    public init(_ text: String?) { self = text.map { .string(JSONString($0)) } ?? .null }
    /// Nil becomes null.
    public init(_ value: Int?) { self = value.map { .number(JSONNumber($0)) } ?? .null }
}
