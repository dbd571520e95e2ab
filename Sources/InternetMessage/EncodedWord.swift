/// The encoded words of RFC 2047, with the language of RFC 2231 section 5: `=?charset*language?encoding?text?=`.
public enum EncodedWord {
    /// Decodes the text of an unstructured field for display. UTF-8, US-ASCII and ISO-8859-1 are decoded; words in
    /// other charsets and damaged words stay as they are. Blanks between two encoded words are dropped. Raw octets are
    /// read as UTF-8 with replacement characters. The result may contain any character, including control characters.
    public static func decode(_ bytes: ArraySlice<UInt8>) -> String {
        var text = ""
        // Octets of adjacent words in one charset are joined before decoding, because senders split multi-octet
        // characters.
        var pending: (charset: Charset, octets: [UInt8])?
        func flush() {
            if let (charset, octets) = pending { text += charset.string(octets) }
            pending = nil
        }
        var plainStart = bytes.startIndex
        var index = bytes.startIndex
        while let start = find(bytes, from: index) {
            guard let word = parse(bytes, at: start), let charset = word.charset, let octets = word.octets else {
                index = start + 2
                continue
            }
            let between = bytes[plainStart..<start]
            if pending == nil || !between.allSatisfy(\.isFoldingWhiteSpace) {
                flush()
                text += String(decoding: between, as: UTF8.self)
            }
            if let current = pending, current.charset == charset {
                pending = (charset, current.octets + octets)
            } else {
                flush()
                pending = (charset, octets)
            }
            index = word.end
            plainStart = word.end
        }
        flush()
        return text + String(decoding: bytes[plainStart...], as: UTF8.self)
    }

    enum Charset: Hashable {
        case utf8, latin1

        init?(_ name: some Collection<UInt8>) {
            switch String(decoding: name.map(\.asciiLowercased), as: UTF8.self) {
            case "utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4-1968": self = .utf8
            case "iso-8859-1", "latin1", "iso_8859-1": self = .latin1
            default: return nil
            }
        }

        func string(_ octets: [UInt8]) -> String {
            switch self {
            case .utf8: return String(decoding: octets, as: UTF8.self)
            case .latin1:
                var scalars = String.UnicodeScalarView()
                scalars.append(contentsOf: octets.lazy.map { Unicode.Scalar($0) })
                return String(scalars)
            }
        }
    }

    struct Word {
        /// The name of the charset, without the language.
        var charsetName: ArraySlice<UInt8>
        var charset: Charset? { Charset(charsetName) }
        /// The decoded text. Nil when it is damaged, or when the encoding is neither B nor Q.
        var octets: [UInt8]?
        /// Whether it is base64 without padding. Some readers drop the last octets of such text.
        var isShort: Bool
        /// The index after the closing `?=`.
        var end: Int
    }

    /// The index of the next `=?`.
    static func find(_ bytes: ArraySlice<UInt8>, from start: Int) -> Int? {
        var index = start
        while let found = bytes[index...].firstIndex(of: .equalsSign) {
            guard found + 1 < bytes.endIndex else { return nil }
            if bytes[found + 1] == .questionMark { return found }
            index = found + 1
        }
        return nil
    }

    /// Reads an encoded word at its `=?`. Nil when no encoded word begins there.
    static func parse(_ bytes: ArraySlice<UInt8>, at start: Int) -> Word? {
        guard let charsetEnd = bytes[(start + 2)...].firstIndex(of: .questionMark) else { return nil }
        let charset = bytes[(start + 2)..<charsetEnd]
        // A dot is not allowed in a token of RFC 2047, but the C library's name for ASCII has one: ANSI_X3.4-1968.
        guard !charset.isEmpty, charset.count <= 64, charset.allSatisfy({ $0.isAtomText || $0 == .dot }) else {
            return nil
        }
        let encodingAt = charsetEnd + 1
        guard encodingAt + 1 < bytes.endIndex, bytes[encodingAt + 1] == .questionMark else { return nil }
        let textStart = encodingAt + 2
        var index = textStart
        // A '?' without a '=' after it is not allowed in an encoded word (RFC 2047 section 2), but some senders do not
        // encode it.
        while let mark = bytes[index...].firstIndex(of: .questionMark) {
            if mark + 1 < bytes.endIndex, bytes[mark + 1] == .equalsSign {
                let text = bytes[textStart..<mark]
                let encoding = bytes[encodingAt].asciiLowercased
                let octets: [UInt8]? =
                    switch encoding {
                    case UInt8(ascii: "b"): base64(text)
                    case UInt8(ascii: "q"): quoted(text)
                    default: nil
                    }
                return Word(
                    charsetName: charset.prefix { $0 != UInt8(ascii: "*") }, octets: octets,
                    isShort: encoding == UInt8(ascii: "b") && text.count % 4 != 0, end: mark + 2)
            }
            index = mark + 1
        }
        return nil
    }

    private static func quoted(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var octets: [UInt8] = []
        octets.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            index += 1
            if byte == UInt8(ascii: "_") {
                octets.append(.space)
            } else if byte == .equalsSign {
                guard index + 1 < text.endIndex, let high = text[index].hexValue, let low = text[index + 1].hexValue
                else {
                    return nil
                }
                octets.append(high << 4 | low)
                index += 2
            } else {
                octets.append(byte)
            }
        }
        return octets
    }

    private static func base64(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var octets: [UInt8] = []
        octets.reserveCapacity(text.count / 4 * 3)
        var buffer: UInt32 = 0
        var bits = 0
        var padded = false
        for byte in text {
            if byte == .equalsSign {
                padded = true
                continue
            }
            guard let value = byte.base64Value else { return nil }
            guard !padded else { return nil }
            buffer = buffer << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                octets.append(UInt8(truncatingIfNeeded: buffer >> UInt32(bits)))
            }
        }
        // If six bits remain, the last group has only one digit, which can't encode an octet.
        return bits == 6 ? nil : octets
    }
}
