/// Text of a message in a form that a page may show.
enum ReadableText {
    /// The text of a body. Lines end with LF, and control characters other than tab become U+FFFD.
    ///
    /// - Parameters:
    ///   - decoded: returns the first octets of the decoded body, as many as are requested.
    ///   - limit: the most octets of the text in UTF-8. A longer text is cut between two characters.
    static func body(
        _ charset: TextCharset, limit: Int, _ decoded: (_ limit: Int) -> [UInt8]
    ) -> (text: String, isCut: Bool) {
        let limit = max(0, limit)
        // Only a CRLF has more octets in the body than in the text: two instead of one. So twice the limit is enough. A
        // few octets more are requested, so that a character that is cut at the end of them comes after the limit.
        let octets = decoded(2 * limit + 16)
        var scalars = String.UnicodeScalarView()
        var count = 0
        var isAfterCR = false
        var isFirst = true
        for scalar in charset.string(octets).unicodeScalars {
            defer {
                isAfterCR = scalar == "\r"
                isFirst = false
            }
            // Skips the LF of a CRLF, and a byte order mark.
            if scalar == "\n" && isAfterCR || isFirst && scalar == "\u{FEFF}" { continue }
            let shown: Unicode.Scalar =
                switch scalar.value {
                case 0x09, 0x0A: scalar
                case 0x0D: "\n"
                case 0x00...0x1F, 0x7F...0x9F: "\u{FFFD}"
                default: scalar
                }
            count += UTF8.width(shown)
            guard count <= limit else { return (String(scalars), true) }
            scalars.append(shown)
        }
        return (String(scalars), false)
    }

    /// The most octets of a field that are read. 4,000 characters with four octets each need fewer octets in the Q
    /// encoding, even with the frames of their encoded words and the folds.
    private static let longestField = 128 * 1024

    /// The text of a field on one line. Folds and blanks at the ends are dropped, and encoded words are decoded.
    ///
    /// - Parameter limit: the most characters (Unicode scalars).
    static func field(_ body: ArraySlice<UInt8>, limit: Int) -> (text: String, isCut: Bool) {
        var isCut = body.count > longestField
        var unfolded: [UInt8] = []
        let source = body.prefix(longestField)
        unfolded.reserveCapacity(source.count)
        for byte in source {
            if byte == .lf {
                if unfolded.last == .cr { unfolded.removeLast() }
            } else {
                unfolded.append(byte)
            }
        }
        var text = unfolded[...]
        while let last = text.last, last.isBlank || last == .cr { text = text.dropLast() }
        let shown = line(EncodedWords.decoded(text.drop(while: \.isBlank)), limit: limit)
        if shown.isCut { isCut = true }
        return (shown.text, isCut)
    }

    /// Text on one line, with at most `limit` Unicode scalars. Line ends, control characters except the tab, and
    /// characters that change the direction of text become U+FFFD.
    static func line(_ text: String, limit: Int) -> (text: String, isCut: Bool) {
        var scalars = String.UnicodeScalarView()
        var count = 0
        for scalar in text.unicodeScalars {
            guard count < limit else { return (String(scalars), true) }
            scalars.append(scalar != "\t" && SubjectText.isHidden(scalar) ? "\u{FFFD}" : scalar)
            count += 1
        }
        return (String(scalars), false)
    }
}

/// The encoded words of a field (RFC 2047), in all charsets of ``TextCharset``. Decoding takes linear time and is as
/// lenient as in mail readers. ``EncodedWord`` is stricter, because what is sent depends on it.
private enum EncodedWords {
    /// Decodes the field. Blanks between two encoded words are dropped. Words in other charsets stay as they are. The
    /// charset of raw octets is guessed.
    static func decoded(_ bytes: ArraySlice<UInt8>) -> String {
        var text = ""
        // Octets of adjacent words in one charset are joined before decoding, because senders split multi-octet
        // characters.
        var pending: (charset: TextCharset, octets: [UInt8])?
        var plainStart = bytes.startIndex
        var index = bytes.startIndex
        while let start = EncodedWord.find(bytes, from: index) {
            guard let frame = Frame(bytes, at: start) else {
                index = start + 2
                continue
            }
            // If this word has no end, later ones have none either.
            guard let mark = mark(bytes, from: frame.text) else { break }
            let octets = frame.octets(bytes[frame.text..<mark])
            let between = bytes[plainStart..<start]
            let isJoined = pending != nil && between.allSatisfy { $0.isBlank }
            if isJoined, pending?.charset == frame.charset {
                pending?.octets += octets
            } else {
                if let pending { text += pending.charset.string(pending.octets) }
                if !isJoined { text += TextCharset.guessed.string(between) }
                pending = (frame.charset, octets)
            }
            index = mark + 2
            plainStart = index
        }
        if let pending { text += pending.charset.string(pending.octets) }
        return text + TextCharset.guessed.string(bytes[plainStart...])
    }

    /// The index of the next `?=`.
    private static func mark(_ bytes: ArraySlice<UInt8>, from start: Int) -> Int? {
        var index = start
        while let found = bytes[index...].firstIndex(of: .questionMark), found + 1 < bytes.endIndex {
            if bytes[found + 1] == .equalsSign { return found }
            index = found + 1
        }
        return nil
    }

    /// The part of a word before its text: `=?charset*language?encoding?`.
    private struct Frame {
        var charset: TextCharset
        var isBase64: Bool
        /// Where the text begins.
        var text: Int

        /// The most octets of charset and language.
        private static let longestCharset = 64

        init?(_ bytes: ArraySlice<UInt8>, at start: Int) {
            let rest = bytes[(start + 2)...].prefix(Self.longestCharset + 1)
            guard let charsetEnd = rest.firstIndex(of: .questionMark), charsetEnd + 2 < bytes.endIndex,
                bytes[charsetEnd + 2] == .questionMark,
                let charset = TextCharset(bytes[(start + 2)..<charsetEnd].prefix { $0 != UInt8(ascii: "*") })
            else { return nil }
            switch bytes[charsetEnd + 1].asciiLowercased {
            case UInt8(ascii: "b"): isBase64 = true
            case UInt8(ascii: "q"): isBase64 = false
            default: return nil
            }
            self.charset = charset
            text = charsetEnd + 3
        }

        /// Damaged octets are skipped in base64, and stay as they are in the Q encoding.
        func octets(_ text: ArraySlice<UInt8>) -> [UInt8] {
            if isBase64 { return TransferEncoding.base64.decoded(text, limit: text.count) }
            var octets: [UInt8] = []
            octets.reserveCapacity(text.count)
            var index = text.startIndex
            while index < text.endIndex {
                let byte = text[index]
                if byte == .equalsSign, index + 2 < text.endIndex, let high = text[index + 1].hexValue,
                    let low = text[index + 2].hexValue
                {
                    octets.append(high << 4 | low)
                    index += 3
                } else {
                    octets.append(byte == UInt8(ascii: "_") ? .space : byte)
                    index += 1
                }
            }
            return octets
        }
    }
}
