import FuzzSupport
import NIOCore
import SMTP

extension Property {
    /// Content ends at CRLF.CRLF and nowhere else, in any pieces. Dot-stuffed content is restored exactly.
    public static let data = Property("data") { input in
        let stream = input + Array("\r\n.\r\nQUIT\r\n".utf8)
        let expected = Content(byTheRFC: stream)
        for chunks in chunkings(of: stream) {
            let found = Content(decoding: chunks)
            try require(found == expected, "\(shown(input)) in \(chunks.count) pieces: \(found), not \(expected)")
        }
        let message = input.suffix(2) == Content.crlf[...] || input.isEmpty ? input : input + Content.crlf
        let unstuffed = Content(decoding: [(stuffed(message) + Array(".\r\n".utf8))[...]])
        try require(unstuffed.octets == message && unstuffed.rest.isEmpty, "\(shown(input)) was stuffed: \(unstuffed)")
    }

    /// The message after dot-stuffing (RFC 5321 section 4.5.2).
    private static func stuffed(_ message: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(message.count + 8)
        for (index, byte) in message.enumerated() {
            let isAtLineStart = index == 0 || (index >= 2 && message[index - 2] == 0x0D && message[index - 1] == 0x0A)
            if byte == 0x2E, isAtLineStart { result.append(byte) }
            result.append(byte)
        }
        return result
    }
}

/// The input after DATA, as it was decoded.
private struct Content: Equatable, CustomStringConvertible {
    var octets: [UInt8] = []
    /// The octets after the end of the content. They are the client's next commands.
    var rest: [UInt8] = []
    var defect: DataDecoder.Defect?

    static let crlf: [UInt8] = [0x0D, 0x0A]

    init(decoding chunks: [ArraySlice<UInt8>]) {
        var decoder = DataDecoder()
        var hasEnded = false
        var buffer = ByteBuffer()
        for chunk in chunks {
            buffer.clear()
            buffer.writeBytes(chunk)
            if !hasEnded { hasEnded = decoder.decode(&buffer) { octets += $0 } }
            rest += buffer.readableBytesView
        }
        defect = decoder.defect
    }

    /// A simple implementation of the RFC, not made for speed. The content ends at the first CRLF.CRLF. The beginning
    /// of the content counts as the beginning of a line. If a line begins with a dot, this dot is removed.
    init(byTheRFC stream: [UInt8]) {
        let end = Content.crlf + [0x2E] + Content.crlf
        let whole = Content.crlf + stream
        let found =
            whole.indices.first { whole[$0] == 0x0D && whole[$0...].starts(with: end) } ?? whole.count - end.count
        rest = Array(whole[(found + end.count)...])
        // The content includes the CRLF that ends its last line, but not the CRLF that was put in front of it.
        let content = whole[2..<max(2, found + 2)]
        octets.reserveCapacity(content.count)
        for index in content.indices {
            let byte = content[index]
            if defect == nil {
                switch byte {
                case 0x00: defect = .null
                case 0x0D where index + 1 == content.endIndex || content[index + 1] != 0x0A:
                    defect = .bareCarriageReturn
                case 0x0A where index == content.startIndex || content[index - 1] != 0x0D: defect = .bareLineFeed
                default: break
                }
            }
            let isAtLineStart = whole[index - 1] == 0x0A && whole[index - 2] == 0x0D
            if byte != 0x2E || !isAtLineStart { octets.append(byte) }
        }
    }

    var description: String { "\(shown(octets)), defect \(defect.map { "\($0)" } ?? "none"), then \(shown(rest))" }
}
