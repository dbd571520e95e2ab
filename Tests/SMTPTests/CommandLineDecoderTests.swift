import NIOCore
import Testing

@testable import SMTP

@Suite("Command line decoder")
struct CommandLineDecoderTests {
    private static func rendered(_ result: CommandLineDecoder.Result) -> String {
        switch result {
        case .line(let line): "'\(text(line.readableBytesView))'"
        case .bareLineFeed(let line): "bare LF '\(text(line.readableBytesView))'"
        case .tooLong(let beginning): "too long '\(text(beginning.readableBytesView))'"
        case .needMoreData: "more"
        }
    }

    private static func decode(_ chunks: [[UInt8]], limit: Int) -> (results: [String], left: Int) {
        var decoder = CommandLineDecoder()
        var input = ByteBuffer()
        var results: [String] = []
        for chunk in chunks {
            input.writeBytes(chunk)
            while true {
                let result = decoder.next(from: &input, limit: limit)
                if case .needMoreData = result { break }
                results.append(rendered(result))
            }
        }
        return (results, input.readableBytes)
    }

    /// The expected results with a limit of 8 octets, CRLF included.
    private static let scripts: [(input: String, results: [String], left: Int)] = [
        ("", [], 0),
        ("\r\n", ["''"], 0),
        ("AB\r\nCD\r\n", ["'AB'", "'CD'"], 0),
        ("AB\r\nCD", ["'AB'"], 2),
        ("AB\r\nCD\r", ["'AB'"], 3),
        ("\n", ["bare LF ''"], 0),
        ("AB\nCD\r\n", ["bare LF 'AB'", "'CD'"], 0),
        ("\n\r\n\n\r\n", ["bare LF ''", "''", "bare LF ''", "''"], 0),
        ("A\r\r\nB\r\n", ["'A\r'", "'B'"], 0),
        ("A\rB\r\n", ["'A\rB'"], 0),
        ("A\0\r\n", ["'A\0'"], 0),
        ("123456\r\nA\r\n", ["'123456'", "'A'"], 0),
        ("1234567\r\nA\r\n", ["too long '1234567\r'", "'A'"], 0),
        ("12345678\r\n\r\n", ["too long '12345678'", "''"], 0),
        ("1234567\nA\r\n", ["bare LF '1234567'", "'A'"], 0),
        ("12345678\nA\r\n", ["too long '12345678'", "'A'"], 0),
        ("1234567890", [], 0),
        ("12345678\r\r\r\n", ["too long '12345678'"], 0),
        ("1234567", [], 7),
    ]

    @Test("Every chunking gives the same lines", arguments: scripts.indices)
    func everyChunking(index: Int) {
        let script = Self.scripts[index]
        for chunks in allChunkings(Array(script.input.utf8)) {
            let (results, left) = Self.decode(chunks, limit: 8)
            if results != script.results || left != script.left {
                Issue.record("\(chunks.map(text)) gives \(results), \(left) octets left")
                return
            }
        }
    }

    @Test("A long script in three pieces gives the same lines, wherever it is cut")
    func longScript() {
        let input = "EHLO client.example\r\nNOOP\nMAIL FROM:<someone@sender.example> SIZE=1\r\nQUIT\r\n"
        for chunks in chunkings(Array(input.utf8)) {
            let (results, left) = Self.decode(chunks, limit: 32)
            #expect(results == ["'EHLO client.example'", "bare LF 'NOOP'", "too long 'MAIL FROM:<someo'", "'QUIT'"])
            #expect(left == 0)
        }
    }

    @Test("A line may be as long as the limit, CRLF included")
    func limit() {
        for length in 2045...2050 {
            let line = [UInt8](repeating: 0x41, count: length - 2) + [0x0D, 0x0A]
            let expected = length <= 2048 ? "'\(text(line.dropLast(2)))'" : "too long '\(text(line.prefix(16)))'"
            #expect(Self.decode([line], limit: 2048).results == [expected])
            #expect(
                Self.decode([Array(line.prefix(2047)), Array(line.dropFirst(2047))], limit: 2048).results == [expected])
        }
    }

    @Test("An endless line is discarded as it arrives")
    func endless() {
        var decoder = CommandLineDecoder()
        var input = ByteBuffer()
        for _ in 0..<100 {
            input.writeRepeatingByte(0x41, count: 50)
            #expect(decoder.next(from: &input, limit: 64) == .needMoreData)
            #expect(input.readableBytes < 64)
        }
        input.writeString("A\r\nQUIT\r\n")
        #expect(decoder.next(from: &input, limit: 64) == .tooLong(beginning: buffer(String(repeating: "A", count: 16))))
        #expect(decoder.next(from: &input, limit: 64) == .line(buffer("QUIT")))
        #expect(decoder.next(from: &input, limit: 64) == .needMoreData)
    }

    @Test("The limit may change between two calls")
    func changingLimit() {
        var decoder = CommandLineDecoder()
        var input = buffer("0123456789")
        #expect(decoder.next(from: &input, limit: 20) == .needMoreData)
        // The limit is raised: the rest of the line still fits.
        input.writeString("0123456789\r\n")
        #expect(decoder.next(from: &input, limit: 30) == .line(buffer("01234567890123456789")))
        // The limit is lowered below the number of octets that have arrived.
        input.writeString("0123456789")
        #expect(decoder.next(from: &input, limit: 20) == .needMoreData)
        #expect(decoder.next(from: &input, limit: 8) == .needMoreData)
        // The limit is raised again: the discarded octets stay discarded, and the line is reported once.
        #expect(decoder.next(from: &input, limit: 100) == .needMoreData)
        input.writeString("0\r\nA\r\n")
        #expect(decoder.next(from: &input, limit: 100) == .tooLong(beginning: buffer("01234567")))
        #expect(decoder.next(from: &input, limit: 100) == .line(buffer("A")))
    }

    @Test("The octets after a line stay in the buffer until the next call")
    func stopsBetweenLines() {
        var decoder = CommandLineDecoder()
        var input = buffer("STARTTLS\r\nEHLO evil\r\n")
        #expect(decoder.next(from: &input, limit: 100) == .line(buffer("STARTTLS")))
        #expect(text(input.readableBytesView) == "EHLO evil\r\n")
    }

    @Test("A buffer that was partly read before is read from its reader index")
    func readerIndex() {
        var decoder = CommandLineDecoder()
        var input = buffer("rubbish\r\nNOOP\r\n")
        input.moveReaderIndex(forwardBy: 9)
        #expect(decoder.next(from: &input, limit: 100) == .line(buffer("NOOP")))
        #expect(input.readableBytes == 0)
    }
}
