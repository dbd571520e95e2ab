/// The content of a text part in quoted-printable (RFC 2045 section 6.7) or base64 (section 6.8), whichever is shorter, made piece by
/// piece. Any of CRLF, CR and LF ends a line of the text, and becomes CRLF. The last line always has an end.
struct TextLines {
    enum Encoding: String {
        case quotedPrintable = "quoted-printable"
        case base64
    }

    let encoding: Encoding
    /// Octets of all pieces together.
    let size: Int

    private var text: String
    /// Octets of the text that have been encoded.
    private var offset = 0
    private var quoted = QuotedPrintableEncoder()
    private var lines = LineEndReader()
    /// The whole content where it has one piece: it is made when its size is measured.
    private var whole: [UInt8]?

    init(_ text: String) {
        var text = text
        let (base64Size, quotedSize, whole) = text.withUTF8 { octets in
            let base64Size = Self.base64Size(LineEndReader.count(octets))
            var encoder = QuotedPrintableEncoder()
            var piece: [UInt8] = []
            piece.reserveCapacity(min(octets.count + octets.count / 8 + 64, MessageComposer.pieceSize))
            var offset = encoder.encode(octets, from: 0, upTo: MessageComposer.pieceSize, into: &piece)
            var size = piece.count
            guard offset < octets.count else { return (base64Size, size, piece as [UInt8]?) }
            while offset < octets.count, size <= base64Size {
                piece.removeAll(keepingCapacity: true)
                offset = encoder.encode(octets, from: offset, upTo: MessageComposer.pieceSize, into: &piece)
                size += piece.count
            }
            return (base64Size, size, nil)
        }
        let isQuoted = quotedSize <= base64Size
        encoding = isQuoted ? .quotedPrintable : .base64
        size = isQuoted ? quotedSize : base64Size
        self.whole = isQuoted ? whole : nil
        self.text = text
    }

    /// Appends the next octets until `output` has about `limit`. False when the content has ended.
    mutating func append(upTo limit: Int, to output: inout [UInt8]) -> Bool {
        if let whole {
            output.append(contentsOf: whole)
            return false
        }
        switch encoding {
        case .quotedPrintable:
            offset = text.withUTF8 { quoted.encode($0, from: offset, upTo: limit, into: &output) }
            return offset < text.utf8.count
        case .base64:
            return text.withUTF8 { lines.appendBase64($0, upTo: limit, to: &output) }
        }
    }

    private static func base64Size(_ octets: Int) -> Int { LineLength.withLineEnds((octets + 2) / 3 * 4) }
}

/// The length of lines of base64.
enum LineLength {
    /// Characters of a line at most (RFC 2045 section 6.8).
    static let base64 = 76

    /// Octets of so many characters with the CRLF of each line.
    static func withLineEnds(_ characters: Int) -> Int { characters + (characters + base64 - 1) / base64 * 2 }
}

/// Encodes text in quoted-printable.
private struct QuotedPrintableEncoder {
    private var column = 0

    /// Characters of a line at most, with the `=` that continues it.
    private static let maximumLine = 76

    private enum Kind {
        static let plain: UInt8 = 0
        static let blank: UInt8 = 1
        static let lineEnd: UInt8 = 2
        static let encoded: UInt8 = 3
    }

    private static let kinds: [UInt8] = {
        var kinds = [UInt8](repeating: Kind.encoded, count: 256)
        for byte in 0x21...0x7E { kinds[byte] = Kind.plain }
        kinds[Int(UInt8.equalsSign)] = Kind.encoded
        kinds[Int(UInt8.space)] = Kind.blank
        kinds[Int(UInt8.tab)] = Kind.blank
        kinds[Int(UInt8.cr)] = Kind.lineEnd
        kinds[Int(UInt8.lf)] = Kind.lineEnd
        return kinds
    }()

