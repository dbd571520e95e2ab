import InternetMessage

/// Classes of octets in RFC 2045.
extension UInt8 {
    var isAlphanumeric: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    /// Any printable ASCII character except blank and tspecials (RFC 2045 section 5.1).
    var isMIMETokenText: Bool {
        if isAlphanumeric { return true }
        switch self {
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "|"),
            UInt8(ascii: "}"), UInt8(ascii: "~"):
            return true
        default: return false
        }
    }

    /// The hexadecimal digit, in upper case, of a value from 0 to 15.
    static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }
}

/// The base64 digits (RFC 4648 section 4), ordered by their values.
enum Base64Digits {
    static let all = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Appends the base64 of `octets` with its padding.
    static func append(_ octets: UnsafeBufferPointer<UInt8>, to output: inout [UInt8]) {
        let length = (octets.count + 2) / 3 * 4
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: length) { encoded in
            all.withUnsafeBufferPointer { digits in
                var index = 0
                var end = 0
                while index < octets.count {
                    let left = octets.count - index
                    let group =
                        Int(octets[index]) << 16 | (left > 1 ? Int(octets[index + 1]) << 8 : 0)
                        | (left > 2 ? Int(octets[index + 2]) : 0)
                    encoded[end] = digits[group >> 18]
                    encoded[end + 1] = digits[group >> 12 & 63]
                    encoded[end + 2] = left > 1 ? digits[group >> 6 & 63] : .equalsSign
                    encoded[end + 3] = left > 2 ? digits[group & 63] : .equalsSign
                    index += 3
                    end += 4
                }
            }
            output.append(contentsOf: UnsafeBufferPointer(rebasing: encoded[..<length]))
        }
    }
}

extension String {
    var isASCII: Bool { utf8.allSatisfy { $0 < 0x80 } }

    /// Whether the text contains U+0000. Its storage is read directly if possible, because the whole text must be
    /// searched.
    var holdsNull: Bool {
        utf8.withContiguousStorageIfAvailable { octets in
            var found: UInt8 = 0
            for byte in octets { found |= byte == 0 ? 1 : 0 }
            return found == 1
        } ?? utf8.contains(0)
    }

    /// Whether the text contains `=?`, which begins an encoded word (RFC 2047 section 2).
    var holdsEncodedWordStart: Bool {
        var previous: UInt8 = 0
        for byte in utf8 {
            if byte == .questionMark, previous == .equalsSign { return true }
            previous = byte
        }
        return false
    }

    /// Whether the text contains a character that no name and no header field may contain.
    ///
    /// These are the control characters of ASCII and Unicode (the tab only if `allowsTab` is false). They also include
    /// U+2028 and U+2029, which some readers take as line ends, and U+202D and U+202E, which change the order of the
    /// characters after them.
    func holdsControl(allowsTab: Bool) -> Bool {
        var first: UInt8 = 0
        var second: UInt8 = 0
        for byte in utf8 {
            if byte < 0x20 || byte == 0x7F {
                if byte != .tab || !allowsTab { return true }
            } else if second == 0xC2, byte >= 0x80, byte <= 0x9F {
                return true
            } else if first == 0xE2, second == 0x80, byte == 0xA8 || byte == 0xA9 || byte == 0xAD || byte == 0xAE {
                return true
            }
            first = second
            second = byte
        }
        return false
    }
}
