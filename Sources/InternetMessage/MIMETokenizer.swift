/// The tokens of a structured MIME field (RFC 2045 section 5.1), split as SES's parser does (JavaMail's
/// `HeaderTokenizer`).
///
/// Comments and blanks are skipped everywhere. An octet above 126 outside quotes is not part of a token.
struct MIMETokenizer {
    enum Token {
        case atom(ArraySlice<UInt8>)
        /// The content of a quoted string, without its quotes, escapes and folds.
        case quotedString([UInt8])
        /// A delimiter, or an octet that can't be in a token.
        case special(UInt8)
        case end

        /// The part of the token that a reply shows.
        var excerpt: String {
            switch self {
            case .atom(let text): Excerpt.of(text)
            case .quotedString(let text): Excerpt.of(text)
            case .special(let byte): Excerpt.of([byte])
            case .end: ""
            }
        }

        func isSpecial(_ byte: UInt8) -> Bool {
            if case .special(byte) = self { true } else { false }
        }
    }

    private let bytes: ArraySlice<UInt8>
    private var index: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        index = bytes.startIndex
    }

    mutating func next() throws(MIMEFault) -> Token {
        skipBlanks()
        while index < bytes.endIndex, bytes[index] == .leftParenthesis {
            try skipComment()
            skipBlanks()
        }
        guard index < bytes.endIndex else { return .end }
        let start = index
        if bytes[index] == .quote { return .quotedString(try quotedString()) }
        while index < bytes.endIndex, bytes[index].isMIMETokenText { index += 1 }
        guard index > start else {
            index += 1
            return .special(bytes[start])
        }
        return .atom(bytes[start..<index])
    }

    private mutating func skipBlanks() {
        while index < bytes.endIndex, bytes[index].isFoldingWhiteSpace { index += 1 }
    }

    private mutating func skipComment() throws(MIMEFault) {
        var depth = 0
        while index < bytes.endIndex {
            switch bytes[index] {
            case .backslash: index += 1
            case .leftParenthesis: depth += 1
            case .rightParenthesis: depth -= 1
            default: break
            }
            index += 1
            if depth == 0 { return }
        }
        throw MIMEFault("has a comment without its closing parenthesis")
    }

    private mutating func quotedString() throws(MIMEFault) -> [UInt8] {
        var content: [UInt8] = []
        index += 1
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            switch byte {
            case .quote: return content
            case .backslash:
                guard index < bytes.endIndex else { break }
                content.append(bytes[index])
                index += 1
            case .cr, .lf: break
            default: content.append(byte)
            }
        }
        throw MIMEFault("has a double quote without its closing one")
    }
}

/// A mistake in a structured MIME field. The text follows the field's name, and says what is wrong and what to write.
struct MIMEFault: Error {
    let explanation: String

    init(_ explanation: String) { self.explanation = explanation }
}

extension UInt8 {
    /// RFC 2045 section 5.1: any printable ASCII except the tspecials.
    fileprivate var isMIMETokenText: Bool {
        guard self > .space, self < 0x7F else { return false }
        switch self {
        case .leftParenthesis, .rightParenthesis, .less, .greater, .at, .comma, .semicolon, .colon, .backslash, .quote,
            UInt8(ascii: "/"), .leftBracket, .rightBracket, .questionMark, .equalsSign:
            return false
        default: return true
        }
    }
}
