import NIOCore
import TestSupport
import Testing

@testable import SMTP

@Suite("DATA decoder")
struct DataDecoderTests {
    private struct Outcome: Equatable {
        var content: [UInt8] = []
        var hasEnded = false
        var left: [UInt8] = []
        var defect: DataDecoder.Defect?
    }

    private static func decode(_ chunks: [[UInt8]]) -> Outcome {
        var decoder = DataDecoder()
        var outcome = Outcome()
        for chunk in chunks {
            guard !outcome.hasEnded else {
                outcome.left += chunk
                continue
            }
            var buffer = ByteBuffer(bytes: chunk)
            outcome.hasEnded = decoder.decode(&buffer) { outcome.content += Array($0) }
            outcome.left += Array(buffer.readableBytesView)
        }
        outcome.defect = decoder.defect
        return outcome
    }

    /// A simple implementation of the RFC, not made for speed. The data end at the first CRLF.CRLF. The beginning of
    /// the data counts as the beginning of a line. If a line begins with a dot, this dot is removed.
    private static func oracle(_ bytes: [UInt8]) -> Outcome {
        let crlf: [UInt8] = [0x0D, 0x0A]
        let end = crlf + [0x2E] + crlf
        let whole = crlf + bytes
        var outcome = Outcome()
        guard let found = whole.indices.first(where: { whole[$0...].starts(with: end) }) else { return outcome }
        outcome.hasEnded = true
        outcome.left = Array(whole[(found + end.count)...])
        // The content includes the CRLF that ends its last line, but not the CRLF that was put in front of it.
        let content = Array(whole[2..<max(2, found + 2)])
        for (index, byte) in content.enumerated() where outcome.defect == nil {
            switch byte {
            case 0: outcome.defect = .null
            case 0x0D where index + 1 == content.count || content[index + 1] != 0x0A:
                outcome.defect = .bareCarriageReturn
            case 0x0A where index == 0 || content[index - 1] != 0x0D: outcome.defect = .bareLineFeed
            default: break
            }
        }
        for (index, byte) in content.enumerated() {
            let isAtLineStart = index == 0 || (index >= 2 && content[index - 2] == 0x0D && content[index - 1] == 0x0A)
            if byte == 0x2E, isAtLineStart { continue }
            outcome.content.append(byte)
        }
        return outcome
    }

    private static func check(_ bytes: [UInt8], _ expected: Outcome) {
        for chunks in chunkings(bytes) {
            let outcome = decode(chunks)
            if outcome != expected {
                Issue.record("\(chunks.map { text($0).debugDescription }): \(outcome), not \(expected)")
                return
            }
        }
    }

