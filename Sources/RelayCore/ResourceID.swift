/// A kind of resource with its own prefix for ids.
public protocol IdentifiedResource {
    /// The prefix, short and with its underscore: `wh_`.
    static var idPrefix: String { get }
}

/// The id of a resource: the prefix of its kind and 20 characters.
public struct ResourceID<Kind: IdentifiedResource>: Hashable, Sendable, CustomStringConvertible {
    /// The whole id, with the prefix.
    public let text: String

    /// The prefix of the kind, with its underscore.
    public static var prefix: String { Kind.idPrefix }

    /// Makes a new random id: 20 characters with 32 possible digits each, which are 100 bits.
    public init(using generator: inout some RandomNumberGenerator) {
        var octets = Array(Kind.idPrefix.utf8)
        for _ in 0..<ResourceIDForm.length {
            octets.append(ResourceIDForm.digits[Int.random(in: 0..<32, using: &generator)])
        }
        text = String(decoding: octets, as: UTF8.self)
    }

    /// Reads an id. Nil for text in any other form.
    public init?(_ text: String) {
        let prefix = Kind.idPrefix
        guard text.hasPrefix(prefix), text.utf8.count == prefix.utf8.count + ResourceIDForm.length,
            text.utf8.dropFirst(prefix.utf8.count).allSatisfy(ResourceIDForm.digits.contains)
        else { return nil }
        self.text = text
    }

    public var description: String { text }
}

private enum ResourceIDForm {
    static let digits = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    static let length = 20
}
