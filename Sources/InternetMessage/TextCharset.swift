/// A charset of text that is shown to people.
///
/// It gives the whole text. ``HeaderCharset`` gives only what is certain to be ASCII.
enum TextCharset: Hashable {
    case utf8
    /// One octet per character: ASCII below 0x80, and a table above.
    case table(Table)
    /// UTF-8 if the octets are valid UTF-8, otherwise windows-1252. This is used for text without a charset or with an
    /// unknown one. It is also used for US-ASCII, because many programs write that name although the text is not ASCII.
    case guessed

    enum Table: Hashable {
        case windows1250, windows1251, windows1252, latin2, latin9, koi8r
    }

    /// Returns nil for a charset that is not known here. Case is ignored.
    init?(_ name: some Collection<UInt8>) {
        // The longest name below has 14 octets.
        guard name.count <= 32 else { return nil }
        switch String(decoding: name.map(\.asciiLowercased), as: UTF8.self) {
        case "utf-8", "utf8": self = .utf8
        case "us-ascii", "ascii", "ansi_x3.4-1968": self = .guessed
        // Latin-1 has control characters where windows-1252 has other characters. Text never uses these control
        // characters, and many programs write one name and mean the other charset (WHATWG Encoding Standard, section
        // 4.2).
        case "iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "windows-1252", "cp1252": self = .table(.windows1252)
        case "iso-8859-15", "iso8859-15", "iso_8859-15", "latin-9", "latin9": self = .table(.latin9)
        case "iso-8859-2", "iso8859-2", "iso_8859-2", "latin2": self = .table(.latin2)
        case "windows-1250", "cp1250": self = .table(.windows1250)
        case "windows-1251", "cp1251": self = .table(.windows1251)
        case "koi8-r": self = .table(.koi8r)
        default: return nil
        }
    }

    /// The text of `octets`. Octets that are not a character of the charset become U+FFFD.
    func string(_ octets: some Collection<UInt8>) -> String {
        switch self {
        case .utf8: return String(decoding: octets, as: UTF8.self)
        case .table(let table): return table.string(octets)
        case .guessed:
            return Self.isUTF8(octets) ? String(decoding: octets, as: UTF8.self) : Table.windows1252.string(octets)
        }
    }

    /// Whether the octets are valid UTF-8. The last character may be incomplete, because the message may have been cut
    /// off.
    private static func isUTF8(_ octets: some Collection<UInt8>) -> Bool {
        if String(validating: octets, as: UTF8.self) != nil { return true }
        // `lead` is the index of the first octet of the last character, which may lack one octet or more.
        let tail = Array(octets.suffix(3))
        guard let lead = tail.lastIndex(where: { $0 & 0xC0 != 0x80 }) else { return false }
        let held = tail.count - lead
        let needed =
            switch tail[lead] {
            case 0xC2...0xDF: 2
            case 0xE0...0xEF: 3
            case 0xF0...0xF4: 4
            default: 0
            }
        return held < needed && String(validating: octets.dropLast(held), as: UTF8.self) != nil
    }
}

extension TextCharset.Table {
    func string(_ octets: some Collection<UInt8>) -> String {
        let upperHalf = upperHalf
        var scalars = String.UnicodeScalarView()
        scalars.append(
            contentsOf: octets.lazy.map { $0 < 0x80 ? Unicode.Scalar($0) : upperHalf[Int($0 & 0x7F)] })
        return String(scalars)
    }

    /// The characters of the octets from 0x80 to 0xFF.
    private var upperHalf: [Unicode.Scalar] {
        switch self {
        case .windows1250: Self.windows1250Scalars
        case .windows1251: Self.windows1251Scalars
        case .windows1252: Self.windows1252Scalars
        case .latin2: Self.latin2Scalars
        case .latin9: Self.latin9Scalars
        case .koi8r: Self.koi8rScalars
        }
    }

    // U+FFFD stands for octets without a character, and for control characters, which are never shown.

    private static let windows1250Scalars = Array(
        """
        €\u{FFFD}‚\u{FFFD}„…†‡\u{FFFD}‰Š‹ŚŤŽŹ\u{FFFD}‘’“”•–—\u{FFFD}™š›śťžź\
        \u{A0}ˇ˘Ł¤Ą¦§¨©Ş«¬\u{AD}®Ż°±˛ł´µ¶·¸ąş»Ľ˝ľż\
        ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß\
        ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙
        """.unicodeScalars)

    private static let windows1251Scalars = Array(
        """
        ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—\u{FFFD}™љ›њќћџ\
        \u{A0}ЎўЈ¤Ґ¦§Ё©Є«¬\u{AD}®Ї°±Ііґµ¶·ё№є»јЅѕї\
        АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ\
        абвгдежзийклмнопрстуфхцчшщъыьэюя
        """.unicodeScalars)

    private static let windows1252Scalars = Array(
        """
        €\u{FFFD}‚ƒ„…†‡ˆ‰Š‹Œ\u{FFFD}Ž\u{FFFD}\u{FFFD}‘’“”•–—˜™š›œ\u{FFFD}žŸ\
        \u{A0}¡¢£¤¥¦§¨©ª«¬\u{AD}®¯°±²³´µ¶·¸¹º»¼½¾¿\
        ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß\
        àáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ
        """.unicodeScalars)

    private static let latin2Scalars =
        noControls
        + Array(
            """
            \u{A0}Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u{AD}ŽŻ°ą˛ł´ľśˇ¸šşťź˝žż\
            ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß\
            ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙
            """.unicodeScalars)

    private static let latin9Scalars =
        noControls
        + Array(
            """
            \u{A0}¡¢£€¥Š§š©ª«¬\u{AD}®¯°±²³Žµ¶·ž¹º»ŒœŸ¿\
            ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß\
            àáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ
            """.unicodeScalars)

    private static let koi8rScalars = Array(
        """
        ─│┌┐└┘├┤┬┴┼▀▄█▌▐░▒▓⌠■∙√≈≤≥\u{A0}⌡°²·÷\
        ═║╒ё╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡Ё╢╣╤╥╦╧╨╩╪╫╬©\
        юабцдефгхийклмнопярстужвьызшэщчъ\
        ЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬЫЗШЭЩЧЪ
        """.unicodeScalars)

    private static let noControls = [Unicode.Scalar](repeating: "\u{FFFD}", count: 32)
}
