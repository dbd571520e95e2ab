/// A charset of display names whose ASCII characters can be determined with certainty.
///
/// Only charsets with a known name are supported, and each only with its own escapes. All other charsets hide ASCII
/// characters in octets with other meanings, or are read in different ways by different readers. Examples are UTF-7,
/// UTF-16, EBCDIC, HZ and the ISO 2022 charsets with shifts.
enum HeaderCharset: Hashable {
    case utf8
    /// Each octet below 0x40 is the ASCII character with this value. Each octet from 0x80 on is part of a character
    /// that is not ASCII. In Shift_JIS, GBK and Big5 an octet from 0x40 to 0x7E may be the second half of a character.
    /// Such an octet is read as the ASCII character, and the first half counts as unknown. This errs towards refusal.
    case supersetOfASCII
    /// ISO-2022-JP (RFC 1468).
    case iso2022JP

    /// The octet for an unknown character that is not ASCII. This octet never occurs in UTF-8.
    static let unknownCharacter: UInt8 = 0xFF

    init?(_ name: some Collection<UInt8>) {
        switch String(decoding: name.map(\.asciiLowercased), as: UTF8.self) {
        case "utf-8", "utf8": self = .utf8
        case "iso-2022-jp": self = .iso2022JP
        case let name where Self.supersets.contains(name): self = .supersetOfASCII
        default: return nil
        }
    }

    private static let supersets: Set<String> = {
        var names: Set<String> = [
            "us-ascii", "ascii", "ansi_x3.4-1968", "iso-8859-8-i", "iso-8859-8-e", "iso-8859-6-i", "iso-8859-6-e",
            "latin1",
            "windows-874", "cp874", "koi8-r", "koi8-u", "koi8-ru", "tis-620", "macintosh", "unknown-8bit", "x-unknown",
            "shift_jis", "shift-jis", "sjis", "x-sjis", "cp932", "windows-31j", "ms932", "gb2312", "gbk", "gb18030",
            "cp936",
            "windows-936", "big5", "big5-hkscs", "cp950", "windows-950", "euc-jp", "euc-kr", "euc-cn", "euc-tw",
            "cp949",
            "windows-949", "ks_c_5601-1987", "ks_c_5601",
        ]
        for part in 1...16 where part != 12 {
            names.formUnion(["iso-8859-\(part)", "iso8859-\(part)", "iso_8859-\(part)"])
        }
        for page in 1250...1258 { names.formUnion(["windows-\(page)", "cp\(page)"]) }
        return names
    }()

    /// Returns the octets of one encoded word with `unknownCharacter` in place of characters that are not ASCII. Octets
    /// of UTF-8 stay unchanged. Nil when the octets are not valid in this charset, because readers could then find
    /// different ASCII characters.
    func ascii(_ octets: [UInt8]) -> [UInt8]? {
        switch self {
        case .utf8: Self.isOverlong(octets) ? nil : octets
        case .supersetOfASCII: octets.map { $0 < 0x80 ? $0 : Self.unknownCharacter }
        case .iso2022JP: Self.ascii(ofISO2022JP: octets)
        }
    }

    /// Whether the octets contain an overlong form of UTF-8, which a lax decoder reads as an ASCII character.
    static func isOverlong(_ octets: [UInt8]) -> Bool {
        var previous: UInt8 = 0
        for byte in octets {
            if byte == 0xC0 || byte == 0xC1 || byte >= 0xF8 { return true }
            if previous == 0xE0, (0x80...0x9F).contains(byte) { return true }
            if previous == 0xF0, (0x80...0x8F).contains(byte) { return true }
            previous = byte
        }
        return false
    }

    /// In ISO-2022-JP, ASCII and the Latin letters of JIS X 0201 have one octet per character, and JIS X 0208 has two.
    /// The text must begin and end in ASCII.
    private static func ascii(ofISO2022JP octets: [UInt8]) -> [UInt8]? {
        var result: [UInt8] = []
        var isDouble = false
        var isASCII = true
        var index = 0
        while index < octets.count {
            let byte = octets[index]
            if byte == 0x1B {
                guard index + 2 < octets.count else { return nil }
                switch (octets[index + 1], octets[index + 2]) {
                case (0x28, 0x42): (isDouble, isASCII) = (false, true)
                case (0x28, 0x4A): (isDouble, isASCII) = (false, false)
                case (0x24, 0x40), (0x24, 0x42): (isDouble, isASCII) = (true, false)
                default: return nil
                }
                index += 3
            } else if isDouble {
                guard index + 1 < octets.count, (0x21...0x7E).contains(byte), (0x21...0x7E).contains(octets[index + 1])
                else { return nil }
                result.append(unknownCharacter)
                index += 2
            } else {
                guard byte < 0x80, byte != 0x0E, byte != 0x0F else { return nil }
                result.append(byte)
                index += 1
            }
        }
        return isASCII ? result : nil
    }
}
