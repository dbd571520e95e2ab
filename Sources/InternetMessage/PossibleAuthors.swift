/// The domains of all texts in a field that a reader of mail could take as an author's address, whatever rules the
/// reader follows.
///
/// Readers differ about nearly everything in RFC 5322 and RFC 2047. Some drop comments everywhere; others do not know
/// comments. Some split at commas before they look at quotes. Some take the first `<`, some the last. Some decode
/// encoded words before they parse, some afterwards, some also inside quotes. Some end a quoted string at an escaped
/// quote or at a fold. But an address always has an `@`, and its domain is the text after it. So no reader is imitated
/// here. Each `@` counts, both in the field as written and in the field with its encoded words decoded. The text after
/// an `@` gives one domain, no domain, or a doubt:
///
/// - The domain ends where all readers end it: at the field's end, or at `<`, `>`, `,`, `:` or `;`. Before that there
///   may be blanks, closing quotes and brackets, plain comments and the borders of encoded words. If other text comes
///   before the end, there is a doubt, because some readers join it to the domain and some do not. There is also a
///   doubt if brackets without an `@` follow.
/// - Text without a dot is not a domain (`Café @ Home`).
/// - A plain quoted string before the address in brackets is text to all readers, so an `@` in it does not count. It is
///   plain if it has no encoded word, no comma, bracket or backslash, if no quoted string of the field has a fold, and
///   if the phrase around it has no other syntax.
///
/// Encoded words that can be decoded in more than one way are a doubt, and so are control characters.
struct PossibleAuthors {
    /// Each domain once, at most ``maximumCount``.
    private(set) var domains: [DomainName] = []
    private(set) var doubt: Doubt?

    /// Why the authors can't be determined.
    enum Doubt: Error, Hashable {
        case tooLong, tooMany, notUTF8, encodedWord, control, text

        /// What is wrong. The text follows "The From field " and has no full stop.
        var explanation: String {
            switch self {
            case .tooLong: "is longer than \(PossibleAuthors.maximumLength) octets; shorten the display name"
            case .tooMany: "names more than \(PossibleAuthors.maximumCount) other domains; leave them out"
            case .notUTF8: "holds 8-bit characters that are not UTF-8; use an encoded word (RFC 2047)"
            case .encodedWord: "has an encoded word (=?...?=) that can't be decoded with certainty; use =?utf-8?B?...?="
            case .control: "has a control character in its display name; leave it out"
            case .text:
                "has an @ that mail programs read in different ways; write Name <user@example.com> without an @ in the name"
            }
        }
    }

    /// The largest body of a field that is read, in octets. It limits the work. A body with a sensible display name is
    /// far shorter.
    static let maximumLength = 4096
    static let maximumCount = 16

    init(of body: ArraySlice<UInt8>) {
        do {
            try read(body)
        } catch {
            domains = []
            doubt = error
        }
    }

    private mutating func read(_ body: ArraySlice<UInt8>) throws(Doubt) {
        guard body.count <= Self.maximumLength else { throw .tooLong }
        var isASCII = true
        for byte in body {
            if byte >= 0x80 { isASCII = false }
            if byte.isControl, !byte.isFoldingWhiteSpace { throw .control }
        }
        if !isASCII {
            guard String(validating: body, as: UTF8.self) != nil else { throw .notUTF8 }
            if Self.holdsUnicodeControl(body) { throw .control }
        }
        let decoded = try DecodedField(body)
        let isPlain = decoded.map { !$0.holdsSpecial } ?? true
        var text = body
        if isPlain, let names = PlainPhrase.quotedStrings(of: body), !names.isEmpty {
            for name in names where EncodedWord.find(body[name], from: name.lowerBound) == nil {
                // Each octet of the quoted text is replaced by a letter, so that positions in the field stay the same.
                for index in name { text[index] = UInt8(ascii: "x") }
            }
        }
        try scan(text)
        if let decoded { try scan(decoded.text(of: text)[...]) }
    }

    // MARK: - Domains

