import TestSupport
import Testing

@testable import InternetMessage

@Suite("Encoded words")
struct EncodedWordTests {
    @Test(
        "Decoding for display",
        arguments: [
            ("plain", "plain"), ("", ""),
            // The examples of RFC 2047, section 8, for unstructured text.
            ("=?ISO-8859-1?Q?a?=", "a"), ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"), (#"=?ISO-8859-1?Q?a?=\r\n  =?ISO-8859-1?Q?b?="#, "ab"),
            ("=?ISO-8859-1?Q?a_b?=", "a b"), ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?_b?=", "a b"),
            ("=?utf-8?q?J=C3=B6rg?=", "J\u{F6}rg"), ("=?UTF-8?B?SsO2cmc=?=", "J\u{F6}rg"),
            ("=?utf-8?b?SsO2cmc?=", "J\u{F6}rg"),
            ("=?iso-8859-1?q?J=F6rg?=", "J\u{F6}rg"), ("=?us-ascii?q?x=3Dy?=", "x=y"),
            ("=?utf-8*de?q?J=C3=B6rg?=", "J\u{F6}rg"),
            ("a =?utf-8?q?b?= c", "a b c"), ("a=?utf-8?q?b?=c", "abc"), ("=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
            // A character that is split between two encoded words.
            ("=?utf-8?b?SsM=?= =?utf-8?b?tnJn?=", "J\u{F6}rg"), ("=?utf-8?q?=C3?= =?utf-8?q?=B6?=", "\u{F6}"),
            ("=?utf-8?q?=C3?= =?iso-8859-1?q?=F6?=", "\u{FFFD}\u{F6}"),
            // Some senders do not encode a question mark.
            ("=?utf-8?q?what??=", "what?"), ("=?utf-8?q?a?b?=", "a?b"), ("=?utf-8?q??=", ""),
            // Text that cannot be decoded stays unchanged.
            ("=?x-mine?q?a?=", "=?x-mine?q?a?="), ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?q?=C?=", "=?utf-8?q?=C?="),
            ("=?utf-8?q?=XY?=", "=?utf-8?q?=XY?="), ("=?utf-8?b?a?=", "=?utf-8?b?a?="),
            ("=?utf-8?b?a=b?=", "=?utf-8?b?a=b?="),
            ("=?utf-8?b?a!b?=", "=?utf-8?b?a!b?="), ("=?utf-8?q?abc", "=?utf-8?q?abc"), ("=?utf-8?q", "=?utf-8?q"),
            ("=?", "=?"),
            ("=??q?a?=", "=??q?a?="), ("=?utf-8?=", "=?utf-8?="), ("a =? b", "a =? b"), ("==?utf-8?q?a?=", "=a"),
            (#"\xFF"#, "\u{FFFD}"), (#"J\u{F6}rg"#, "J\u{F6}rg"), ("=?utf-8?q?=00=0D=0A?=", "\0\r\n"),
        ])
    func decode(text: String, expected: String) {
        #expect(EncodedWord.decode(octets(text)[...]) == expected)
    }

    @Test("Any octets are decoded without a crash, and text without encoded words stays unchanged")
    func random() {
        var generator = SeededGenerator(seed: 5)
        let alphabet = Array("=?qb_aA4 utf-8".utf8) + [0x0D, 0x0A, 0xC3]
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...30, using: &generator)).map { _ in
                alphabet.randomElement(using: &generator) ?? 0
            }
            let decoded = EncodedWord.decode(bytes[...])
            if EncodedWord.find(bytes[...], from: 0) == nil {
                #expect(decoded == String(decoding: bytes, as: UTF8.self))
            }
        }
    }
}
