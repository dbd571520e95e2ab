/// Gathers what could mislead a reader about the address behind a display name.
///
/// A display name may say anything, another address too; that is what it is for. Refused is what lets a careless reader
/// take a part of it *as the address*:
/// - in quotes, `@` together with `<` or `>` (taken by whoever looks for the first `<…>` and knows no quotes), a backslash (by
///   whoever ends the string at an escaped quote), a comma or a semicolon (by whoever splits the field there first) or a fold (by
///   whoever ends the string there);
/// - in encoded words, `@` with any of the special characters of RFC 5322, or followed by a domain with a dot, unless it is the
///   address itself: whoever decodes first and parses then (Python's `parseaddr(str(make_header(decode_header(field))))` is
///   copied all over the world) takes the first address that comes out;
/// - encoded words that readers may decode in different ways, or of which the octets say nothing here, or that hold what others
///   take for the quotes, brackets and parentheses of the field;
/// - control characters, which cut strings short, and overrides of the writing direction.
struct DisplayName {
    private var hasAt = false
    private var hasEncodedAt = false
    /// Something that turns an `@` beside it into an address for some.
    private var hasSeparator = false

    /// Takes the content of a quoted string.
    mutating func addQuoted(_ raw: ArraySlice<UInt8>) {
        for byte in raw {
            switch byte {
            case .at: hasAt = true
            // Python's parseaddr ends a quoted string, and a comment, at a CR.
            case .less, .greater, .backslash, .comma, .semicolon, .cr: hasSeparator = true
            default: break
            }
        }
    }

    /// Takes the whole field: raw UTF-8 and encoded words, these wherever they stand, since many readers look for them
    /// before, after or without regard to quotes, comments and blanks.
    mutating func addText(_ raw: ArraySlice<UInt8>, field: String) throws(MessageRejection) {
        if raw.contains(where: { $0 >= 0x80 }) {
            guard String(validating: raw, as: UTF8.self) != nil else {
                throw .from(
                    "The \(field) field holds 8-bit characters that are not UTF-8; use an encoded word (RFC 2047)")
            }
            if Self.holdsUnicodeControl(raw) { throw Self.control(field) }
        }
        var index = raw.startIndex
        // The last octets of a UTF-8 word, since a character may be cut in two, the rest in the next word.
        var tail: [UInt8] = []
        while let start = EncodedWord.find(raw, from: index) {
            guard let word = EncodedWord.parse(raw, at: start), !raw[start..<word.end].contains(where: \.isFraming),
                !Self.isEndInDoubt(raw[word.end...]), let decoded = DecodedWord(word)
            else {
                throw .from(
                    "The \(field) field has an encoded word (=?...?=) that can't be decoded; use =?utf-8?B?...?=")
            }
            if decoded.holdsControl { throw Self.control(field) }
            if !raw[index..<start].allSatisfy(\.isFoldingWhiteSpace) { tail = [] }
            if decoded.isUTF8, Self.holdsUnicodeControl((tail + decoded.octets)[...]) { throw Self.control(field) }
            tail = decoded.isUTF8 ? (tail + decoded.octets).suffix(2) : []
            for byte in decoded.octets {
                if byte == .at {
                    hasAt = true
                    hasEncodedAt = true
                } else if byte.isSpecial, byte != .dot {
                    hasSeparator = true
                }
            }
            index = word.end
        }
    }

    /// Decides, once the address is known, on what stands before and behind it.
    func check(
        before: ArraySlice<UInt8>, behind: ArraySlice<UInt8>, address: AddrSpec, field: String
    ) throws(MessageRejection) {
        guard hasAt else { return }
        guard !hasSeparator else {
            throw .from(
                "The \(field) field has an @ beside a bracket, backslash, comma or the like in its display name; leave it out"
            )
        }
        guard hasEncodedAt else { return }
        for text in [before, behind] where Self.holdsOtherAddress(Self.decoded(text), than: address) {
            throw .from(
                "The \(field) field has an address in an encoded word, which is not the one behind it; leave it out of the name"
            )
        }
    }

    /// `=?utf-8?q?x?=3C?=` has two readings: that of RFC 2047, in which the word ends at the first `?=`, and that of those who
    /// take the `?` for text and `=3C` for an octet. In `=?x?q?a?=?utf-8?q?=3C?=` the second word shares its `=` with the end of
    /// the first, and is one to those who leave a word in a charset that they don't know and look on from within it.
    private static func isEndInDoubt(_ rest: ArraySlice<UInt8>) -> Bool {
        if rest.first == .questionMark { return true }
        let next = rest.prefix(2)
        return next.count == 2 && next.allSatisfy(\.isHexDigit)
    }

    /// The text as it looks to whoever decodes first.
    private static func decoded(_ raw: ArraySlice<UInt8>) -> [UInt8] {
        var text: [UInt8] = []
        var index = raw.startIndex
        while let start = EncodedWord.find(raw, from: index), let word = EncodedWord.parse(raw, at: start) {
            let between = raw[index..<start]
            if index == raw.startIndex || !between.allSatisfy(\.isFoldingWhiteSpace) { text += between }
            text += DecodedWord(word)?.octets ?? []
            index = word.end
        }
        return text + raw[index...]
    }

