import Hashing
import Testing

@Suite("Hashes that OpenSSL computes") struct HashingTests {
    @Test(
        "SHA-256 of the standard's examples",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func sha256(text: String, digest: String) {
        #expect(SHA256.digest(of: text.utf8).hexadecimal == digest)
        var hash = SHA256()
        for octet in text.utf8 { hash.update(CollectionOfOne(octet)) }
        #expect(hash.digest().hexadecimal == digest)
        #expect(hash.digest().hexadecimal == digest)
    }

    @Test("A copy of a SHA-256 is independent of the original") func copies() {
        var hash = SHA256()
        hash.update("a".utf8)
        var copy = hash
        copy.update("x".utf8)
        hash.update("bc".utf8)
        #expect(hash.digest() == SHA256.digest(of: "abc".utf8))
        #expect(copy.digest() == SHA256.digest(of: "ax".utf8))
    }

    // The examples are from RFC 4231 sections 4.2, 4.3 and 4.7. The last one has an empty key (made with Python's
    // hmac).
    @Test(
        "HMAC with SHA-256 of the standard's examples",
        arguments: [
            (
                [UInt8](repeating: 0x0b, count: 20), "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                Array("Jefe".utf8), "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                [UInt8](repeating: 0xaa, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
            ([], "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"),
        ])
    func hmac(key: [UInt8], text: String, code: String) {
        #expect(HMACSHA256.code(for: text.utf8, key: key).hexadecimal == code)
    }

    /// The hash key H and the encrypted first counter block for a key of zeros, from Test Case 1 of McGrew and Viega,
    /// "The Galois/Counter Mode of Operation (GCM)", appendix B.
    private static let zeroKey = (
        hash: Block(high: 0x66e9_4bd4_ef8a_2c3b, low: 0x884c_fa59_ca34_2b2e),
        mask: Block(high: 0x58e2_fcce_fa7e_3061, low: 0x367f_1d57_a4e7_455a)
    )

    struct Block {
        var high: UInt64
        var low: UInt64
    }

    /// Computes the code bit by bit, with GHASH as SP 800-38D section 6.4 defines it. The octets are only
    /// authenticated, not encrypted.
    private static func code(of octets: [UInt8]) -> [UInt8] {
        func value(_ octets: some Collection<UInt8>) -> UInt64 { octets.reduce(0) { $0 << 8 | UInt64($1) } }
        var blocks = stride(from: 0, to: octets.count, by: 16).map { start in
            let block = Array(octets[start..<min(start + 16, octets.count)])
            let padded = block + [UInt8](repeating: 0, count: 16 - block.count)
            return Block(high: value(padded[..<8]), low: value(padded[8...]))
        }
        blocks.append(Block(high: UInt64(octets.count) * 8, low: 0))
        var sum = Block(high: 0, low: 0)
        for block in blocks {
            let factor = Block(high: sum.high ^ block.high, low: sum.low ^ block.low)
            var product = Block(high: 0, low: 0)
            var power = zeroKey.hash
            for bit in 0..<128 {
                let word = bit < 64 ? factor.high : factor.low
                if word >> UInt64(63 - bit % 64) & 1 == 1 {
                    product.high ^= power.high
                    product.low ^= power.low
                }
                let carry = power.low & 1
                power.low = power.low >> 1 | power.high << 63
                power.high = power.high >> 1 ^ (carry == 1 ? 0xe1 << 56 : 0)
            }
            sum = product
        }
        let code = [sum.high ^ zeroKey.mask.high, sum.low ^ zeroKey.mask.low]
        return code.flatMap { word in
            stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> UInt64($0)) }
        }
    }

    @Test("GMAC gives the standard's code for octets in pieces", arguments: [0, 1, 15, 16, 17, 1000, 70_001])
    func gmac(count: Int) throws {
        let key = try #require(GMAC.Key([UInt8](repeating: 0, count: 16)))
        let octets = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        for pieceSize in [1, 7, 16, 4096, 100_000] {
            var code = GMAC(key)
            for start in stride(from: 0, to: count, by: pieceSize) {
                octets[start..<min(start + pieceSize, count)].withUnsafeBytes { code.update($0) }
            }
            #expect(code.code() == HashingTests.code(of: octets))
            #expect(code.code() == HashingTests.code(of: octets))
        }
    }

    @Test("Different keys give different codes") func keys() throws {
        let codes = try (UInt8(0)..<3).map { octet in
            var code = GMAC(try #require(GMAC.Key([UInt8](repeating: octet, count: GMAC.Key.length))))
            "content".utf8.withContiguousStorageIfAvailable { code.update(UnsafeRawBufferPointer($0)) }
            return code.code()
        }
        #expect(Set(codes).count == 3)
        #expect(GMAC.Key([1, 2]) == nil)
    }

    @Test("Updating both a GMAC and its copy stops the process") func diverging() async throws {
        await #expect(processExitsWith: .failure) {
            var code = GMAC(GMAC.Key([UInt8](repeating: 1, count: 16))!)
            var copy = code
            [1].withUnsafeBytes { code.update($0) }
            [2].withUnsafeBytes { copy.update($0) }
        }
    }
}
