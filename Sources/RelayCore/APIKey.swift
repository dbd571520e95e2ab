import Hashing

/// The public part of an API key: 8 base62 characters. It may be logged, listed and passed on.
public struct KeyID: Hashable, Sendable, CustomStringConvertible {
    /// The 8 characters.
    public let text: String

    /// Nil unless `text` is exactly 8 base62 characters.
    public init?(_ text: String) {
        guard text.utf8.count == APIKey.idLength, text.utf8.allSatisfy(Base62.contains) else { return nil }
        self.text = text
    }

    public var description: String { text }
}

/// The SHA-256 of a whole key, which the store keeps instead of the key.
///
/// A plain hash suffices because the secret is 26 base62 characters from the system's generator (about 155 bits). Slow
/// hashing protects secrets that can be guessed; this secret can't be guessed.
public struct KeyDigest: Sendable {
    /// The 32 bytes of the digest.
    public let bytes: [UInt8]

    /// The length of a digest in bytes.
    public static let length = 32

    /// Nil unless there are 32 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == KeyDigest.length else { return nil }
        self.bytes = bytes
    }

    init(of key: some Sequence<UInt8>) { bytes = SHA256.digest(of: key) }

    /// Whether the two digests are equal. The comparison takes the same time wherever they differ, so its duration
    /// reveals nothing about them.
    public func matches(_ other: KeyDigest) -> Bool {
        var difference: UInt8 = 0
        for i in 0..<KeyDigest.length { difference |= bytes[i] ^ other.bytes[i] }
        return difference == 0
    }
}

/// A complete API key: `hk_test_` or `hk_live_`, 8 characters of public id, 26 characters of secret, and 6 characters
/// with the CRC-32 of everything before them.
///
/// The secret exists only in this value. The value has no textual description, so that it can't get into a log by
/// accident. ``revealed`` is for the one time that a key is shown.
public struct APIKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The environment that the key's prefix names: test for `hk_test_`, live for `hk_live_`.
    public let environment: Environment
    /// The public id: the first 8 characters after the prefix.
    public let id: KeyID
    private let bytes: [UInt8]

    static let idLength = 8
    static let secretLength = 26
    static let checksumLength = 6
    static let prefixLength = 8
    /// The length of a whole key in characters.
    public static let length = prefixLength + idLength + secretLength + checksumLength

    /// Why some bytes are not a key. None of these cases says whether the key exists.
    public enum Malformation: Error, Hashable, Sendable {
        /// The input is empty.
        case empty
        /// There is white space or a control character before, after or within the key.
        case blanks
        /// The input does not begin with `hk_test_` or `hk_live_`.
        case prefix
        /// The input is too short or too long: the key was cut, or something is attached to it. The value is the length
        /// of the input in octets.
        case length(Int)
        /// The input has a character that no key has.
        case character
        /// The input has the form of a key, but the checksum is wrong: the key was mistyped.
        case checksum
    }

    /// Reads a key. Throws for a cut or mistyped key, so that it is distinguished from an unknown key without a
    /// look-up.
    public init(parsing input: some Collection<UInt8>) throws(Malformation) {
        let bytes = Array(input)
        guard !bytes.isEmpty else { throw .empty }
        guard !bytes.contains(where: APIKey.isBlank) else { throw .blanks }
        let environment: Environment
        if bytes.starts(with: APIKey.prefix(.test)) {
            environment = .test
        } else if bytes.starts(with: APIKey.prefix(.live)) {
            environment = .live
        } else {
            throw .prefix
        }
        guard bytes.count == APIKey.length else { throw .length(bytes.count) }
        guard bytes[APIKey.prefixLength...].allSatisfy(Base62.contains) else { throw .character }
        let body = bytes.dropLast(APIKey.checksumLength)
        guard bytes.suffix(APIKey.checksumLength).elementsEqual(APIKey.checksum(of: body)) else { throw .checksum }
        let id = String(decoding: bytes[APIKey.prefixLength..<APIKey.prefixLength + APIKey.idLength], as: UTF8.self)
        guard let id = KeyID(id) else { throw .character }
        self.environment = environment
        self.id = id
        self.bytes = bytes
    }

    /// A new key from `generator`, which must be cryptographically secure outside tests.
    public init(generating environment: Environment, using generator: inout some RandomNumberGenerator) {
        let id = (0..<APIKey.idLength).map { _ in Base62.random(using: &generator) }
        self.init(environment: environment, idBytes: id, using: &generator)
    }

    /// The key with this `id` and a new secret.
    public init(rotating id: KeyID, _ environment: Environment, using generator: inout some RandomNumberGenerator) {
        self.init(environment: environment, idBytes: Array(id.text.utf8), using: &generator)
    }

    private init(environment: Environment, idBytes: [UInt8], using generator: inout some RandomNumberGenerator) {
        var bytes = APIKey.prefix(environment) + idBytes
        for _ in 0..<APIKey.secretLength { bytes.append(Base62.random(using: &generator)) }
        bytes += APIKey.checksum(of: bytes)
        self.environment = environment
        guard let id = KeyID(String(decoding: idBytes, as: UTF8.self)) else {
            // Both callers pass 8 base62 characters: drawn from the alphabet, or taken from a KeyID.
            preconditionFailure("a key id of 8 base62 characters")
        }
        self.id = id
        self.bytes = bytes
    }

    /// The digest that the store keeps.
    public var digest: KeyDigest { KeyDigest(of: bytes) }

    /// The key itself, to be shown once at creation. Never log it.
    public var revealed: String { String(decoding: bytes, as: UTF8.self) }

    public var description: String { "APIKey(\(environment.rawValue), \(id.text), secret withheld)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["environment": environment, "id": id]) }

    /// Whether `bytes` look like a key or a part of one. Such text must not be echoed, even where a user name is
    /// expected.
    public static func resemblesKey(_ bytes: some Collection<UInt8>) -> Bool {
        let trimmed = bytes.drop(while: isBlank)
        return trimmed.starts(with: prefix(.test)) || trimmed.starts(with: prefix(.live))
    }

    static func prefix(_ environment: Environment) -> [UInt8] {
        switch environment {
        case .test: Array("hk_test_".utf8)
        case .live: Array("hk_live_".utf8)
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte <= 0x20 || byte == 0x7F }

    private static func checksum(of bytes: some Sequence<UInt8>) -> [UInt8] {
        Base62.encode(CRC32.checksum(of: bytes), width: checksumLength)
    }
}

/// The digits 0-9, A-Z, a-z, in this order, which is also their order in ASCII.
enum Base62 {
    static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    static func contains(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }

    static func random(using generator: inout some RandomNumberGenerator) -> UInt8 {
        alphabet[Int.random(in: 0..<62, using: &generator)]
    }

    /// The digits of `value`, the most significant first, padded with zeros to `width`. 6 digits hold any 32-bit value.
    static func encode(_ value: UInt32, width: Int) -> [UInt8] {
        var digits = [UInt8](repeating: alphabet[0], count: width)
        var rest = value
        for i in digits.indices.reversed() {
            digits[i] = alphabet[Int(rest % 62)]
            rest /= 62
        }
        return digits
    }
}

/// CRC-32 as in IEEE 802.3 (reflected polynomial 0xEDB88320), as zlib computes it.
enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }

    static func checksum(of bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(0xFFFF_FFFF as UInt32) { crc, byte in table[Int((crc ^ UInt32(byte)) & 0xFF)] ^ crc >> 8 }
    }
}
