/// The body of a header field as text without folds.
enum FieldText {
    /// Removes the CRLF of each fold (RFC 5322 section 2.2.3) and keeps the fold's blanks. One exception, as in SES's
    /// parser: if a backslash comes before the CRLF, the backslash is removed and the CRLF stays. When there are no
    /// folds, nothing is copied.
    static func unfolded(_ body: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard body.contains(.cr) else { return body }
        var text: [UInt8] = []
        text.reserveCapacity(body.count)
        var index = body.startIndex
        while index < body.endIndex {
            let byte = body[index]
            if byte == .cr, index + 1 < body.endIndex, body[index + 1] == .lf {
                if index > body.startIndex, body[index - 1] == .backslash {
                    text.removeLast()
                    text.append(contentsOf: [.cr, .lf])
                }
                index += 2
            } else {
                text.append(byte)
                index += 1
            }
        }
        return text[...]
    }

    /// The text without blanks and control characters at both ends.
    static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text = text
        while let first = text.first, first <= .space { text.removeFirst() }
        while let last = text.last, last <= .space { text.removeLast() }
        return text
    }
}

/// A short excerpt of a message's text in printable ASCII, for replies and logs.
enum Excerpt {
    static let maximumLength = 40

    /// The beginning of an API key. If a key was pasted into a field, replies and logs must not repeat any part of it.
    private static let keyPrefix = Array("hk_".utf8)

    /// Returns an excerpt of the text. Double quotes become single quotes, tabs and line ends become spaces, and other
    /// octets outside printable ASCII become `?`. A text of more than `maximumLength` octets loses its end, or with
    /// `keepsEnd` its beginning. The result is empty when the text may contain an API key.
    static func of(_ text: some Collection<UInt8>, keepsEnd: Bool = false) -> String {
        let lowered = text.map(\.asciiLowercased)
        guard lowered.firstRange(of: keyPrefix) == nil else { return "" }
        let isCut = lowered.count > maximumLength
        var shown = (keepsEnd ? Array(text.suffix(maximumLength)) : Array(text.prefix(maximumLength))).map { byte in
            switch byte {
            case .quote: UInt8(ascii: "'")
            case 0x20...0x7E: byte
            case .tab, .cr, .lf: UInt8.space
            default: UInt8.questionMark
            }
        }
        while shown.last == .space { shown.removeLast() }
        let words = String(decoding: shown, as: UTF8.self)
        return isCut ? (keepsEnd ? "..." + words : words + "...") : words
    }
}
