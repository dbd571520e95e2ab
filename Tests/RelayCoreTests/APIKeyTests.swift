import TestSupport
import Testing

@testable import RelayCore

@Suite("API keys")
struct APIKeyTests {
    private static func key(_ environment: Environment = .test, seed: UInt64 = 1) -> APIKey {
        var generator = SeededGenerator(seed: seed)
        return APIKey(generating: environment, using: &generator)
    }

    private static func malformation(_ bytes: some Collection<UInt8>) -> APIKey.Malformation? {
        do {
            _ = try APIKey(parsing: bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test("A generated key has the documented form and reads back as itself", arguments: Environment.allCases)
    func roundTrip(environment: Environment) throws {
        for seed in 0..<200 as Range<UInt64> {
            let key = Self.key(environment, seed: seed)
            let text = key.revealed
            #expect(text.utf8.count == 48)
            #expect(text.hasPrefix("hk_\(environment.rawValue)_"))
            #expect(text.utf8.dropFirst(8).allSatisfy(Base62.contains))
            #expect(text.dropFirst(8).prefix(8) == key.id.text)
            let read = try APIKey(parsing: text.utf8)
            #expect(read.environment == environment)
            #expect(read.id == key.id)
            #expect(read.revealed == text)
            #expect(read.digest.matches(key.digest))
        }
    }

    @Test("Two keys of one generator share neither id nor secret")
    func distinct() {
        var generator = SeededGenerator(seed: 7)
        let keys = (0..<500).map { _ in APIKey(generating: .live, using: &generator) }
        #expect(Set(keys.map(\.id)).count == 500)
        #expect(Set(keys.map { $0.revealed.dropFirst(16).prefix(26) }).count == 500)
    }

    @Test("Rotation keeps the id and changes the secret")
    func rotation() throws {
        let old = Self.key()
        var generator = SeededGenerator(seed: 2)
        let new = APIKey(rotating: old.id, .test, using: &generator)
        #expect(new.id == old.id)
        #expect(new.revealed.prefix(16) == old.revealed.prefix(16))
        #expect(new.revealed != old.revealed)
        #expect(!new.digest.matches(old.digest))
        #expect(try APIKey(parsing: new.revealed.utf8).id == old.id)
    }

    @Test("Every character of the alphabet is drawn")
    func alphabet() {
        var generator = SeededGenerator(seed: 3)
        #expect(Base62.alphabet.count == 62)
        #expect(Base62.alphabet == Base62.alphabet.sorted())
        #expect(Set((0..<5000).map { _ in Base62.random(using: &generator) }) == Set(Base62.alphabet))
        #expect((0...255).filter { Base62.contains($0) } == Base62.alphabet)
    }

    @Test(
        "CRC-32 is zlib's",
        arguments: [
            ([], 0x0000_0000),
            (Array("a".utf8), 0xE8B7_BE43),
            (Array("123456789".utf8), 0xCBF4_3926),
            (Array("hk_test_".utf8), 0xF4DF_A1FA),
            (Array("The quick brown fox jumps over the lazy dog".utf8), 0x414F_A339),
            ([UInt8](repeating: 0, count: 32), 0x190A_55AD),
            ([UInt8](repeating: 0xFF, count: 32), 0xFF6C_AB0B),
            ([UInt8](0...255), 0x2905_8C73),
        ] as [([UInt8], UInt32)])
    func crc(input: [UInt8], expected: UInt32) {
        #expect(CRC32.checksum(of: input) == expected)
    }

    @Test(
        "Base62 is big-endian and padded",
        arguments: [(0, "000000"), (1, "000001"), (61, "00000z"), (62, "000010"), (.max, "4gfFC3")]
            as [(UInt32, String)])
    func base62(value: UInt32, expected: String) {
        #expect(String(decoding: Base62.encode(value, width: 6), as: UTF8.self) == expected)
    }

    /// Adds the right checksum to a key, so that only the tested malformation is left.
    private static func withChecksum(_ body: String) -> [UInt8] {
        Array(body.utf8) + Base62.encode(CRC32.checksum(of: body.utf8), width: 6)
    }

    @Test("The checksum is the CRC-32 of all characters before it")
    func checksumOfParts() throws {
        let key = try APIKey(parsing: Self.withChecksum("hk_live_Abcd1234" + String(repeating: "x", count: 26)))
        #expect(key.id == KeyID("Abcd1234"))
        #expect(key.environment == .live)
    }

    private static let whole = key().revealed

    @Test(
        "Each kind of damage to a key is reported as a malformation of its own",
        arguments: [
            ("", .empty),
            (" ", .blanks),
            ("hk_test_ ", .blanks),
            ("hunter 2", .blanks),
            ("h", .prefix),
            ("hunter2", .prefix),
            ("hk_demo_" + whole.dropFirst(8), .prefix),
            ("HK_TEST_" + whole.dropFirst(8), .prefix),
            ("\"" + whole + "\"", .prefix),
            ("hk_test_", .length(8)),
            (String(whole.dropLast()), .length(47)),
            (whole + "0", .length(49)),
            (whole + whole, .length(96)),
            (whole.dropLast() + "_", .character),
            (whole.dropLast() + "-", .character),
            (whole.dropLast(2) + "\u{E9}", .character),
            (whole.prefix(8) + "-" + whole.dropFirst(9), .character),
            ("hk_live_" + whole.dropFirst(8), .checksum),
            (whole.prefix(8) + "00000000" + whole.dropFirst(16), .checksum),
        ] as [(String, APIKey.Malformation)])
    func malformations(text: String, expected: APIKey.Malformation) {
        #expect(Self.malformation(text.utf8) == expected)
    }

    @Test("Blanks, line ends and control characters are reported as blanks, at any position")
    func blanks() {
        for blank in [" ", "  ", "\t", "\r\n", "\n", "\r", "\0", "\u{7F}"] {
            for position in [0, 1, 8, 20, 47, 48] {
                let text = Self.whole.prefix(position) + blank + Self.whole.dropFirst(position)
                #expect(Self.malformation(text.utf8) == .blanks, "\(blank.debugDescription) at \(position)")
            }
        }
    }

    @Test("A truncated key is reported with its length, or as a wrong prefix")
    func cut() {
        for count in 8..<APIKey.length {
            #expect(Self.malformation(Self.whole.utf8.prefix(count)) == .length(count))
        }
        for count in 1..<8 { #expect(Self.malformation(Self.whole.utf8.prefix(count)) == .prefix) }
    }

    @Test("Every change of a single character is detected, and so is every swap of two neighbours")
    func mistyped() {
        let original = Array(Self.whole.utf8)
        for index in original.indices {
            for replacement in 0...255 as ClosedRange<UInt8> where replacement != original[index] {
                var bytes = original
                bytes[index] = replacement
                #expect(Self.malformation(bytes) != nil, "octet \(replacement) at \(index)")
            }
        }
        for index in original.indices.dropLast() where original[index] != original[index + 1] {
            var bytes = original
            bytes.swapAt(index, index + 1)
            #expect(Self.malformation(bytes) != nil, "swapped at \(index)")
        }
    }

    @Test("No description of a key contains its secret")
    func neverRevealed() {
        let key = Self.key(.live)
        let secret = String(key.revealed.dropFirst(16))
        var dumped = ""
        dump(key, to: &dumped)
        var wrapped = ""
        dump([Optional(key)], to: &wrapped)
        let texts = [
            "\(key)", String(describing: key), String(reflecting: key), key.description, key.debugDescription, dumped,
            wrapped, "\([key])", "\(Optional(key) as Any)", String(reflecting: (key, 1)),
        ]
        for text in texts {
            #expect(!text.contains(secret))
            #expect(!text.contains(secret.prefix(12)))
            #expect(
                !text.contains(
                    Array(key.revealed.utf8).dropFirst(16).prefix(6).map(String.init).joined(separator: ", ")))
        }
        #expect("\(key)".contains(key.id.text))
        #expect(Mirror(reflecting: key).children.compactMap(\.label) == ["environment", "id"])
    }

    @Test(
        "Text that resembles a key is recognised, so that it is not echoed",
        arguments: [
            (whole, true), ("  " + whole, true), (whole + whole, true), ("hk_test_", true), ("hk_live_x", true),
            ("apikey", false), ("", false), ("hk_", false), ("hk_demo_1", false), ("x hk_test_1", false),
        ])
    func resemblance(text: String, expected: Bool) {
        #expect(APIKey.resemblesKey(text.utf8) == expected)
        #expect(APIKey.resemblesKey("\r\n\t\0 \(text)".utf8) == expected)
    }

    @Test(
        "A key id is 8 base62 characters",
        arguments: [
            ("Abcd1234", true), ("00000000", true), ("", false), ("Abcd123", false), ("Abcd12345", false),
            ("Abcd 234", false), ("Abcd_234", false), ("Abcd12\u{E9}", false),
        ])
    func keyID(text: String, isValid: Bool) {
        #expect(KeyID(text)?.description == (isValid ? text : nil))
    }
}

@Suite("Digests of keys")
struct KeyDigestTests {
    @Test("A digest is a SHA-256 hash")
    func knownAnswer() throws {
        // FIPS 180-2, appendix B.1.
        let expected: [UInt8] = [
            0xBA, 0x78, 0x16, 0xBF, 0x8F, 0x01, 0xCF, 0xEA, 0x41, 0x41, 0x40, 0xDE, 0x5D, 0xAE, 0x22, 0x23, 0xB0, 0x03,
            0x61, 0xA3, 0x96, 0x17, 0x7A, 0x9C, 0xB4, 0x10, 0xFF, 0x61, 0xF2, 0x00, 0x15, 0xAD,
        ]
        #expect(KeyDigest(of: "abc".utf8).bytes == expected)
    }

    @Test("A digest has 32 octets", arguments: [0, 1, 31, 32, 33, 64])
    func length(count: Int) {
        #expect((KeyDigest(bytes: [UInt8](repeating: 0, count: count)) != nil) == (count == 32))
    }

    @Test("Two digests match only if all bits are the same")
    func matching() throws {
        let bytes = KeyDigest(of: "some key".utf8).bytes
        let digest = try #require(KeyDigest(bytes: bytes))
        #expect(digest.matches(digest))
        for bit in 0..<256 {
            var changed = bytes
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            let other = try #require(KeyDigest(bytes: changed))
            #expect(!digest.matches(other) && !other.matches(digest), "bit \(bit)")
        }
        // These two differences would cancel each other out if the comparison added or XORed differences instead of
        // ORing them.
        var twice = bytes
        twice[0] ^= 0x80
        twice[31] ^= 0x80
        #expect(!digest.matches(try #require(KeyDigest(bytes: twice))))
    }
}
