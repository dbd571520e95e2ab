import InternetMessage

/// The content of a text part in quoted-printable (RFC 2045 section 6.7) or base64 (section 6.8), whichever is shorter,
/// made piece by piece. In the text, CRLF, CR and LF each end a line, and become CRLF. The last line always gets a line
/// end.
package struct TextLines {
    /// The encodings. The raw values are those of Content-Transfer-Encoding.
    package enum Encoding: String {
        case quotedPrintable = "quoted-printable"
        case base64
    }

    /// The encoding that was chosen because it is the shorter one.
    package let encoding: Encoding
    /// The size in octets of all pieces together.
    let size: Int

    private var text: String
    /// How many octets of the text have been encoded.
    private var offset = 0
    private var quoted = QuotedPrintableEncoder()
    private var lines = LineEndReader()
    /// The whole content in quoted-printable, if it fits into one piece. It is made when the size is measured. Nil if
    /// the content is longer or in base64.
    private var whole: [UInt8]?

    /// Measures the text in both encodings, and chooses one.
    package init(_ text: String) {
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

    /// Appends the next octets until `output` has about `limit` octets. Returns false when the content has ended.
    package mutating func append(upTo limit: Int, to output: inout [UInt8]) -> Bool {
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

/// The lengths of base64 lines.
enum LineLength {
    /// The most characters of a line (RFC 2045 section 6.8).
    static let base64 = 76

    /// The number of octets for this many characters, with the CRLF of each line.
    static func withLineEnds(_ characters: Int) -> Int { characters + (characters + base64 - 1) / base64 * 2 }
}

/// Encodes text in quoted-printable.
private struct QuotedPrintableEncoder {
    private var column = 0

    /// The most characters of a line, including the `=` that continues it.
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

    /// Encodes from `start` on, until `output` has about `limit` octets or the text has ended. Returns where it
    /// stopped.
    mutating func encode(
        _ text: UnsafeBufferPointer<UInt8>, from start: Int, upTo limit: Int, into output: inout [UInt8]
    ) -> Int {
        // A line is made outside the array, which is faster than appending each octet to the array.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.maximumLine + 2) { line in
            Self.kinds.withUnsafeBufferPointer { kinds in
                var writer = LineWriter(line: line, column: column)
                var index = start
                while index < text.count, output.count < limit {
                    let byte = text[index]
                    var kind = kinds[Int(byte)]
                    if kind == Kind.lineEnd {
                        writer.endLine(&output)
                        index += byte == .cr && index + 1 < text.count && text[index + 1] == .lf ? 2 : 1
                        continue
                    }
                    if kind == Kind.blank {
                        // Some transports drop a blank at the end of a line.
                        let isLast = index + 1 == text.count || kinds[Int(text[index + 1])] == Kind.lineEnd
                        kind = isLast ? Kind.encoded : Kind.plain
                    }
                    if writer.column + (kind == Kind.plain ? 1 : 3) >= Self.maximumLine {
                        writer.append(.equalsSign)
                        writer.endLine(&output)
                    }
                    if kind == Kind.plain {
                        writer.append(byte)
                    } else {
                        writer.append(.equalsSign)
                        writer.append(UInt8.hexDigit(byte >> 4))
                        writer.append(UInt8.hexDigit(byte & 15))
                    }
                    index += 1
                }
                if index == text.count, writer.column > 0 { writer.endLine(&output) }
                writer.flush(&output)
                column = writer.column
                return index
            }
        }
    }

    private struct LineWriter {
        let line: UnsafeMutableBufferPointer<UInt8>
        /// The number of characters of the line so far, including those that were flushed from the buffer.
        var column: Int
        private var count = 0

        init(line: UnsafeMutableBufferPointer<UInt8>, column: Int) {
            self.line = line
            self.column = column
        }

        mutating func append(_ byte: UInt8) {
            line[count] = byte
            count += 1
            column += 1
        }

        mutating func endLine(_ output: inout [UInt8]) {
            append(.cr)
            append(.lf)
            flush(&output)
            column = 0
        }

        mutating func flush(_ output: inout [UInt8]) {
            output.append(contentsOf: UnsafeBufferPointer(rebasing: line[..<count]))
            count = 0
        }
    }
}

/// Reads the octets of a text, and returns CRLF for each of its line ends.
private struct LineEndReader {
    private var offset = 0
    /// Whether the LF of a CRLF must still be read.
    private var owesLineFeed = false
    private var isAtLineStart = true

    /// The number of octets in one line of base64.
    private static let lineSize = LineLength.base64 / 4 * 3

    /// The number of octets of the whole text when each line ends with CRLF.
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
        // A lone CR or LF gets its counterpart. A last line without a line end gets both.
        return text.count + lineFeeds + returns - 2 * pairs + (last == .lf || last == .cr ? 0 : 2)
    }

    /// Appends lines of base64 until `output` has about `limit` octets. Returns false when the text has ended.
    mutating func appendBase64(_ text: UnsafeBufferPointer<UInt8>, upTo limit: Int, to output: inout [UInt8]) -> Bool {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.lineSize) { line in
            while output.count < limit {
                var count = 0
                while count < Self.lineSize, let byte = next(text) {
                    line[count] = byte
                    count += 1
                }
                guard count > 0 else { return false }
                Base64Digits.append(UnsafeBufferPointer(rebasing: line[..<count]), to: &output)
                output.append(.cr)
                output.append(.lf)
            }
            return true
        }
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
