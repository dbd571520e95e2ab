extension JSON {
    /// The document in UTF-8, without white space. Members keep their order.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return bytes
    }

    /// Appends the same octets as ``bytes``.
    public func write(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .number(let number): bytes += number.text.utf8
        case .string(let string): string.write(to: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                element.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let object):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                member.name.write(to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }
}

extension JSONString {
    /// Appends the string with its quotation marks. It escapes only what must be escaped: `"`, `\` and control
    /// characters (RFC 8259 section 7).
    func write(to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        var start = utf8.startIndex
        while true {
            let end = StringScan.endOfTextWithoutEscapes(in: utf8, from: start)
            bytes += utf8[start..<end]
            guard end < utf8.endIndex else { break }
            bytes += JSONString.escape(of: utf8[end]).utf8
            start = end + 1
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// The escape of an ASCII character in a string. It is the short escape if JSON has one.
    static func escape(of octet: UInt8) -> String {
        switch octet {
        case UInt8(ascii: "\""): return #"\""#
        case UInt8(ascii: "\\"): return #"\\"#
        case 0x08: return #"\b"#
        case 0x09: return #"\t"#
        case 0x0A: return #"\n"#
        case 0x0C: return #"\f"#
        case 0x0D: return #"\r"#
        default:
            let digits = String(octet, radix: 16)
            return #"\u"# + String(repeating: "0", count: 4 - digits.count) + digits
        }
    }

    /// The beginning of the string, at most 64 characters, with quotation marks and escapes, for a sentence.
    public var excerpt: String {
        let longest = 64
        // A scalar takes at most four octets.
        let text = String(decoding: utf8.prefix(4 * longest + 4), as: UTF8.self).unicodeScalars
        var shown = ""
        for scalar in text.prefix(longest) {
            switch scalar.properties.generalCategory {
            // These move the cursor, change the direction of the text, or are invisible.
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                shown += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: shown.unicodeScalars.append(scalar)
            }
        }
        return "\"" + shown + (text.count > longest ? "…" : "") + "\""
    }
}