    /// Whether a domain with a dot follows an `@`. Blanks may stand between; so the dot counts wherever it stands, unless
    /// nothing follows it.
    private static func holdsOtherAddress(_ text: [UInt8], than address: AddrSpec) -> Bool {
        let own = address.text.utf8.map(\.asciiLowercased)
        guard let at = text.firstIndex(of: .at) else { return false }
        var start = at
        var end = at + 1
        while start > 0, text[start - 1].isWordText { start -= 1 }
        while end < text.count, text[end].isWordText { end += 1 }
        if text[start..<end].lazy.map(\.asciiLowercased).elementsEqual(own) {
            // Those who drop blanks glue what follows to the domain: "user@good.example x.evil.example".
            return !text[end...].allSatisfy { $0.isFoldingWhiteSpace || $0 == .rightParenthesis }
        }
        let rest = text[(at + 1)...]
        guard let dot = rest.firstIndex(of: .dot) else { return false }
        return !rest[dot...].allSatisfy { $0 == .dot || $0.isFoldingWhiteSpace }
    }

    private static func control(_ field: String) -> MessageRejection {
        .from("The \(field) field has a control character in its display name")
    }

    /// C1 controls, the separators of lines and paragraphs, and the directional overrides, in UTF-8.
    private static func holdsUnicodeControl(_ bytes: ArraySlice<UInt8>) -> Bool {
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

/// An encoded word's octets, such that those below 128 are ASCII characters.
private struct DecodedWord {
    var octets: [UInt8]
    var isUTF8: Bool
    var holdsControl: Bool

    /// Nil when the text is damaged, or the charset is none of which that can be known: UTF-7, UTF-16, EBCDIC and what else
    /// there is all hide ASCII characters in other octets.
    init?(_ word: EncodedWord.Word) {
        guard let octets = word.octets else { return nil }
        let charset = String(decoding: word.charsetName.lazy.map(\.asciiLowercased), as: UTF8.self)
        isUTF8 = charset == "utf-8" || charset == "utf8"
        if charset.hasPrefix("iso-2022-") {
            (self.octets, holdsControl) = Self.asciiOfISO2022(octets)
            return
        }
        guard isUTF8 || Self.supersetsOfASCII.contains(where: { charset.hasPrefix($0) }) else { return nil }
        if isUTF8, Self.isOverlong(octets) { return nil }
        self.octets = octets
        holdsControl = octets.contains(where: \.isControl)
    }

    /// Charsets, or the beginnings of their names, in which every octet below 0x40 is the ASCII character. In Shift_JIS, GBK and
    /// Big5 an octet from 0x40 may be the second half of a character; it is taken for what it looks like, which errs towards
    /// refusal.
    private static let supersetsOfASCII = [
        "us-ascii", "ascii", "ansi_x3.4-1968", "iso-8859-", "iso8859-", "iso_8859-", "latin1", "windows-125",
        "windows-874",
        "cp125", "cp874", "koi8-", "tis-620", "macintosh", "unknown-8bit", "x-unknown", "shift_jis", "shift-jis",
        "sjis",
        "x-sjis", "cp932", "windows-31j", "ms932", "gb2312", "gbk", "gb18030", "cp936", "windows-936", "big5", "cp950",
        "windows-950", "euc-", "cp949", "windows-949", "ks_c_5601",
    ]

    /// Overlong forms, which a lax decoder takes for ASCII.
    private static func isOverlong(_ octets: [UInt8]) -> Bool {
        var previous: UInt8 = 0
        for byte in octets {
            if byte == 0xC0 || byte == 0xC1 { return true }
            if previous == 0xE0, (0x80...0x9F).contains(byte) { return true }
            if previous == 0xF0, (0x80...0x8F).contains(byte) { return true }
            previous = byte
        }
        return false
    }

    /// ISO 2022 in 7 bits switches the meaning of the octets by escape sequences; those that are no ASCII become 0x80.
    private static func asciiOfISO2022(_ octets: [UInt8]) -> (octets: [UInt8], holdsControl: Bool) {
        var result: [UInt8] = []
        var isASCII = true
        var isShifted = false
        var holdsControl = false
        var index = 0
        while index < octets.count {
            let byte = octets[index]
            index += 1
            switch byte {
            case 0x1B:
                let start = index
                while index < octets.count, (0x20...0x2F).contains(octets[index]) { index += 1 }
                guard index < octets.count else { break }
                let sequence = octets[start...index]
                index += 1
                switch sequence.first {
                // Into G0: ASCII, or the Latin letters of JIS X 0201.
                case .leftParenthesis: isASCII = sequence.last == 0x42 || sequence.last == 0x4A
                // A set of two octets a character into G0; with an intermediate octet from ")" on, into another one.
                case UInt8(ascii: "$"):
                    if sequence.count == 2 || sequence.dropFirst().first == .leftParenthesis { isASCII = false }
                default: break
                }
            case 0x0E: isShifted = true
            case 0x0F: isShifted = false
            case _ where byte.isControl: holdsControl = true
            default: result.append(isASCII && !isShifted ? byte : 0x80)
            }
        }
        return (result, holdsControl)
    }
}

extension UInt8 {
    /// RFC 5322 section 3.2.3.
    fileprivate var isSpecial: Bool {
        switch self {
        case .leftParenthesis, .rightParenthesis, .less, .greater, .leftBracket, .rightBracket, .colon, .semicolon, .at,
            .backslash, .comma, .dot, .quote:
            true
        default: false
        }
    }

    /// What gives a field its structure, and has no place in an encoded word (RFC 2047 section 5).
    fileprivate var isFraming: Bool {
        switch self {
        case .quote, .backslash, .leftParenthesis, .rightParenthesis, .less, .greater: true
        default: false
        }
    }

    /// What makes up an address but for its `@`.
    fileprivate var isWordText: Bool { self >= 0x80 || isAtomText || self == .dot }

    fileprivate var isHexDigit: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
        default: false
        }
    }
}
