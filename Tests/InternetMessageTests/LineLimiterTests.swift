import TestSupport
import Testing

@testable import InternetMessage

@Suite("Line limiter")
struct LineLimiterTests {
    /// Nil if a line is too long and must not be folded.
    private static func limit(_ chunks: [[UInt8]], folding: Bool = true) -> [UInt8]? {
        var limiter = LineLimiter()
        var output: [UInt8] = []
        for chunk in chunks {
            guard chunk.withUnsafeBytes({ limiter.append($0, folding: folding, to: &output) }) else { return nil }
        }
        return limiter.finish(folding: folding, to: &output) ? output : nil
    }

    /// The lines without their CRLF. The last one is the text after the last CRLF.
    private static func lines(_ bytes: [UInt8]) -> [[UInt8]] {
        var lines: [[UInt8]] = [[]]
        var index = 0
        while index < bytes.count {
            if bytes[index] == 0x0D, index + 1 < bytes.count, bytes[index + 1] == 0x0A {
                lines.append([])
                index += 2
            } else {
                lines[lines.count - 1].append(bytes[index])
                index += 1
            }
        }
        return lines
    }

    /// A simple implementation of Postfix's rule: after 998 octets come CRLF and a space. The space counts towards the
    /// next line.
    private static func oracle(_ bytes: [UInt8]) -> [UInt8] {
        let folded = lines(bytes).map { line in
            var pieces: [[UInt8]] = []
            var rest = line[...]
            while rest.count > 998 - (pieces.isEmpty ? 0 : 1) {
                let count = 998 - (pieces.isEmpty ? 0 : 1)
                pieces.append((pieces.isEmpty ? [] : [0x20]) + rest.prefix(count))
                rest = rest.dropFirst(count)
            }
            pieces.append((pieces.isEmpty ? [] : [0x20]) + rest)
            return Array(pieces.joined(separator: [0x0D, 0x0A]))
        }
        return Array(folded.joined(separator: [0x0D, 0x0A]))
    }

    private static func line(_ count: Int) -> [UInt8] { (0..<count).map { 0x61 + UInt8($0 % 26) } }

    private static let crlf: [UInt8] = [0x0D, 0x0A]

    @Test(
        "Lines are folded exactly at the limit",
        arguments: [0, 1, 996, 997, 998, 999, 1000, 1994, 1995, 1996, 1997, 2991, 2992, 2993, 2994, 10_000])
    func exact(count: Int) {
        let line = Self.line(count)
        for end in [Self.crlf, [], [0x0D], [0x0A], [0x0D] + Self.crlf] {
            for before in [[], Self.crlf, Self.line(5) + Self.crlf] {
                let input = before + line + end
                let expected = Self.oracle(input)
                #expect(Self.limit([input]) == expected)
                #expect(Self.limit(input.map { [$0] }) == expected)
                let isLong = Self.lines(input).contains { $0.count > 998 }
                #expect(Self.limit([input], folding: false) == (isLong ? nil : input))
                #expect(Self.limit(input.map { [$0] }, folding: false) == (isLong ? nil : input))
                #expect(Self.lines(expected).allSatisfy { $0.count <= 998 })
                #expect(Self.limit([expected]) == expected)
            }
        }
        if count == 999 {
            #expect(Self.limit([line]) == Array(line[..<998]) + Self.crlf + [0x20, line[998]])
        }
    }

    @Test("A line near the limit is folded correctly, wherever it and its CRLF are cut")
    func cuts() {
        for count in [997, 998, 999, 1995, 1996] {
            for end in [Self.crlf, [0x0D, 0x0D, 0x0A], [0x0D, 0x62], [0x0A, 0x0D], [0x0D]] {
                let input = Self.line(count) + end + Self.line(3)
                let expected = Self.oracle(input)
                for first in 994...min(1004, input.count) {
                    for second in first...min(first + 5, input.count) {
                        let chunks = [Array(input[..<first]), Array(input[first..<second]), Array(input[second...])]
                        #expect(Self.limit(chunks) == expected, "\(count) \(end) cut at \(first) and \(second)")
                    }
                }
            }
        }
    }

    @Test("Random lines, some with a bare CR or LF, are folded correctly in random pieces")
    func random() {
        var generator = SeededGenerator(seed: 12)
        for _ in 0..<400 {
            var input: [UInt8] = []
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let lengths = [0, 1, 50, 990, 995, 997, 998, 999, 1990, 1995, 2000, 3000]
                input += Self.line(
                    (lengths.randomElement(using: &generator) ?? 0) + Int.random(in: 0...3, using: &generator))
                let ends: [[UInt8]] = [
                    Self.crlf, Self.crlf, Self.crlf, [0x0D], [0x0A], [0x0D, 0x0D], [0x0A, 0x0D], [0x20],
                ]
                input += ends.randomElement(using: &generator) ?? []
            }
            var chunks: [[UInt8]] = []
            var rest = input[...]
            while !rest.isEmpty {
                let count = [1, 2, 3, 500, 997, 998, 999, 1000, 1500].randomElement(using: &generator) ?? 1
                chunks.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            let expected = Self.oracle(input)
            let isSame = Self.limit([input]) == expected && Self.limit(chunks) == expected
            #expect(isSame, "\(Self.lines(input).map(\.count)) in \(chunks.map(\.count))")
        }
    }

    @Test("Any number of lines within the limit pass unchanged")
    func passing() {
        let input = Array((0..<500).map { Self.line($0 % 120) + Self.crlf }.joined())
        #expect(Self.limit([input], folding: false) == input)
        #expect(Self.limit([[]], folding: false) == [])
    }
}