    private mutating func scan(_ text: ArraySlice<UInt8>) throws(Doubt) {
        var index = text.startIndex
        let strayBracket = Self.lastBracketsWithoutAt(text)
        var depth = 0
        while let at = text[index...].firstIndex(of: .at) {
            for byte in text[index..<at] {
                if byte == .less { depth += 1 }
                if byte == .greater, depth > 0 { depth -= 1 }
            }
            if let domain = try Self.domain(in: text, behind: at, depth: depth, strayBracket: strayBracket) {
                if !domains.contains(domain) { domains.append(domain) }
                guard domains.count <= Self.maximumCount else { throw .tooMany }
            }
            index = at + 1
        }
    }

    /// The domain after the `@` at `at`, which is inside `depth` brackets. Nil when no reader finds a domain. Reads
    /// only up to the next `@`.
    private static func domain(
        in text: ArraySlice<UInt8>, behind at: Int, depth: Int, strayBracket: Int?
    ) throws(Doubt) -> DomainName? {
        // The domain as it is for readers that join all text before the end that is certain.
        var glued: [UInt8] = []
        var runs = 0
        var isUnclear = false
        var depth = depth
        var index = at + 1
        scan: while index < text.endIndex {
            let byte = text[index]
            switch byte {
            case _ where byte.isDomainText:
                let start = index
                while index < text.endIndex, text[index].isDomainText { index += 1 }
                glued += text[start..<index]
                runs += 1
            case .greater where depth > 1:
                // Perl's Mail::Address reads on until all brackets are closed.
                depth -= 1
                index += 1
            case .less, .greater:
                if let strayBracket, strayBracket >= index { isUnclear = true }
                break scan
            case .comma, .colon, .semicolon:
                break scan
            case .at:
                // "Tom @ Work @ Home" names no one, but it is unknown what readers make of "a@b.example@c".
                isUnclear = runs > 0 && holdsDot(glued[...])
                break scan
            case .leftParenthesis:
                guard let end = endOfPlainComment(text, at: index), runs > 0 || !holdsDot(text[index..<end]) else {
                    isUnclear = true
                    break scan
                }
                index = end
            case .backslash, .leftBracket:
                isUnclear = true
                break scan
            default:
                // Blanks, closing quotes and brackets, and the borders of encoded words.
                index += 1
            }
        }
        var domain = glued[...]
        while let last = domain.last, last == .dot || last == .apostrophe { domain.removeLast() }
        if isUnclear { throw .text }
        guard holdsDot(domain) else { return nil }
        guard runs == 1, let name = DomainName(ascii: domain) else { throw .text }
        return name
    }

    /// The position of the last `<` that has no `@` before its `>`. Perl's Mail::Address joins the contents of all
    /// brackets: `<a@acme.co> <m>` is a@acme.com.
    private static func lastBracketsWithoutAt(_ text: ArraySlice<UInt8>) -> Int? {
        var last: Int?
        var open: Int?
        for index in text.indices {
            switch text[index] {
            case .less:
                last = open ?? last
                open = index
            case .at: open = nil
            case .greater:
                last = open ?? last
                open = nil
            default: break
            }
        }
        return open ?? last
    }

    /// The index after the comment at `start`, if all readers that know comments find the same end. This is so if the
    /// comment has no quote, backslash, bracket or nested comment. Otherwise nil.
    private static func endOfPlainComment(_ text: ArraySlice<UInt8>, at start: Int) -> Int? {
        for index in (start + 1)..<text.endIndex {
            switch text[index] {
            case .rightParenthesis: return index + 1
            case .leftParenthesis, .quote, .backslash, .leftBracket, .rightBracket: return nil
            default: break
            }
        }
        return nil
    }

    /// Whether the text contains a dot, a character that some readers take as a dot (UTS #46 and NFKC), or an unknown
    /// character.
    private static func holdsDot(_ text: ArraySlice<UInt8>) -> Bool {
        text.contains(.dot) || (text.contains { $0 >= 0x80 } && !Self.isTextWithoutDots(text))
    }

