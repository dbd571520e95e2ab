import Hashing

/// The public part of an API key: 8 base62 characters. It may be logged, listed and passed on.
public struct KeyID: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    /// Nil unless `text` is exactly 8 base62 characters.
    public init?(_ text: String) {
        guard text.utf8.count == APIKey.idLength, text.utf8.allSatisfy(Base62.contains) else { return nil }
        self.text = text
    }

    public var description: String { text }
}

/// SHA-256 of a whole key: what the store keeps in its place.
///
/// A plain hash suffices because the secret is 26 base62 characters from the system's generator (about 155 bits): there is
/// nothing to guess that slow hashing would protect.
public struct KeyDigest: Sendable {
    public let bytes: [UInt8]

    public static let length = 32

    /// Nil unless there are 32 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == KeyDigest.length else { return nil }
        self.bytes = bytes
    }

    init(of key: some Sequence<UInt8>) { bytes = SHA256.digest(of: key) }

    /// Takes the same time wherever the two differ.
    public func matches(_ other: KeyDigest) -> Bool {
        var difference: UInt8 = 0
        for i in 0..<KeyDigest.length { difference |= bytes[i] ^ other.bytes[i] }
        return difference == 0
    }
}

/// An API key in full: `hk_test_` or `hk_live_`, 8 characters of public id, 26 of secret, 6 of CRC-32 over all before it.
///
/// The secret lives in this value only. It has no textual description, so that it can't get into a log by accident;
/// ``revealed`` is for the one time that a key is shown.
public struct APIKey: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public let environment: Environment
    public let id: KeyID
    private let bytes: [UInt8]

    static let idLength = 8
    static let secretLength = 26
    static let checksumLength = 6
    static let prefixLength = 8
    /// Length of a whole key in characters.
    public static let length = prefixLength + idLength + secretLength + checksumLength

    /// Why some bytes are no key. None of these says anything about whether the key exists.
    public enum Malformation: Error, Hashable, Sendable {
        /// Nothing was given.
        case empty
        /// White space before or after it, or within.
        case blanks
        /// Does not begin with `hk_test_` or `hk_live_`.
        case prefix
        /// Too short or too long: it was cut, or something is attached to it.
        case length(Int)
        /// A character that no key has.
        case character
        /// All of the form, but the checksum does not fit: mistyped.
        case checksum
    }

    /// Reads a key, telling a cut or mistyped one from an unknown one without a look-up.
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

    /// A new secret for the key that has `id` already.
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

    public var digest: KeyDigest { KeyDigest(of: bytes) }

    /// The key itself, to be shown once at creation. Never log it.
    public var revealed: String { String(decoding: bytes, as: UTF8.self) }

    public var description: String { "APIKey(\(environment.rawValue), \(id.text), secret withheld)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["environment": environment, "id": id]) }

    /// Whether `bytes` look like a key or a part of one: such text must not be echoed, also not where a user name is expected.
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

/// The digits 0-9, A-Z, a-z, in this order, which is also ASCII's.
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

    /// Big-endian, padded with zeros; 6 digits hold any 32-bit value.
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
