import TestSupport
import Testing

@testable import SMTP

@Suite("Base64")
struct Base64Tests {
    @Test(
        "The test vectors of RFC 4648, section 10, are decoded",
        arguments: [
            ("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ])
    func vectors(encoded: String, decoded: String) {
        #expect(Base64.decode(Array(encoded.utf8)) == Array(decoded.utf8))
    }

    @Test(
        "Base64 that is not canonical is refused",
        arguments: [
            // Text that is cut, has too little or too much padding, has padding in the middle, or is only padding.
            "Z", "Zg", "Zg=", "Zm9", "Zg===", "Zg====", "=", "==", "====", "A===", "Zg==Zg==", "Z=g=", "=Zg=", "Zm9v=",
            "Zm9v====",
            // Unused bits that are not zero.
            "Zh==", "Zm9=", "Zn==", "//==", "AAB=",
            // Characters of other alphabets, blanks, line ends.
            "Zm9-", "Zm9_", "Zm 9", " Zm9", "Zm9 ", #"Zm9v\r\n"#, #"Zm9\n"#, #"Zm\09"#, #"Zm9\u{7F}"#, "Zm*v",
            #"\u{E9}\u{E9}"#,
        ])
    func strictness(encoded: String) {
        #expect(Base64.decode(octets(encoded)) == nil)
    }

    /// A textbook encoder. It shares no code with the decoder, so it can check the decoder.
    private static func encode(_ bytes: [UInt8]) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var output: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = Array(bytes[start..<min(start + 3, bytes.count)])
            let value = (0..<3).reduce(0) { $0 << 8 | ($1 < group.count ? Int(group[$1]) : 0) }
            for position in 0..<4 {
                output.append(
                    position <= group.count ? alphabet[value >> (18 - 6 * position) & 63] : UInt8(ascii: "="))
            }
        }
        return output
    }

    @Test("Encoded octets are decoded again, and no other text is decoded to the same octets")
    func roundTrip() {
        var generator = SeededGenerator(seed: 4)
        for count in 0..<120 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let encoded = Self.encode(bytes)
            #expect(Base64.decode(encoded) == bytes)
            guard let last = encoded.lastIndex(where: { $0 != UInt8(ascii: "=") }) else { continue }
            for other in UInt8(0)...255 where other != encoded[last] {
                var changed = encoded
                changed[last] = other
                #expect(Base64.decode(changed) != bytes)
            }
        }
    }
}