    /// Encodes from `start` on until `output` has about `limit` octets or the text has ended. Returns where it stopped.
    mutating func encode(
        _ text: UnsafeBufferPointer<UInt8>, from start: Int, upTo limit: Int, into output: inout [UInt8]
    ) -> Int {
        Self.kinds.withUnsafeBufferPointer { kinds in
            var index = start
            while index < text.count, output.count < limit {
                let runEnd = min(text.count, index + Self.maximumLine - 1 - column)
                var end = index
                var kind = Kind.plain
                while end < runEnd {
                    kind = kinds[Int(text[end])]
                    if kind != Kind.plain {
                        // A blank at the end of a line does not survive every transport.
                        guard kind == Kind.blank, end + 1 < text.count, kinds[Int(text[end + 1])] != Kind.lineEnd else {
                            break
                        }
                    }
                    end += 1
                }
                if end > index {
                    output.append(contentsOf: UnsafeBufferPointer(rebasing: text[index..<end]))
                    column += end - index
                    index = end
                }
                guard index < text.count else { break }
                kind = kinds[Int(text[index])]
                if kind == Kind.lineEnd {
                    endLine(&output)
                    if text[index] == .cr, index + 1 < text.count, text[index + 1] == .lf { index += 1 }
                    index += 1
                } else if end == runEnd {
                    continueLine(&output)
                } else {
                    if column + 3 >= Self.maximumLine { continueLine(&output) }
                    output.append(.equalsSign)
                    output.append(UInt8.hexDigit(text[index] >> 4))
                    output.append(UInt8.hexDigit(text[index] & 15))
                    column += 3
                    index += 1
                }
            }
            if index == text.count, column > 0 { endLine(&output) }
            return index
        }
    }

    private mutating func endLine(_ output: inout [UInt8]) {
        output.append(.cr)
        output.append(.lf)
        column = 0
    }

    private mutating func continueLine(_ output: inout [UInt8]) {
        output.append(.equalsSign)
        endLine(&output)
    }
}

/// Reads a text with CRLF at the end of each line.
private struct LineEndReader {
    private var offset = 0
    private var line: [UInt8] = []
    /// Whether the LF of a CRLF is still to be read.
    private var owesLineFeed = false
    private var isAtLineStart = true

    /// Octets of a line of base64.
    private static let lineSize = LineLength.base64 / 4 * 3

    /// Octets of a whole text.
    static func count(_ text: UnsafeBufferPointer<UInt8>) -> Int {
        guard let last = text.last else { return 0 }
        var lineFeeds = 0
        var returns = 0
        var pairs = 0
        var previous: UInt8 = 0
        for byte in text {
            let isLineFeed = byte == .lf ? 1 : 0
            lineFeeds &+= isLineFeed
            returns &+= byte == .cr ? 1 : 0
            pairs &+= previous == .cr ? isLineFeed : 0
            previous = byte
        }
        // A lone CR or LF gets the other one; a last line without end gets both.
        return text.count + lineFeeds + returns - 2 * pairs + (last == .lf || last == .cr ? 0 : 2)
    }

    /// Appends lines of base64 until `output` has about `limit` octets. False when the text has ended.
    mutating func appendBase64(_ text: UnsafeBufferPointer<UInt8>, upTo limit: Int, to output: inout [UInt8]) -> Bool {
        while output.count < limit {
            line.removeAll(keepingCapacity: true)
            while line.count < Self.lineSize, let byte = next(text) { line.append(byte) }
            guard !line.isEmpty else { return false }
            line.withUnsafeBufferPointer { Base64Digits.append($0, to: &output) }
            output.append(.cr)
            output.append(.lf)
        }
        return true
    }

    private mutating func next(_ text: UnsafeBufferPointer<UInt8>) -> UInt8? {
        if owesLineFeed {
            owesLineFeed = false
            isAtLineStart = true
            return .lf
        }
        guard offset < text.count else {
            guard !isAtLineStart else { return nil }
            owesLineFeed = true
            return .cr
        }
        let byte = text[offset]
        offset += 1
        guard byte == .cr || byte == .lf else {
            isAtLineStart = false
            return byte
        }
        if byte == .cr, offset < text.count, text[offset] == .lf { offset += 1 }
        owesLineFeed = true
        return .cr
    }
}