    private static func isTextWithoutDots(_ text: ArraySlice<UInt8>) -> Bool {
        guard let string = String(validating: text, as: UTF8.self) else { return false }
        return !string.unicodeScalars.contains {
            switch $0.value {
            case 0x2024...0x2026, 0x3002, 0xFE12, 0xFE19, 0xFE52, 0xFF0E, 0xFF61: true
            default: false
            }
        }
    }

    // MARK: - Characters

    /// Whether the UTF-8 text contains a C1 control character, a separator of lines or paragraphs, or a directional
    /// override.
    fileprivate static func holdsUnicodeControl(_ bytes: ArraySlice<UInt8>) -> Bool {
        var first: UInt8 = 0
        var second: UInt8 = 0
        for byte in bytes {
            if second == 0xC2, (0x80...0x9F).contains(byte) { return true }
            if first == 0xE2, second == 0x80, [0xA8, 0xA9, 0xAD, 0xAE].contains(byte) { return true }
            first = second
            second = byte
        }
        return false
    }
}

/// The encoded words of a field, with their decoded texts. It contains only words that all readers find and decode in
/// the same way.
private struct DecodedField {
    private var words: [(range: Range<Int>, octets: [UInt8])] = []
    /// Whether a word contains characters that some readers take as syntax of the field.
    private(set) var holdsSpecial = false

    /// Marks where a word begins or ends. Between two words, some readers drop blanks, some insert them, and some do
    /// neither.
    private static let border: UInt8 = 0

    /// Finds the encoded words in the body of a field. Nil when there are none.
    init?(_ raw: ArraySlice<UInt8>) throws(PossibleAuthors.Doubt) {
        var index = raw.startIndex
        // The last octets of the word before, if that word is in UTF-8. They are kept because a character may be split
        // between two words.
        var tail: [UInt8] = []
        while let start = EncodedWord.find(raw, from: index) {
            guard let word = EncodedWord.parse(raw, at: start), !raw[start..<word.end].contains(where: \.isFraming),
                !word.isShort, !Self.isEndInDoubt(raw[word.end...]), let octets = word.octets,
                let charset = HeaderCharset(word.charsetName), let text = charset.ascii(octets)
            else { throw .encodedWord }
            if text.contains(where: \.isControl) { throw .control }
            if !raw[index..<start].allSatisfy(\.isFoldingWhiteSpace) { tail = [] }
            if charset == .utf8 {
                if HeaderCharset.isOverlong(tail + text) { throw .encodedWord }
                if PossibleAuthors.holdsUnicodeControl((tail + text)[...]) { throw .control }
            }
            tail = charset == .utf8 ? (tail + text).suffix(3) : []
            if text.contains(where: { $0.isSpecial && $0 != .dot && $0 != .at }) { holdsSpecial = true }
            words.append((start..<word.end, text))
            index = word.end
        }
        guard !words.isEmpty else { return nil }
        // Some readers decode until nothing is left to decode.
        let once = text(of: raw).filter { $0 != Self.border }
        if EncodedWord.find(once[...], from: 0) != nil { throw .encodedWord }
    }

    /// The field as it looks to a reader that decodes the encoded words before it parses the field. `raw` may differ
    /// from the field that was read, but must have the same encoded words at the same positions.
    func text(of raw: ArraySlice<UInt8>) -> [UInt8] {
        var text: [UInt8] = []
        var index = raw.startIndex
        for word in words {
            text += raw[index..<word.range.lowerBound]
            text.append(Self.border)
            text += word.octets
            text.append(Self.border)
            index = word.range.upperBound
        }
        return text + raw[index...]
    }

