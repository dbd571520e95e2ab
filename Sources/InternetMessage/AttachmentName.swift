/// The name of an attached file, decoded as far as its ending requires.
struct AttachmentName {
    private let octets: [UInt8]

    /// Takes the value of a parameter. Encoded words (RFC 2047) are not allowed in a parameter, but many clients write
    /// them there, and readers decode them.
    init(_ value: ArraySlice<UInt8>) {
        var octets = Self.decodingWords(value)
        // Removes NUL, because it is half of each ASCII character in charsets with two octets per character. Also
        // removes what Windows ignores at the end of a file name.
        octets.removeAll { $0 == 0 }
        while let last = octets.last, last <= .space || last == .dot { octets.removeLast() }
        self.octets = octets
    }

    /// The text after the last dot, in lower case. Nil for a name without a dot, or with an ending that is longer than
    /// any in a list.
    var ending: String? {
        guard let dot = octets.lastIndex(of: .dot) else { return nil }
        let ending = octets[(dot + 1)...]
        guard ending.count <= AttachmentEndings.maximumLength else { return nil }
        return String(decoding: ending.map(\.asciiLowercased), as: UTF8.self)
    }

    /// The name as a reply may show it. If it is long, its end is kept, because the ending matters.
    var excerpt: String { Excerpt.of(octets, keepsEnd: true) }

    /// Decodes the encoded words as the most lenient reader does: even damaged words, as far as possible. Blanks
    /// between two encoded words are dropped. The charset does not matter, because all endings are ASCII.
    private static func decodingWords(_ value: ArraySlice<UInt8>) -> [UInt8] {
        var octets: [UInt8] = []
        var index = value.startIndex
        while index < value.endIndex {
            guard let start = EncodedWord.find(value, from: index) else { break }
            guard let (text, isBase64, end) = word(value, at: start) else {
                octets += value[index..<(start + 2)]
                index = start + 2
                continue
            }
            let between = value[index..<start]
            if octets.isEmpty || !between.allSatisfy(\.isFoldingWhiteSpace) { octets += between }
            octets += isBase64 ? base64(text) : quoted(text)
            index = end
        }
        return octets + value[index...]
    }

    /// Reads an encoded word, `=?charset?encoding?text?=`, at its first octet.
    private static func word(
        _ value: ArraySlice<UInt8>, at start: Int
    ) -> (text: ArraySlice<UInt8>, isBase64: Bool, end: Int)? {
        guard let charsetEnd = value[(start + 2)...].firstIndex(of: .questionMark), charsetEnd + 2 < value.endIndex,
            value[charsetEnd + 2] == .questionMark
        else { return nil }
        let text = value[(charsetEnd + 3)...]
        guard
            let end = text.indices.first(where: {
                text[$0] == .questionMark && $0 + 1 < text.endIndex && text[$0 + 1] == .equalsSign
            })
        else { return nil }
        switch value[charsetEnd + 1].asciiLowercased {
        case UInt8(ascii: "b"): return (text[..<end], true, end + 2)
        case UInt8(ascii: "q"): return (text[..<end], false, end + 2)
        default: return nil
        }
    }

    private static func quoted(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var octets: [UInt8] = []
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            index += 1
            if byte == .equalsSign, index + 1 < text.endIndex, let high = text[index].hexValue,
                let low = text[index + 1].hexValue
            {
                octets.append(high << 4 | low)
                index += 2
            } else {
                octets.append(byte == UInt8(ascii: "_") ? .space : byte)
            }
        }
        return octets
    }

    /// Skips octets that are not base64.
    private static func base64(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var octets: [UInt8] = []
        var buffer: UInt32 = 0
        var bits: UInt32 = 0
        for byte in text {
            // What follows the padding is ignored.
            if byte == .equalsSign { return octets }
            guard let value = byte.base64Value else { continue }
            buffer = buffer << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                octets.append(UInt8(truncatingIfNeeded: buffer >> bits))
            }
        }
        return octets
    }
}

/// The file name endings that are refused, without a dot.
public struct AttachmentEndings: Hashable, Sendable {
    private let endings: Set<String>

    /// The longest ending in octets.
    public static let maximumLength = 32

    /// Takes endings without a dot. Case is ignored.
    public init(_ endings: some Sequence<String>) {
        self.endings = Set(endings.map { $0.lowercased() })
    }

    /// The endings in ``refusedBySES``.
    public static let ses = AttachmentEndings(refusedBySES)

    /// Whether `ending`, which must be in lower case, is refused.
    func contains(_ ending: String) -> Bool { endings.contains(ending) }

    /// The endings that SES refuses: Amazon SES Developer Guide, "Unsupported attachment types"
    /// (https://docs.aws.amazon.com/ses/latest/dg/mime-types.html).
    public static let refusedBySES = [
        "ade", "adp", "app", "asp", "bas", "bat", "cer", "chm", "cmd", "com", "cpl", "crt", "csh", "der", "exe", "fxp",
        "gadget", "hlp", "hta", "inf", "ins", "isp", "its", "js", "jse", "ksh", "lib", "lnk", "mad", "maf", "mag",
        "mam", "maq", "mar", "mas", "mat", "mau", "mav", "maw", "mda", "mdb", "mde", "mdt", "mdw", "mdz", "msc", "msh",
        "msh1", "msh2", "mshxml", "msh1xml", "msh2xml", "msi", "msp", "mst", "ops", "pcd", "pif", "plg", "prf", "prg",
        "reg", "scf", "scr", "sct", "shb", "shs", "sys", "ps1", "ps1xml", "ps2", "ps2xml", "psc1", "psc2", "tmp", "url",
        "vb", "vbe", "vbs", "vps", "vsmacros", "vss", "vst", "vsw", "vxd", "ws", "wsc", "wsf", "wsh", "xnk",
    ]
}
