import InternetMessage

/// Writes text as encoded words (RFC 2047) in UTF-8.
///
/// Each word has at most 75 octets and contains only whole characters. A line with a word has at most 76 octets. All
/// words of a text use the same encoding, B or Q, whichever is shorter. In the Q encoding, only characters that are
/// allowed in a phrase (RFC 2047 section 5 rule 3) stay unencoded, so that the words are valid everywhere.
enum EncodedWordWriter {
    private static let maximumWord = 75
    private static let maximumLine = 76
    /// The length of `=?utf-8?q?` and `?=`.
    private static let frame = 12
    /// The shortest word that is worth adding to a line that has other text already: one character of four octets in Q.
    private static let leastWord = frame + 12

    /// Appends `text` to a field's line whose last octet is a blank.
    static func append(_ text: ArraySlice<UInt8>, to field: inout FieldWriter) {
        let quotedLength = text.reduce(0) { $0 + (isPlain($1) || $1 == .space ? 1 : 3) }
        let isQuoted = quotedLength <= (text.count + 2) / 3 * 4
        var index = text.startIndex
        while index < text.endIndex {
            if index > text.startIndex || maximumLine - field.column < leastWord { field.fold() }
            let room = min(maximumWord, max(leastWord, maximumLine - field.column)) - frame
            let end = isQuoted ? quotedEnd(text, from: index, room: room) : base64End(text, from: index, room: room)
            field.append(isQuoted ? "=?utf-8?q?" : "=?utf-8?b?")
            if isQuoted {
                appendQuoted(text[index..<end], to: &field)
            } else {
                text[index..<end].withUnsafeBufferPointer { Base64Digits.append($0, to: &field.octets) }
            }
            field.append("?=")
            index = end
        }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        if byte.isAlphanumeric { return true }
        switch byte {
        case UInt8(ascii: "!"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "/"): return true
        default: return false
        }
    }

    /// The number of octets of the UTF-8 character that begins with `byte`.
    private static func width(_ byte: UInt8) -> Int { byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4 }

    private static func quotedEnd(_ text: ArraySlice<UInt8>, from start: Int, room: Int) -> Int {
        var index = start
        var length = 0
        while index < text.endIndex {
            let byte = text[index]
            let width = width(byte)
            length += isPlain(byte) || byte == .space ? 1 : 3 * width
            if length > room { break }
            index += width
        }
        return index
    }

    private static func base64End(_ text: ArraySlice<UInt8>, from start: Int, room: Int) -> Int {
        let end = start + room / 4 * 3
        guard end < text.endIndex else { return text.endIndex }
        var index = end
        while text[index] & 0xC0 == 0x80 { index -= 1 }
        return index
    }

    private static func appendQuoted(_ text: ArraySlice<UInt8>, to field: inout FieldWriter) {
        for byte in text {
            if isPlain(byte) {
                field.octets.append(byte)
            } else if byte == .space {
                field.octets.append(UInt8(ascii: "_"))
            } else {
                field.octets.append(.equalsSign)
                field.octets.append(UInt8.hexDigit(byte >> 4))
                field.octets.append(UInt8.hexDigit(byte & 15))
            }
        }
    }
}