    @Test(
        "Plain data, split over three buffers in every way",
        arguments: [
            (#".\r\n"#, "", ""),
            (#"a\r\n.\r\n"#, #"a\r\n"#, ""),
            (#"a\r\n.\r\nQUIT\r\n"#, #"a\r\n"#, #"QUIT\r\n"#),
            (#"\r\n.\r\n"#, #"\r\n"#, ""),
            (#"Subject: x\r\n\r\nbody\r\n.\r\n.\r\n"#, #"Subject: x\r\n\r\nbody\r\n"#, #".\r\n"#),
            (#"..\r\n.\r\n"#, #".\r\n"#, ""),
            (#".a\r\n.\r\n"#, #"a\r\n"#, ""),
            (#"...\r\n..x\r\na.b\r\n.\r\n"#, #"..\r\n.x\r\na.b\r\n"#, ""),
            (#"a\r\n..\r\n.\r\nNOOP\r\n"#, #"a\r\n.\r\n"#, #"NOOP\r\n"#),
            (#"a.\r\n.\r\n"#, #"a.\r\n"#, ""),
        ])
    func plain(input: String, content: String, left: String) {
        let expected = Outcome(content: octets(content), hasEnded: true, left: octets(left), defect: nil)
        #expect(Self.oracle(octets(input)) == expected)
        Self.check(octets(input), expected)
    }

    /// Sequences that other servers have accepted as the end of the data (CVE-2023-51764, -51765, -51766 and later
    /// ones).
    @Test(
        "A false end does not end the data",
        arguments: [
            (#"\n.\n"#, .bareLineFeed), (#"\n.\r\n"#, .bareLineFeed), (#"\r\n.\n"#, .bareLineFeed),
            (#"\r.\r"#, .bareCarriageReturn), (#"\r.\r\n"#, .bareCarriageReturn), (#"\r\n.\r"#, .bareCarriageReturn),
            (#"\r.\n"#, .bareCarriageReturn), (#"\n.\r"#, .bareLineFeed),
            (#"\r\n.\r\r\n"#, .bareCarriageReturn), (#"\r\n.\n\r\n"#, .bareLineFeed), (#"\n\n.\r\n"#, .bareLineFeed),
            (#"\n\r.\n\r"#, .bareLineFeed), (#"\r\n.\0\r\n"#, .null), (#"\r\n\0.\r\n"#, .null),
            (#"\r\n.\r\0\n"#, .bareCarriageReturn),
            (#"\r\0\n.\r\n"#, .bareCarriageReturn), (#"\0\r\0\n\0.\0\r\0\n"#, .null), (#"\r\n. \r\n"#, nil),
            (#"\r\n .\r\n"#, nil),
            (#"\r\n.\t\r\n"#, nil), (#"\u{85}.\u{85}"#, nil), (#"\u{2028}.\u{2028}"#, nil), (#"\u{B}.\u{B}"#, nil),
            (#"\u{C}.\u{C}"#, nil),
            (#"\r\n..\r\n"#, nil), (#"\r\n.\\r\\n"#, nil), ("=0D=0A.=0D=0A", nil), ("%0D%0A.%0D%0A", nil),
        ] as [(String, DataDecoder.Defect?)])
    func smuggling(sequence: String, defect: DataDecoder.Defect?) {
        let bytes = octets("a" + sequence + #"MAIL FROM:<x@y.example>\r\nDATA\r\n.\r\nQUIT\r\n"#)
        let expected = Self.oracle(bytes)
        #expect(text(expected.left) == "QUIT\r\n")
        #expect(expected.defect == defect)
        Self.check(bytes, expected)
    }

    @Test("Each combination of line ends around a dot is decoded as the RFC says")
    func combinations() {
        let ends = [
            "\r\n", "\n", "\r", "\r\r", "\n\n", "\r\r\n", "\n\r", "\r\n\r", "\n\r\n", "\0", "\r\0\n", "\r\n\0", "",
        ]
        for before in ends {
            for after in ends {
                for dots in [".", "..", ""] {
                    let bytes = Array(("x" + before + dots + after + "y\r\n.\r\nz").utf8)
                    let expected = Self.oracle(bytes)
                    let isEndEarly = dots == "." && before.hasSuffix("\r\n") && after.hasPrefix("\r\n")
                    #expect(
                        (expected.left != [UInt8(ascii: "z")]) == isEndEarly,
                        "\((before + dots + after).debugDescription)")
                    Self.check(bytes, expected)
                }
            }
        }
    }

    @Test("Random sequences of CR, LF, dots and NUL, in random pieces, are decoded as the RFC says")
    func random() {
        var generator = SeededGenerator(seed: 42)
        let alphabet: [UInt8] = [0x0D, 0x0A, 0x2E, 0x0D, 0x0A, 0x2E, 0x41, 0x00, 0x0D, 0x0A]
        for _ in 0..<8_000 {
            var bytes = (0..<Int.random(in: 0...24, using: &generator)).map { _ in
                alphabet.randomElement(using: &generator) ?? 0
            }
            bytes += Array("\r\n.\r\n".utf8)
            let expected = Self.oracle(bytes)
            var chunks: [[UInt8]] = [[]]
            for byte in bytes {
                chunks[chunks.count - 1].append(byte)
                if Bool.random(using: &generator) { chunks.append([]) }
            }
            for pieces in [[bytes], chunks] {
                let outcome = Self.decode(pieces)
                if outcome != expected {
                    Issue.record("\(pieces.map { text($0).debugDescription }): \(outcome), not \(expected)")
                    return
                }
            }
        }
    }

    @Test("Dot-stuffed content is restored exactly")
    func roundTrip() {
        var generator = SeededGenerator(seed: 43)
        let words = [
            "", ".", "..", "...", "a", ".a", "a.", "..a", "line", "\u{FC}", " .", String(repeating: ".", count: 40),
        ]
        for _ in 0..<3000 {
            let lines = (0..<Int.random(in: 0...8, using: &generator)).map { _ in
                words.randomElement(using: &generator) ?? ""
            }
            let content = lines.map { $0 + "\r\n" }.joined()
            let stuffed = lines.map { ($0.hasPrefix(".") ? "." : "") + $0 + "\r\n" }.joined() + ".\r\n"
            let bytes = Array((stuffed + "RSET\r\n").utf8)
            let cut = Int.random(in: 0...bytes.count, using: &generator)
            let outcome = Self.decode([Array(bytes[..<cut]), Array(bytes[cut...])])
            #expect(
                outcome
                    == Outcome(content: Array(content.utf8), hasEnded: true, left: Array("RSET\r\n".utf8), defect: nil))
        }
    }

    @Test(
        "The first defect is reported, however the octets arrive",
        arguments: [
            (#"a\rb\0c\nd"#, .bareCarriageReturn), (#"a\0b\rc\nd"#, .null), (#"a\nb\rc\0d"#, .bareLineFeed),
            (#"a\r\0"#, .bareCarriageReturn), (#"a\0\r"#, .null), (#"a\r\rb\n"#, .bareCarriageReturn), (#"\0"#, .null),
            (#"a\0\n"#, .null), (#"\n"#, .bareLineFeed), (#"a\r\nb"#, nil), ("", nil),
        ] as [(String, DataDecoder.Defect?)])
    func firstDefect(input: String, defect: DataDecoder.Defect?) {
        for chunks in chunkings(octets(input + #"\r\n.\r\n"#)) {
            #expect(Self.decode(chunks).defect == defect, "\(chunks.map { text($0).debugDescription })")
        }
    }

    @Test("Content is passed on in long pieces")
    func runs() {
        var decoder = DataDecoder()
        var input = buffer(String(repeating: "a line of text\r\n", count: 1000) + ".\r\n")
        var runs: [Int] = []
        #expect(decoder.decode(&input) { runs.append($0.count) })
        #expect(runs == [16_000])
    }
}