    /// Whether readers could disagree about the end of the word before `rest`.
    ///
    /// `=?utf-8?q?x?=3C?=` has two readings. By RFC 2047 the word ends at the first `?=`. Other readers take the `?` as
    /// text and `=3C` as an octet. In `=?x?q?a?=?utf-8?q?=3C?=` the second word shares its `=` with the end of the
    /// first. Some readers skip the first word because they do not know its charset, and then search on from a place
    /// within it. These readers find the second word.
    private static func isEndInDoubt(_ rest: ArraySlice<UInt8>) -> Bool {
        if rest.first == .questionMark { return true }
        let next = rest.prefix(2)
        return next.count == 2 && next.allSatisfy { $0.hexValue != nil }
    }
}

/// A display name of words, quoted strings and plain comments before an address in brackets. All readers split it in
/// the same way.
private struct PlainPhrase {
    /// The positions of the contents of the quoted strings. Nil when the field does not have this form.
    static func quotedStrings(of bytes: ArraySlice<UInt8>) -> [Range<Int>]? {
        var found: [Range<Int>] = []
        var index = bytes.startIndex
        var hasWord = false
        while index < bytes.endIndex {
            let byte = bytes[index]
            switch byte {
            case .quote:
                guard let end = bytes[(index + 1)...].firstIndex(of: .quote) else { return nil }
                let content = (index + 1)..<end
                // Python's parseaddr ends a quoted string, and a comment, at a CR.
                for byte in bytes[content] {
                    switch byte {
                    case .less, .greater, .backslash, .comma, .semicolon, .cr: return nil
                    default: break
                    }
                }
                guard end + 1 < bytes.endIndex, bytes[end + 1] != .at, bytes[end + 1] != .dot else { return nil }
                found.append(content)
                index = end + 1
                hasWord = true
            case .leftParenthesis:
                guard hasWord, let end = plainComment(bytes, at: index) else { return nil }
                index = end
            case .less:
                guard let close = bytes[index...].firstIndex(of: .greater), isPlainAddress(bytes[(index + 1)..<close])
                else { return nil }
                index = close + 1
                while index < bytes.endIndex, bytes[index].isFoldingWhiteSpace { index += 1 }
                if index < bytes.endIndex, bytes[index] == .leftParenthesis {
                    guard let end = plainComment(bytes, at: index) else { return nil }
                    index = end
                }
                return bytes[index...].allSatisfy(\.isFoldingWhiteSpace) ? found : nil
            case _ where byte.isFoldingWhiteSpace:
                index += 1
            case _ where byte.isDomainText:
                // RFC 5322 allows dots in a phrase as an obsolete form, but only after a word. If a dot comes before
                // the first word, Python's parser fails.
                guard hasWord || byte != .dot else { return nil }
                hasWord = true
                index += 1
            default:
                return nil
            }
        }
        return nil
    }

    private static func plainComment(_ bytes: ArraySlice<UInt8>, at start: Int) -> Int? {
        guard let end = bytes[start...].firstIndex(of: .rightParenthesis) else { return nil }
        let content = bytes[(start + 1)..<end]
        guard content.allSatisfy({ (!$0.isSpecial || $0 == .dot) && $0 != .cr }) else { return nil }
        return end + 1
    }

    private static func isPlainAddress(_ spec: ArraySlice<UInt8>) -> Bool {
        spec.count(where: { $0 == .at }) == 1 && spec.allSatisfy { $0 == .at || $0.isDomainText }
    }
}

extension UInt8 {
    fileprivate static let apostrophe = UInt8(ascii: "'")

    /// The specials of RFC 5322 section 3.2.3.
    fileprivate var isSpecial: Bool {
        switch self {
        case .leftParenthesis, .rightParenthesis, .less, .greater, .leftBracket, .rightBracket, .colon, .semicolon, .at,
            .backslash, .comma, .dot, .quote:
            true
        default: false
        }
    }

    /// Characters that structure a field. They are not allowed in an encoded word (RFC 2047 section 5).
    fileprivate var isFraming: Bool {
        switch self {
        case .quote, .backslash, .leftParenthesis, .rightParenthesis, .less, .greater: true
        default: false
        }
    }

    /// Characters that some reader takes as part of a domain.
    fileprivate var isDomainText: Bool { self >= 0x80 || isAtomText || self == .dot }
}
